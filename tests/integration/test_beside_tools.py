"""All that a mesh offers beside plain calls, on a real broker with two nodes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from tests.support.broker import Broker

from longreach import Context, Mesh, NatsOptions, Node, NodeSettings, Server, connect
from longreach.client.info import Update
from longreach.client.listening import Listening
from longreach.errors import InputNeeded, NotFound, RemoteError
from longreach.trace import Trace, use_trace


class Booking(msgspec.Struct):
    seats: int
    window: bool = False


KEY = f"k1:{base64.b64encode(bytes(32)).decode()}"
STEPS: list[str] = []
VALUES = {"mem://notes/today": "rain"}


def build() -> Server:
    server = Server("docs", version="1.0.0", title="Documents")

    @server.prompt(
        description="Greets.", complete={"who": lambda value: [n for n in ("ann", "bob") if value in n]}
    )
    async def greet(who: str, times: int = 1) -> str:
        return " ".join([f"hello {who}"] * times)

    @server.resource("mem://notes/{day}", mime_type="text/plain")
    async def notes(day: str) -> str:
        return VALUES[f"mem://notes/{day}"]

    @server.resource("mem://logo", mime_type="image/png")
    async def logo() -> bytes:
        return b"\x00\xff"

    @server.tool
    async def book(ctx: Context) -> str:
        async def reserve() -> str:
            STEPS.append(ctx.node)
            return f"at {ctx.node}"

        reserved = await ctx.step("reserve", reserve)
        asked = await ctx.elicit("How many?", Booking)
        assert asked.content is not None
        return f"{asked.content.seats} seats, reserved {reserved}, booked at {ctx.node}"

    @server.tool
    async def trace(ctx: Context) -> str:
        ctx.info({"at": "start"})
        return ctx.trace.traceparent if ctx.trace and ctx.trace.traceparent else "none"

    return server


@pytest.fixture
async def servers(broker: Broker) -> AsyncIterator[list[Server]]:
    """A server on two nodes."""
    STEPS.clear()
    async with AsyncExitStack() as stack:
        servers = [build(), build()]
        for number, server in enumerate(servers):
            settings = NodeSettings(
                identity=f"n{number}", region="eu", state_keys=(KEY,),
                connection=NatsOptions(urls=(broker.url,)),
            )  # fmt: skip
            await stack.enter_async_context(Node(server, settings=settings))
        yield servers


@pytest.fixture
async def mesh(broker: Broker, servers: list[Server]) -> AsyncIterator[Mesh]:
    async with connect(broker.url, timeout_s=10) as mesh:
        yield mesh


async def next_of(changes: Listening) -> Update:
    async with asyncio.timeout(10):
        return await anext(changes)


async def test_prompts_resources_and_completions(mesh: Mesh) -> None:
    assert [prompt.qualified for prompt in await mesh.prompts()] == ["docs.greet"]
    assert [resource.uri for resource in await mesh.resources("docs")] == ["mem://logo"]
    assert [template.uri_template for template in await mesh.templates()] == ["mem://notes/{day}"]

    prompt = await mesh.get_prompt("docs.greet", {"who": "ann", "times": 2})
    assert (prompt.text, prompt.region) == ("hello ann hello ann", "eu")
    assert (await mesh.read("docs", "mem://notes/today")).text == "rain"
    assert (await mesh.read("docs", "mem://logo")).data == b"\x00\xff"
    assert (await mesh.complete("docs.greet", "who", "n")).values == ["ann"]
    with pytest.raises(RemoteError) as ended:
        await mesh.read("docs", "other://x")
    assert ended.value.code == -32602
    with pytest.raises(NotFound):
        await mesh.get_prompt("docs.great")


async def test_an_answer_goes_back_in_a_round_of_its_own_to_any_node(mesh: Mesh) -> None:
    """Two rounds, most of the time on different nodes: what was done in the first is not done again."""
    landed = set()
    for number in range(12):
        view = mesh.options(on_elicit=lambda asked: {"seats": len(asked.requested_schema["properties"])})
        result = await view.call("docs.book")
        reserved, booked = result.text.removeprefix("2 seats, reserved at ").split(", booked at ")
        assert len(STEPS) == number + 1
        assert STEPS[-1] == reserved
        assert (result.node, result.attempts) == (booked, 2)
        landed.add(reserved == booked)
    assert False in landed


async def test_without_a_function_that_answers_it_is_an_error_to_go_on_from(mesh: Mesh) -> None:
    with pytest.raises(RemoteError) as refused:
        await mesh.call("docs.book")
    assert refused.value.code == -32021
    able = mesh.options(capabilities={"elicitation": {"form": {}}})
    with pytest.raises(InputNeeded) as needed:
        await able.call("docs.book")
    ((key, request),) = needed.value.requests.items()
    assert request.params.message == "How many?"
    answer = {key: {"action": "accept", "content": {"seats": 3}}}
    result = await able.call("docs.book", input_responses=answer, request_state=needed.value.request_state)
    assert result.text.startswith("3 seats")
    for wrong in ("x", (needed.value.request_state or "")[:-1]):
        with pytest.raises(RemoteError):
            await able.call("docs.book", input_responses=answer, request_state=wrong)


async def test_updates_and_changes_of_any_node_come_once(mesh: Mesh, servers: list[Server]) -> None:
    async with mesh.listen("docs", resources=["mem://notes/today"]) as changes:
        for number, hosted in enumerate(servers):
            VALUES["mem://notes/today"] = f"sun {number}"
            hosted.notify_resource_updated("mem://notes/today")
            assert await next_of(changes) == Update("resource", "docs", "mem://notes/today")
            assert (await mesh.read("docs", "mem://notes/today")).text == f"sun {number}"

        async def bye() -> str:
            return "bye"

        for hosted in servers:
            hosted.add_prompt(bye)
        assert await next_of(changes) == Update("prompts", "docs")
        async with asyncio.timeout(10):
            while len({instance.digest for instance in mesh.catalog.of_server("docs")}) > 1:
                await asyncio.sleep(0.01)
        for hosted in servers:
            hosted.notify_resource_updated("mem://notes/today")
        for _ in servers:
            assert (await next_of(changes)).kind == "resource"
    assert [prompt.name for prompt in await mesh.prompts()] == ["bye", "greet"]


async def test_log_messages_and_the_trace_go_along(mesh: Mesh) -> None:
    said: list[Any] = []
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with use_trace(Trace(parent)):
        assert (await mesh.options(on_log=lambda *log: said.append(log)).call("docs.trace")).text == parent
    assert said == [("info", {"at": "start"}, None)]
    assert (await mesh.call("docs.trace")).text == "none"


async def test_requests_of_others_go_through_as_they_are(broker: Broker, servers: list[Server]) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    async with connect(broker.url, via="gw", timeout_s=10) as mesh:
        for method, params, name in (
            ("prompts/get", {"name": "greet", "arguments": {"who": "x"}}, "greet"),
            ("resources/read", {"uri": "mem://logo"}, "mem://logo"),
            ("tools/list", {}, None),
            ("server/discover", {}, None),
        ):
            request = {"jsonrpc": "2.0", "id": "q", "method": method, "params": {**params, "_meta": meta}}
            body = msgspec.json.encode(request)
            for caller in ("ann", "bob", None):
                answer = msgspec.json.decode(
                    await mesh.forward("docs", body, method=method, name=name, caller=caller)
                )
                assert (answer["id"], answer["result"]["resultType"]) == ("q", "complete")
