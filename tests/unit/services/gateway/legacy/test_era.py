"""Sessions over HTTP, in one gateway."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.exchanges import Exchanged, LegacyHttp
from tests.support.faces import Asked, FaceDouble, text_result
from tests.support.links import eventually

from longreach.clock import FakeClock
from longreach_gateway.legacy.limits import Limits

INITIALIZE = b'{"jsonrpc":"2.0","id":1,"method":"initialize"}'


async def echo(asked: Asked) -> Any:
    return text_result(asked.params["arguments"]["text"])


async def test_a_session_begins_answers_and_ends(gateways: Any) -> None:
    era = await gateways.start("gw", FaceDouble(tools_call=echo))
    client = LegacyHttp(era)
    result = await client.initialize()
    assert result["protocolVersion"] == "2025-11-25"
    assert client.session is not None
    assert client.session.startswith(f"gw.local.{era.address.instance}-")
    called = await client.result("tools/call", {"name": "t", "arguments": {"text": "hey"}})
    assert called == {"content": [{"type": "text", "text": "hey"}]}
    assert (await client.delete().done()).status == 200
    assert (await client.request("tools/list").done()).status == 404
    await eventually(lambda: len(era.sessions) == 0)
    assert era.sessions.replay_bytes == 0


async def test_an_initialize_that_is_refused_leaves_no_session(gateways: Any) -> None:
    era = await gateways.start()
    answered = await LegacyHttp(era).request("initialize", {"protocolVersion": 3}).done()
    assert answered.events[-1]["error"]["code"] == -32602
    assert len(era.sessions) == 0


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("POST", {}, b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', 400),
        ("POST", {}, b"{", 400),
        (
            "POST",
            {"mcp-protocol-version": "2024-01-01"},
            b'{"jsonrpc":"2.0","id":1,"method":"initialize"}',
            400,
        ),
        ("GET", {"accept": "text/event-stream"}, None, 405),
        ("GET", {"accept": "text/event-stream", "mcp-protocol-version": "2025-11-25"}, None, 400),
        ("DELETE", {}, None, 405),
        ("GET", {"mcp-session-id": "nonsense"}, None, 404),
        ("DELETE", {"mcp-session-id": "a.b.c-d.*.>-e"}, None, 404),
        ("POST", {"mcp-session-id": "x" * 5000}, b"{}", 404),
        ("POST", {"content-type": "application/json"}, INITIALIZE, 406),
    ],
)
async def test_what_is_no_session_is_refused(
    gateways: Any, method: str, headers: dict[str, str], body: bytes | None, status: int
) -> None:
    era = await gateways.start()
    answered = await Exchanged(era, method, headers, body).done()
    assert answered.status == status
    assert answered.json["error"]["code"] in (-32600, -32700)
    assert len(era.sessions) == 0


async def test_a_session_is_its_principals_and_its_servers(gateways: Any) -> None:
    era = await gateways.start()
    alice = LegacyHttp(era, caller="alice")
    await alice.initialize()
    for about in ({"caller": "mallory"}, {"caller": None}, {"caller": "alice", "server": "other"}):
        other = LegacyHttp(era, **about)
        other.session = alice.session
        assert (await other.request("ping").done()).status == 404
    assert await alice.result("ping") == {}


async def test_changes_come_over_the_stream_that_the_client_opens(gateways: Any) -> None:
    face = FaceDouble()
    era = await gateways.start(face=face)
    client = LegacyHttp(era)
    await client.initialize()
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    await eventually(lambda: face.streams)
    face.tell("notifications/tools/list_changed")
    await stream.until(lambda: stream.events)
    assert stream.events[0]["method"] == "notifications/tools/list_changed"
    stream.leave()
    await stream.done()
    again = client.get()
    await again.until(lambda: again.status == 200)
    await client.delete().done()
    await again.done()


async def test_a_broken_stream_is_resumed_and_its_call_was_not_cancelled(gateways: Any) -> None:
    free = asyncio.Event()

    async def slow(asked: Asked) -> Any:
        await free.wait()
        return text_result("late")

    face = FaceDouble(tools_call=slow)
    era = await gateways.start(face=face)
    client = LegacyHttp(era)
    await client.initialize()
    call = client.request("tools/call", {"name": "t"})
    await call.until(lambda: call.ids)
    assert b"retry: 1000" in call.body
    call.leave()
    await call.done()
    resumed = client.get(**{"last-event-id": call.ids[-1]})
    await resumed.until(lambda: resumed.status == 200)
    free.set()
    await resumed.done()
    assert resumed.events[-1]["result"]["content"][0]["text"] == "late"
    assert face.cancelled == []
    late = await client.get(**{"last-event-id": call.ids[-1]}).done()
    assert late.events == resumed.events


async def test_a_question_is_asked_over_the_calls_stream(gateways: Any) -> None:
    async def asking(asked: Asked) -> Any:
        if "inputResponses" in asked.params:
            return text_result(asked.params["inputResponses"]["q"]["action"])
        question = {"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}}
        return {"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s"}

    era = await gateways.start(face=FaceDouble(tools_call=asking))
    client = LegacyHttp(era)
    await client.initialize({"elicitation": {}})
    call = client.request("tools/call", {"name": "t"})
    await call.until(lambda: call.events)
    question = call.events[0]
    assert question["method"] == "elicitation/create"
    answered = await client.post({"id": question["id"], "result": {"action": "decline"}}).done()
    assert answered.status == 202
    await call.done()
    assert call.events[-1]["result"]["content"][0]["text"] == "decline"


async def test_idle_sessions_end_and_leave_nothing(gateways: Any) -> None:
    clock = FakeClock()
    face = FaceDouble()
    era = await gateways.start(face=face, clock=clock, limits=Limits(idle_s=60))
    idle, busy = LegacyHttp(era), LegacyHttp(era)
    await idle.initialize()
    await busy.initialize()
    stream = busy.get()
    await stream.until(lambda: stream.status == 200)
    await eventually(lambda: face.open_listens == 2)
    clock.advance(61)
    await era.sessions.end_idle()
    await eventually(lambda: face.open_listens == 1)
    assert len(era.sessions) == 1
    assert (await idle.request("ping").done()).status == 404
    stream.leave()
    await stream.done()


async def test_with_too_many_sessions_the_longest_idle_one_ends(gateways: Any) -> None:
    clock = FakeClock()
    era = await gateways.start(clock=clock, limits=Limits(sessions=3))
    greedy = [LegacyHttp(era, caller="greedy") for _ in range(2)]
    modest = LegacyHttp(era, caller="modest")
    await modest.initialize()
    for client in greedy:
        clock.advance(1)
        await client.initialize()
    newcomer = LegacyHttp(era, caller="new")
    await newcomer.initialize()
    assert len(era.sessions) == 3
    assert await modest.result("ping") == {}
    assert (await greedy[0].request("ping").done()).status == 404
    assert await greedy[1].result("ping") == {}


async def test_where_all_sessions_are_in_use_another_is_refused(gateways: Any) -> None:
    era = await gateways.start(limits=Limits(sessions=1))
    client = LegacyHttp(era)
    await client.initialize()
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    refused = await LegacyHttp(era).request("initialize", {}).done()
    assert refused.status == 503
    assert refused.headers["retry-after"]


async def test_a_gateway_that_closes_ends_its_streams(gateways: Any) -> None:
    face = FaceDouble()
    era = await gateways.start(face=face)
    client = LegacyHttp(era)
    await client.initialize()
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    await era.close()
    await stream.done()
    assert face.open_listens == 0
    assert (await client.request("ping").done()).status == 503


async def test_a_gateway_that_drains_lets_calls_end_but_opens_no_session(gateways: Any) -> None:
    free = asyncio.Event()

    async def slow(asked: Asked) -> Any:
        await free.wait()
        return text_result("late")

    era = await gateways.start(face=FaceDouble(tools_call=slow))
    client = LegacyHttp(era)
    await client.initialize()
    call = client.request("tools/call", {"name": "t"})
    await call.until(lambda: call.ids)
    closing = asyncio.get_running_loop().create_task(era.close(5))
    await eventually(lambda: era.sessions._closing)
    assert (await LegacyHttp(era).request("initialize", {}).done()).status == 503
    free.set()
    await call.done()
    assert call.events[-1]["result"]["content"][0]["text"] == "late"
    await closing


async def test_a_gateway_that_is_cut_off_waits_for_nothing(gateways: Any) -> None:
    async def hang(asked: Asked) -> Any:
        await asyncio.Event().wait()

    face = FaceDouble(tools_call=hang)
    era = await gateways.start(face=face)
    client = LegacyHttp(era)
    await client.initialize()
    call = client.request("tools/call", {"name": "t"})
    await eventually(lambda: face.asked[-1].request.method == "tools/call")
    closing = asyncio.get_running_loop().create_task(era.close(60))
    era.cut()
    async with asyncio.timeout(30):
        await closing
    await call.done()
    assert face.cancelled == ["tools/call"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"\xff", -32700),
        (b'{"jsonrpc":"2.0","params":' + b'{"a":' * 100_000, -32700),
        (b"null", -32600),
        (b"[]", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
    ],
)
async def test_what_is_no_message_is_refused_and_ends_nothing(gateways: Any, body: bytes, code: int) -> None:
    era = await gateways.start()
    client = LegacyHttp(era)
    await client.initialize()
    refused = await client.post(body).done()
    assert (refused.status, refused.json["error"]["code"]) == (400, code)
    assert await client.result("ping") == {}
