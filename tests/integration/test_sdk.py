"""The official SDK's client over NATS."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.context import ClientRequestContext
from mcp.client.subscriptions import ResourcesListChanged, ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp.types import (
    ElicitRequestParams,
    ElicitResult,
    JSONRPCNotification,
    JSONRPCRequest,
    TextContent,
    TextResourceContents,
)
from tests.support.fronts import META, StringMesh, bundle, resource, tool
from tests.support.hosts import Gate, node
from tests.support.links import eventually

from longreach import Context, Mesh, Server, connect, sdk
from longreach.errors import ConfigError
from longreach.front import UNAVAILABLE, Filters
from longreach.transport.memory import MemoryBroker
from longreach.wire import codes
from longreach.wire.jsonrpc import encode_notification

KEY = "k1:" + "A" * 43 + "="


def docs(gate: Gate) -> Server:
    server = Server("docs", version="1.4.0", instructions="Read first.")

    @server.tool
    async def echo(text: str) -> str:
        """Echo a text."""
        return text

    @server.tool
    async def wait(ctx: Context) -> str:
        """Wait, and say so."""
        ctx.report_progress(1, 2, "half")
        await gate()
        return "waited"

    @server.tool
    async def greet(ctx: Context) -> str:
        """Ask for a name."""
        answer = await ctx.elicit("Who?", {"type": "object", "properties": {"name": {"type": "string"}}})
        return f"Hello, {answer.content['name']}!"

    @server.prompt
    def ask(topic: str) -> str:
        return f"Tell me about {topic}."

    @server.resource("note://today")
    def note() -> str:
        return "milk"

    return server


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
async def gate() -> Gate:
    return Gate()


@pytest.fixture
async def mesh(broker: MemoryBroker, gate: Gate) -> AsyncIterator[Mesh]:
    async with (
        node(broker, docs(gate), state_keys=(KEY,)),
        connect(link=broker.link(), timeout_s=5) as mesh,
    ):
        yield mesh


async def answer(_: ClientRequestContext, __: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"name": "Ada"})


def text(result: Any) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


async def test_one_server_under_its_own_names(mesh: Mesh) -> None:
    async with Client(sdk.transport(mesh=mesh, server="docs"), elicitation_callback=answer) as client:
        assert client.server_info.name == "docs"
        assert client.instructions == "Read first."
        assert [tool.name for tool in (await client.list_tools()).tools] == ["echo", "greet", "wait"]
        assert text(await client.call_tool("echo", {"text": "hi"})) == "hi"
        assert text(await client.call_tool("greet", {})) == "Hello, Ada!"
        prompt = (await client.get_prompt("ask", {"topic": "rain"})).messages[0].content
        assert isinstance(prompt, TextContent)
        assert prompt.text == "Tell me about rain."
        contents = (await client.read_resource("note://today")).contents[0]
        assert isinstance(contents, TextResourceContents)
        assert (contents.uri, contents.text) == ("note://today", "milk")


async def test_the_whole_mesh_under_names_of_its_own(mesh: Mesh) -> None:
    async with Client(sdk.transport(mesh=mesh), elicitation_callback=answer) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == [
            "docs__echo", "docs__greet", "docs__wait",
        ]  # fmt: skip
        assert text(await client.call_tool("docs__greet", {})) == "Hello, Ada!"
        [listed] = (await client.list_resources()).resources
        contents = (await client.read_resource(listed.uri)).contents[0]
        assert contents.uri == listed.uri == "longreach://docs/note://today"


async def test_filters_and_search_are_those_of_a_front(mesh: Mesh) -> None:
    async with Client(sdk.transport(mesh=mesh, search_above=1)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["call_tool", "search_tools"]
        called = {"name": "docs__echo", "arguments": {"text": "hi"}}
        assert text(await client.call_tool("call_tool", called)) == "hi"
    async with Client(sdk.transport(mesh=mesh, filters=Filters.of(servers=["x"]))) as client:
        assert (await client.list_tools()).tools == []


async def test_a_tool_called_through_the_search_reports_and_asks_as_it_always_does(
    mesh: Mesh, gate: Gate
) -> None:
    heard: list[float] = []

    async def on_progress(done: float, _: float | None, __: str | None) -> None:
        heard.append(done)

    gate.release.set()
    async with Client(sdk.transport(mesh=mesh, search_above=1), elicitation_callback=answer) as client:
        assert text(await client.call_tool("call_tool", {"name": "docs__greet"})) == "Hello, Ada!"
        called = {"name": "docs__wait", "arguments": {}}
        assert text(await client.call_tool("call_tool", called, progress_callback=on_progress)) == "waited"
        await eventually(lambda: heard == [1.0])


async def test_calls_run_at_the_same_time_with_progress_and_can_be_cancelled(mesh: Mesh, gate: Gate) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        heard.append((done, total, message))

    async with Client(sdk.transport(mesh=mesh, server="docs")) as client:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(client.call_tool("wait", {}, progress_callback=on_progress))
            await gate.begins()
            assert text(await client.call_tool("echo", {"text": "meanwhile"})) == "meanwhile"
            waiting.cancel()
        await eventually(lambda: gate.cancelled == 1)
        await eventually(lambda: heard == [(1.0, 2.0, "half")])
        gate.release.set()
        assert text(await client.call_tool("wait", {})) == "waited"


async def test_a_timeout_of_the_client_cancels_the_call(mesh: Mesh, gate: Gate) -> None:
    async with Client(sdk.transport(mesh=mesh, server="docs")) as client:
        with pytest.raises(MCPError, match="timed out"):
            await client.call_tool("wait", {}, read_timeout_seconds=0.1)
        await eventually(lambda: gate.cancelled == 1)


async def test_leaving_cancels_what_runs(mesh: Mesh, gate: Gate) -> None:
    async with asyncio.timeout(30):
        async with Client(sdk.transport(mesh=mesh, server="docs")) as client:
            waiting = asyncio.get_running_loop().create_task(client.call_tool("wait", {}))
            await gate.begins()
        await asyncio.wait({waiting})
    with pytest.raises(MCPError, match="closed"):
        waiting.result()
    await eventually(lambda: gate.cancelled == 1)
    assert mesh.is_up


async def test_errors_are_the_sdks_own(mesh: Mesh) -> None:
    async with Client(sdk.transport(mesh=mesh, server="docs")) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("nope", {})
        assert caught.value.code == codes.INVALID_PARAMS
        assert (await client.call_tool("echo", {})).is_error


async def test_a_server_that_is_not_there_yet_is_found_when_it_comes(
    broker: MemoryBroker, gate: Gate
) -> None:
    """The probe says that this is a modern server, whatever is behind it."""
    async with (
        connect(link=broker.link(), timeout_s=1) as mesh,
        Client(sdk.transport(mesh=mesh, server="docs")) as client,
    ):
        with pytest.raises(MCPError) as caught:
            await client.call_tool("echo", {"text": "hi"})
        assert caught.value.code == UNAVAILABLE
        async with node(broker, docs(gate), state_keys=(KEY,)):
            assert text(await client.call_tool("echo", {"text": "hi"})) == "hi"


async def test_initialize_is_told_to_be_modern(mesh: Mesh) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with Client(sdk.transport(mesh=mesh), mode="legacy"):
            pass
    [error] = _leaves(caught.value)
    assert isinstance(error, MCPError)
    assert (error.code, error.error.data["supported"]) == (codes.UNSUPPORTED_VERSION, ["2026-07-28"])


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


async def test_a_link_that_breaks_ends_calls_with_errors_and_nothing_else(
    broker: MemoryBroker, mesh: Mesh, gate: Gate
) -> None:
    link: Any = mesh._session.link
    async with Client(sdk.transport(mesh=mesh, server="docs", timeout_s=0.3)) as client:
        broker.cut(link)
        with pytest.raises(MCPError) as caught:
            await client.call_tool("echo", {"text": "hi"})
        assert caught.value.code == UNAVAILABLE
        broker.restore(link)
        assert text(await client.call_tool("echo", {"text": "hi"})) == "hi"


@asynccontextmanager
async def strings(**options: Any) -> AsyncIterator[tuple[StringMesh, Any, Any]]:
    """A transport over a mesh whose strings a test pulls."""
    mesh = StringMesh()
    mesh.up(bundle("docs", tools=[tool("a")], resources=[resource("note://x")]))
    async with sdk.transport(mesh=mesh, server="docs", **options) as (reading, writing):  # type: ignore[arg-type]
        yield mesh, reading, writing


def asked(method: str, request_id: int | str = 1, **params: Any) -> SessionMessage:
    return SessionMessage(
        JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, params={**params, "_meta": META})
    )


async def receive(reading: Any) -> dict[str, Any]:
    async with asyncio.timeout(30):
        message: dict[str, Any] = (await reading.receive()).message.model_dump(
            by_alias=True, exclude_unset=True
        )
    return message


async def test_a_change_is_heard_and_the_stream_ends_with_an_answer() -> None:
    mesh = StringMesh()
    mesh.up(bundle("docs", tools=[tool("a")], resources=[resource("note://x")]))
    async with (
        asyncio.timeout(30),
        Client(sdk.transport(mesh=mesh, server="docs")) as client,  # type: ignore[arg-type]
        client.listen(tools_list_changed=True, resource_subscriptions=["note://x", "note://y"]) as events,
    ):
        assert events.honored.resource_subscriptions == ["note://x", "note://y"]
        mesh.up(bundle("docs", tools=[tool("b")], resources=[resource("note://x")]))
        mesh.update("docs", "note://x")
        heard = [await anext(events), await anext(events)]
        assert [type(each) for each in heard] == [ToolsListChanged, ResourceUpdated]
        assert ResourcesListChanged not in map(type, heard)
        mesh.close()
        assert [each async for each in events] == []


async def test_a_subscription_that_breaks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with strings() as (mesh, reading, writing):

        def fail(*_: Any) -> Any:
            raise ZeroDivisionError

        monkeypatch.setattr(mesh, "on_catalog", fail)
        await writing.send(asked("subscriptions/listen", "s", notifications={"toolsListChanged": True}))

        error = await receive(reading)

    assert (error["id"], error["error"]["code"]) == ("s", codes.INTERNAL_ERROR)


async def test_a_subscription_that_is_cancelled_leaves_nothing() -> None:
    async with strings() as (mesh, reading, writing):
        await writing.send(asked("subscriptions/listen", "s", notifications={"toolsListChanged": True}))
        await receive(reading)
        assert mesh.watchers == 2
        params = {"requestId": "s"}
        await writing.send(
            SessionMessage(
                JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params)
            )
        )
        await eventually(lambda: mesh.watchers == 0)


async def test_notes_come_before_their_response() -> None:
    async with strings() as (mesh, reading, writing):
        forward = mesh.forward

        async def noisy(*args: Any, on_note: Any, **how: Any) -> bytes:
            for n in range(3):
                on_note(encode_notification("notifications/progress", {"progressToken": 1, "progress": n}))
            on_note(b"nonsense")
            return await forward(*args, on_note=on_note, **how)

        mesh.forward = noisy  # type: ignore[method-assign]
        await writing.send(asked("tools/call", name="a"))
        messages = [await receive(reading) for _ in range(4)]

    assert [message.get("params", {}).get("progress") for message in messages] == [0, 1, 2, None]
    assert "result" in messages[3]


async def test_progress_is_dropped_while_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "MAX_UNREAD", 2)
    async with strings() as (mesh, reading, writing):
        forward = mesh.forward

        async def noisy(*args: Any, on_note: Any, **how: Any) -> bytes:
            for n in range(50):
                on_note(encode_notification("notifications/progress", {"progressToken": 1, "progress": n}))
            return await forward(*args, on_note=on_note, **how)

        mesh.forward = noisy  # type: ignore[method-assign]
        await writing.send(asked("tools/call", name="a"))
        await eventually(lambda: mesh.sent)
        seen = 0
        while "result" not in await receive(reading):
            seen += 1

    assert seen <= 3


async def test_a_client_that_reads_no_more_ends_what_runs_for_it() -> None:
    async with strings() as (mesh, reading, writing):
        await writing.send(asked("subscriptions/listen", "s", notifications={"toolsListChanged": True}))
        await receive(reading)
        await reading.aclose()
        await writing.send(asked("tools/list"))
        await eventually(lambda: mesh.watchers == 0)


async def test_an_answer_that_is_none_is_an_error() -> None:
    async with strings() as (mesh, reading, writing):
        mesh.answer = lambda _: b'{"id":1,"result":[1],"jsonrpc":"2.0"}'
        await writing.send(asked("tools/call", name="a"))
        message = await receive(reading)

    assert (message["id"], message["error"]["code"]) == (1, codes.INTERNAL_ERROR)


async def test_an_id_counts_once_and_a_flood_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "MAX_IN_FLIGHT", 1)
    async with strings() as (_, reading, writing):
        await writing.send(asked("subscriptions/listen", 1, notifications={}))
        await receive(reading)
        await writing.send(asked("tools/list", 1))
        twice = await receive(reading)
        await writing.send(asked("tools/list", 2))
        flood = await receive(reading)

    assert (twice["id"], twice["error"]["code"]) == (1, codes.INVALID_REQUEST)
    assert (flood["id"], flood["error"]["code"]) == (2, UNAVAILABLE)


async def test_a_malformed_request_is_answered() -> None:
    async with strings() as (_, reading, writing):
        await writing.send(asked("tools/call", name=5))
        message = await receive(reading)

    assert (message["id"], message["error"]["code"]) == (1, codes.INVALID_PARAMS)


async def test_a_request_without_a_json_form_is_answered_and_a_strange_cancel_ignored() -> None:
    async with strings() as (_, reading, writing):
        params = {"requestId": {"a": 1}}
        await writing.send(
            SessionMessage(
                JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params)
            )
        )
        await writing.send(asked("tools/call", 3, name="a", arguments={"x": "\ud800"}))
        message = await receive(reading)

    assert (message["id"], message["error"]["code"]) == (3, codes.INVALID_PARAMS)


async def test_the_mesh_is_given_or_made_and_not_both(mesh: Mesh) -> None:
    for given in ({"nats": "nats://x"}, {"region": "eu"}):
        with pytest.raises(ConfigError, match="not both"):
            sdk.transport(mesh=mesh, **given)  # type: ignore[arg-type]


async def test_a_mesh_is_made_and_closed(broker: MemoryBroker, gate: Gate) -> None:
    link = broker.link()
    async with node(broker, docs(gate), state_keys=(KEY,)):
        async with Client(sdk.transport(server="docs", link=link)) as client:
            assert text(await client.call_tool("echo", {"text": "hi"})) == "hi"
        assert not link.is_up


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any) -> Any:
        if name.startswith("mcp"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigError, match="pip install"):
        sdk.transport()
