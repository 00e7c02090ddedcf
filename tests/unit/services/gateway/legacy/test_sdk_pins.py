"""What we rely on in the official SDK beyond its documentation. A failure here means: read the new version.

docs/adr/0014-the-sdk-under-the-legacy-era.md
"""

from __future__ import annotations

import inspect
from importlib.metadata import version

import anyio
from mcp.server.streamable_http import EventStore, StreamableHTTPServerTransport
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest, jsonrpc_message_adapter

from longreach_gateway.legacy.eras import VERSIONS
from longreach_gateway.legacy.replay import Store


def test_it_is_the_version_that_was_read() -> None:
    assert version("mcp").split(".")[:2] == ["2", "3"]


def test_the_versions_with_a_handshake_are_the_sdks() -> None:
    from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

    assert set(VERSIONS) == set(HANDSHAKE_PROTOCOL_VERSIONS)


def test_the_transport_takes_and_has_what_a_session_uses() -> None:
    parameters = inspect.signature(StreamableHTTPServerTransport).parameters
    assert {"mcp_session_id", "event_store", "retry_interval"} <= parameters.keys()
    transport = StreamableHTTPServerTransport("a.b.c-d", event_store=Store(1, 1).open(), retry_interval=1)
    assert transport.is_terminated is False
    assert inspect.iscoroutinefunction(transport.terminate)
    assert list(inspect.signature(transport.handle_request).parameters) == ["scope", "receive", "send"]


def test_a_store_of_events_is_asked_for_two_things_and_whether_it_is_there() -> None:
    assert EventStore.__abstractmethods__ == {"store_event", "replay_events_after"}
    assert bool(Store(1, 1).open())
    assert "if not self._event_store" in inspect.getsource(StreamableHTTPServerTransport)


def test_messages_keep_their_members_and_order() -> None:
    data = (
        b'{"jsonrpc":"2.0","id":"1","method":"m","params":{"b":1,"a":{"x":[1.5,12345678901234567890,null]}}}'
    )
    message = jsonrpc_message_adapter.validate_json(data, by_name=False)
    assert isinstance(message, JSONRPCRequest)
    assert message.model_dump_json(by_alias=True, exclude_unset=True).encode() == data


async def test_the_dispatcher_hands_over_plain_json_and_ends_with_its_input() -> None:
    to_us, read = anyio.create_memory_object_stream[SessionMessage | Exception](4)
    write, from_us = anyio.create_memory_object_stream[SessionMessage](4)
    dispatcher = JSONRPCDispatcher(read, write, inline_methods=frozenset({"initialize"}))
    result = {"odd": {"deep": [1]}, "_meta": {"k": None}}

    async def on_request(context: object, method: str, params: object) -> dict[str, object]:
        assert (method, params) == ("m", {"x": {"y": None}})
        return result

    async def on_notify(context: object, method: str, params: object) -> None:
        return None

    async with anyio.create_task_group() as group:
        group.start_soon(dispatcher.run, on_request, on_notify)
        request = JSONRPCRequest(jsonrpc="2.0", id=1, method="m", params={"x": {"y": None}})
        await to_us.send(SessionMessage(request))
        with anyio.fail_after(5):
            answer = (await from_us.receive()).message
        assert answer.model_dump(by_alias=True, exclude_unset=True) == {
            "jsonrpc": "2.0",
            "id": 1,
            "result": result,
        }
        to_us.close()
    from_us.close()


def test_replays_keep_a_bound() -> None:
    store = Store(max_bytes=1, max_events=1)
    assert store.size == 0
