from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.asker import META, Asker, reason, request, text
from tests.support.hosts import Gate, docs, node

from longreach import Context, Server
from longreach.clock import FakeClock
from longreach.transport.memory import MemoryBroker
from longreach.wire.mcp import CallToolResult, TextContent

CALL = "req.docs._._._.tools-call.echo"


async def test_a_call_is_answered_once_without_headers(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M3.3: exactly one response, without NATS headers, and it says where it ran."""
    async with node(broker, docs(gate)) as host:
        answer = await asker.ask("echo", {"text": "hello"})
        await asker.settle()
        assert text(answer) == "hello"
        assert answer["result"]["_meta"]["longreach/node"] == host.name
        assert answer["result"]["_meta"]["longreach/region"] == "local"
        assert [(heard.frame, heard.headers) for heard in asker.heard] == [(None, None)]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (request("other"), -32020),
        (request("echo", method="tools/list"), -32020),
        (request("echo", params={"_meta": {}}), -32602),
        (request("echo", params={"_meta": {**META, "io.modelcontextprotocol/protocolVersion": "1"}}), -32022),
        (request("echo", params={"name": 7}), -32602),
        (request("echo", jsonrpc="1.0"), -32600),
        (b"{", -32700),
        (b"", -32700),
        (b"\xff\xfe", -32700),
        (b'{"params":' + b"[" * 100_000, -32700),
        (b"[]", -32600),
    ],
)
async def test_a_request_that_is_none_is_refused_and_the_next_is_taken(
    broker: MemoryBroker, gate: Gate, asker: Asker, body: bytes, code: int
):
    """M1.4: what the subject says is what the body says. And malformed input ends no subscription."""
    async with node(broker, docs(gate)):
        asker.send(CALL, body, "1-0-f")
        assert (await asker.answer("1-0-f"))["error"]["code"] == code
        assert text(await asker.ask("echo", call="2-0-f")) == "hi"


@pytest.mark.parametrize("caller", ["a\x01b", "a\x0bb", "\x1b[2J", "é", "A", "x" * 97])
async def test_an_asker_of_a_name_that_is_none_is_not_heard_and_hurts_nobody(
    broker: MemoryBroker, gate: Gate, asker: Asker, caller: str
):
    """The broker lets such bytes into subjects; an answer to them could not be published."""
    async with node(broker, docs(gate)) as host:
        subject = f"{asker.root}.req.docs._._.{caller}.tools-call.wait"
        host._hosted[0]._doors["tools-call.wait"](subject, f"{asker.inbox}.1-0-f", request("wait"), None)
        assert host.in_flight == 0
        asker.request("wait", call="2-0-f")
        await asker.until(lambda: asker.frames("2-0-f"))
        gate.release.set()
        await asker.answer("2-0-f")


async def test_a_call_that_came_too_late_does_not_begin(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M2.4: by the node's own clock."""
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock):
        now = clock.wall_ms()
        assert reason(await asker.ask("wait", call=f"1-{now:x}-f")) == "expired"
        assert gate.ran == 0
        asker.request("wait", call=f"2-{now + 1:x}-f")
        await gate.begins()
        gate.release.set()


async def test_the_deadline_of_the_asker_ends_a_call_and_says_so(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock):
        answer = await asker.ask("wait", call=f"1-{clock.wall_ms() + 20:x}-f")
        assert answer["error"]["code"] == -32603
        assert reason(answer) == "deadline"
        await asker.settle()
        assert gate.cancelled == 1


async def test_the_same_call_again_is_not_run_again(broker: MemoryBroker, gate: Gate, asker: Asker):
    """A call is run once, while it runs and for a minute after."""
    async with node(broker, docs(gate)):
        asker.request("wait")
        await gate.begins()
        asker.request("wait")
        gate.release.set()
        await asker.answer()
        asker.request("wait")
        await asker.settle()
        assert len(asker.answers()) == 1
        assert gate.ran == 1


async def test_calls_of_others_under_the_same_token_are_other_calls(broker: MemoryBroker, gate: Gate):
    """M6.3: via, caller, connection and call together."""
    askers = [
        Asker(broker),
        Asker(broker, connection="other"),
        Asker(broker, asker="_.alice"),
        Asker(broker, asker="gw.alice"),
    ]
    async with node(broker, docs(gate)):
        for asker in askers:
            asker.request("wait")
            await gate.begins()
        gate.release.set()
        for asker in askers:
            assert text(await asker.answer()) == "waited"
        assert gate.ran == len(askers)


async def test_a_bare_inbox_gets_the_response_alone_where_it_is_allowed(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    """M3.2"""
    async with node(broker, docs(gate), bare_inboxes=True):
        asker.send("req.docs._._._.tools-call.wait", request("wait"), reply="_INBOX.a.b")
        await gate.begins()
        gate.release.set()
        await asker.answer("_INBOX.a.b")
        assert asker.frames("_INBOX.a.b") == []


async def test_a_bare_inbox_is_dropped_elsewhere(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M3.2: a node on a broker that is not the embedded one was not told to allow it."""
    async with node(broker, docs(gate)):
        for reply in ("_INBOX.a.b", "elsewhere", ""):
            asker.send("req.docs._._._.tools-call.wait", request("wait"), reply=reply)
        await asker.settle()
        assert asker.heard == []
        assert gate.ran == 0


async def test_a_result_beyond_max_payload_ran_and_says_so(gate: Gate):
    """M2.5: it is refused before it is sent, and its asker told."""
    broker = MemoryBroker(max_payload=4096)
    asker = Asker(broker)
    server = Server("docs")

    @server.tool
    async def big() -> str:
        return "x" * 5000

    async with node(broker, server):
        answer = await asker.ask("big")
        assert answer["error"]["code"] == -32603
        assert reason(answer) == "result_too_large"
        assert answer["id"] == 1


async def test_an_asker_whose_id_fills_a_message_hurts_no_other_call(gate: Gate):
    broker = MemoryBroker(max_payload=4096)
    asker, other = Asker(broker), Asker(broker, connection="other")
    host = node(broker, docs(gate), drain_timeout_s=0.01)
    async with host:
        room = 4096 - len(request("wait", id=""))
        asker.send("req.docs._._._.tools-call.wait", request("wait", id="i" * room))
        await gate.begins()
        other.request("wait")
        await gate.begins()
    assert reason(other.answers()[0]) == "cut_off"
    assert gate.cancelled == 2


@pytest.mark.parametrize(
    "meta",
    [{"x": object()}, {"x": "\ud800"}, {"x": float}, ["no", "object"], {1j: 1}],
    ids=["object", "surrogate", "class", "list", "key"],
)
async def test_a_result_that_cannot_be_written_ends_its_call(broker: MemoryBroker, asker: Asker, meta: Any):
    server = Server("docs")

    @server.tool
    async def odd() -> CallToolResult:
        return CallToolResult([TextContent("ran")], meta=meta)

    async with node(broker, server) as host:
        assert reason(await asker.ask("odd")) == "bad_result"
        assert host.in_flight == 0


async def test_results_that_share_one_value_say_each_where_they_ran(broker: MemoryBroker, asker: Asker):
    """A constant that handlers return must not carry the `_meta` of one server into another's result."""
    shared = CallToolResult([TextContent("same")])
    first, second = Server("docs"), Server("more")

    @first.tool(name="get")
    async def get_first() -> CallToolResult:
        return shared

    @second.tool(name="get")
    async def get_second() -> CallToolResult:
        return shared

    async with node(broker, first, second):
        named = []
        for number, server in enumerate(("docs", "more", "docs")):
            call = f"{number}-0-f"
            asker.send(f"req.{server}._._._.tools-call.get", request("get"), call)
            answer = await asker.answer(call)
            named.append(answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"])
        assert named == ["docs", "more", "docs"]


async def test_progress_comes_before_the_response_and_only_to_who_asked(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    """M4.2: no frame to an asker whose flag is `n`."""
    gate.release.set()
    asking = {"_meta": {**META, "progressToken": "t"}}
    async with node(broker, docs(gate)):
        for call in ("1-0-f", "2-0-n"):
            asker.send("req.docs._._._.tools-call.wait", request("wait", params=asking), call)
            await asker.answer(call)
        asker.request("wait", call="3-0-f")
        await asker.answer("3-0-f")
        assert asker.frames("1-0-f") == ["note"]
        assert asker.frames("2-0-n") == asker.frames("3-0-f") == []
        assert [heard.frame for heard in asker.heard if heard.call == "1-0-f"] == ["note", None]


async def test_what_a_handler_says_after_its_response_is_not_sent(broker: MemoryBroker, asker: Asker):
    """M4.2: no frame after the response."""
    server, kept = Server("docs"), []

    @server.tool
    async def leak(ctx: Context = Context.injected) -> str:
        kept.append(ctx)
        return "done"

    async with node(broker, server):
        asking = {"_meta": {**META, "progressToken": "t"}}
        asker.send("req.docs._._._.tools-call.leak", request("leak", params=asking))
        await asker.answer()
        kept[0].report_progress(1)
        await asker.settle()
        assert asker.frames() == []


async def test_a_full_actor_refuses_with_busy(broker: MemoryBroker, gate: Gate, asker: Asker):
    server = Server("docs")

    @server.tool(concurrency=1, mailbox=1)
    async def narrow() -> str:
        await gate()
        return "done"

    async with node(broker, server):
        for number in range(4):
            asker.request("narrow", call=f"{number}-0-f")
        refused = [await asker.answer(f"{number}-0-f") for number in (2, 3)]
        assert [(answer["error"]["code"], reason(answer)) for answer in refused] == [(-31900, "busy")] * 2
        assert all(0 < answer["error"]["data"]["retryAfterMs"] < 1000 for answer in refused)
        gate.release.set()
        assert text(await asker.answer("1-0-f")) == "done"
        assert gate.ran == 2


async def test_arguments_are_not_read_before_the_handler_is_asked(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    async with node(broker, docs(gate)):
        for number, arguments in enumerate([{"text": 7}, {"nope": 1}, [1], "x"]):
            call = f"{number}-0-f"
            body = msgspec.json.decode(request("echo"))
            body["params"]["arguments"] = arguments
            asker.send(CALL, msgspec.json.encode(body), call)
            assert (await asker.answer(call))["result"]["isError"] is True
