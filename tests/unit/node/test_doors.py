"""Requests of every method at their doors, with raw handlers behind them."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from tests.support.asker import META, Asker, reason
from tests.support.hosts import node

from longreach import Actor, Server, resource, tool
from longreach.actor.raw import CutOff, NotBegun, RawRequest
from longreach.errors import (
    CallTimeout,
    NotFound,
    NotStarted,
    OutcomeUnknown,
    PermissionDenied,
    ProtocolError,
)
from longreach.transport.memory import MemoryBroker
from longreach.wire import codes
from longreach.wire.tokens import encode_token


def body(method: str, **params: Any) -> bytes:
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": "i", "method": method, "params": {"_meta": META, **params}}
    )


async def echo(request: RawRequest) -> bytes:
    return json.dumps({"method": request.method, "params": json.loads(request.params)}).encode()


def raw_server() -> Server:
    server = Server("docs", version="1.4.0")
    server.add_raw("tool", {"name": "Tool", "inputSchema": {"type": "object"}}, echo)
    server.add_raw("prompt", {"name": "my prompt"}, echo)
    server.add_raw("resource", {"uri": "a://one", "name": "one"}, echo)
    server.add_raw("template", {"uriTemplate": "a://t/{x}", "name": "t"}, echo)
    server.set_raw_completion(echo)
    return server


REQUESTS = [
    (f"tools-call.{encode_token('Tool')}", "tools/call", {"name": "Tool", "arguments": {"a": 1}}),
    (f"prompts-get.{encode_token('my prompt')}", "prompts/get", {"name": "my prompt", "requestState": "s"}),
    ("resources-read._", "resources/read", {"uri": "a://one"}),
    ("resources-read._", "resources/read", {"uri": "a://t/5"}),
    (
        "completion-complete._",
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "my prompt"}, "argument": {"name": "a", "value": ""}},
    ),
]


@pytest.mark.parametrize(("address", "method", "params"), REQUESTS)
async def test_each_method_has_its_door_for_anybody_a_version_and_a_node(
    broker: MemoryBroker, asker: Asker, address: str, method: str, params: dict[str, Any]
):
    """M1.4, M1.5"""
    async with node(broker, raw_server()) as host:
        for number, to in enumerate(("_", "v1", f"n-{host.instance}")):
            asker.send(f"req.docs.{to}._._.{address}", body(method, **params), f"{number}-0-f")
            answer = await asker.answer(f"{number}-0-f")
            assert answer["id"] == "i"
            result = answer["result"]
            assert (result["method"], result["params"]) == (method, {"_meta": META, **params})
            assert result["_meta"]["longreach/region"] == "local"


@pytest.mark.parametrize(
    ("address", "method", "params", "code", "data"),
    [
        ("tools-call.=54ool", "tools/call", {}, -32602, None),
        ("tools-call.=54ool", "tools/call", {"name": "x"}, -32020, None),
        ("tools-call.=54ool", "prompts/get", {"name": "Tool"}, -32020, None),
        ("resources-read._", "tools/call", {"uri": "a://one"}, -32020, None),
        ("resources-read._", "resources/read", {}, -32602, None),
        ("resources-read._", "resources/read", {"uri": "a://one", "_meta": {}}, -32602, None),
        ("resources-read._", "resources/read", {"uri": "b://one"}, -32602, {"uri": "b://one"}),
        ("resources-read._", "resources/read", {"uri": 5}, -32602, None),
        ("completion-complete._", "completion/complete", {}, -32602, None),
        ("completion-complete._", "tools/call", {"name": "x"}, -32602, None),
    ],
)
async def test_what_does_not_fit_is_refused(
    broker: MemoryBroker,
    asker: Asker,
    address: str,
    method: str,
    params: dict[str, Any],
    code: int,
    data: Any,
):
    """M1.4, M2.1"""
    async with node(broker, raw_server()):
        asker.send(f"req.docs._._._.{address}", body(method, **params))
        error = (await asker.answer())["error"]
        assert (error["code"], error.get("data")) == (code, data)


async def test_a_huge_uri_is_answered_too():
    """M3.3: it is not sent back in full, or the answer could be larger than what the broker carries."""
    broker = MemoryBroker(max_payload=64 * 1024)
    here = Asker(broker)
    async with node(broker, raw_server()):
        here.send("req.docs._._._.resources-read._", body("resources/read", uri="b:" + "x" * 60_000))
        assert (await here.answer())["error"]["code"] == -32602
    await here.link.close()


async def test_a_reader_takes_what_nothing_is_declared_for(broker: MemoryBroker, asker: Asker):
    server = Server("docs", version="1.4.0")
    server.set_raw_reader(echo)
    async with node(broker, server):
        asker.send("req.docs._._._.resources-read._", body("resources/read", uri="x://y"))
        assert (await asker.answer())["result"]["params"]["uri"] == "x://y"


async def test_nobody_is_subscribed_while_nothing_can_be_read(broker: MemoryBroker, asker: Asker):
    """M1.6"""
    server = raw_server()
    async with node(broker, server) as host:
        server.remove_raw("resource", "a://one")
        await asker.settle()
        asker.send("req.docs._._._.resources-read._", body("resources/read", uri="a://t/1"), "1-0-f")
        assert "result" in await asker.answer("1-0-f")
        server.remove_raw("template", "a://t/{x}")
        await asker.settle()
        asker.send("req.docs._._._.resources-read._", body("resources/read", uri="a://t/1"), "2-0-f")
        await asker.settle()
        assert [heard.headers for heard in asker.heard if heard.call == "2-0-f"] == [{"Status": "503"}]
        asker.send(
            f"req.docs.n-{host.instance}._._.resources-read._", body("resources/read", uri="a://t/1"), "3-0-f"
        )
        assert (await asker.answer("3-0-f"))["error"]["code"] == -32602


async def test_an_error_of_the_protocol_is_told_but_never_with_our_own_code(
    broker: MemoryBroker, asker: Asker
):
    """M5.2"""
    server = Server("docs")

    async def refuse(request: RawRequest) -> bytes:
        raise ProtocolError(json.loads(request.params)["arguments"]["code"], "no", {"x": 1})

    server.add_raw("tool", {"name": "t", "inputSchema": {"type": "object"}}, refuse)
    async with node(broker, server):
        for code, told in ((-32001, -32001), (-31900, -32603)):
            asker.send(
                "req.docs._._._.tools-call.t", body("tools/call", name="t", arguments={"code": code}),
                f"{-code}-0-f",
            )  # fmt: skip
            error = (await asker.answer(f"{-code}-0-f"))["error"]
            assert error == {"code": told, "message": "no", "data": {"x": 1}}


@dataclass
class Told:
    reason: str
    seen: int = 1


@pytest.mark.parametrize("word", sorted(codes.RESERVED_REASONS))
@pytest.mark.parametrize("kind", ["async", "thread", "raw", "actor", "prompt", "resource", "completion"])
async def test_the_words_of_a_node_are_removed_from_what_handlers_say(
    broker: MemoryBroker, asker: Asker, kind: str, word: str
):
    """M5.2"""
    server = Server("docs")

    def fail(*_: object) -> str:
        raise ProtocolError(-32603, "no", Told(word) if kind == "thread" else {"reason": word, "seen": 1})

    async def fail_async(*_: object) -> str:
        return fail()

    class Stateful(Actor):
        @tool
        async def t(self) -> str:
            return fail()

    method, params = "tools/call", {"name": "t"}
    match kind:
        case "async" | "thread":
            handler = fail_async if kind == "async" else fail
            handler.__signature__ = inspect.Signature()  # type: ignore[attr-defined]
            server.add_tool(handler, name="t")
        case "raw":
            server.add_raw("tool", {"name": "t", "inputSchema": {"type": "object"}}, fail_async)  # type: ignore[arg-type]
        case "actor":
            server.add_actor(Stateful)
        case "prompt":
            method = "prompts/get"
            server.add_prompt(lambda: fail(), name="t")
        case "resource":
            method, params = "resources/read", {"uri": "a://t"}
            server.add_resource("a://t", lambda: fail())
        case _:
            method = "completion/complete"
            server.add_prompt(lambda x: "", name="t", complete={"x": lambda so_far: fail()})
            params = {"ref": {"type": "ref/prompt", "name": "t"}, "argument": {"name": "x", "value": ""}}
    async with node(broker, server):
        token = "t" if method in ("tools/call", "prompts/get") else "_"
        asker.send(f"req.docs._._._.{method.replace('/', '-')}.{token}", body(method, **params))
        error = (await asker.answer())["error"]
        assert error == {"code": -32603, "message": "no", "data": {"seen": 1}}


async def test_what_a_raw_handler_says_of_delivery_it_says_by_types_of_their_own(
    broker: MemoryBroker, asker: Asker
):
    server = Server("docs")
    raised: list[Exception] = [
        NotBegun("down", reason="busy"),
        CutOff("lost in the middle"),
        NotStarted("a nested call was refused", reason="busy"),
        NotFound("a nested call found nobody", retryable=True),
        PermissionDenied("a nested call was denied"),
        OutcomeUnknown("a nested call was lost", reason="cut_off"),
        CallTimeout("a nested call took too long", reason="deadline"),
    ]

    async def fail(request: RawRequest) -> bytes:
        raise raised[json.loads(request.params)["arguments"]["at"]]

    server.add_raw("tool", {"name": "t", "inputSchema": {"type": "object"}}, fail)
    async with node(broker, server):
        answers = []
        for at in range(len(raised)):
            asker.send(
                "req.docs._._._.tools-call.t", body("tools/call", name="t", arguments={"at": at}), f"{at}-0-f"
            )
            answers.append(await asker.answer(f"{at}-0-f"))
    assert answers[0]["error"]["data"]["reason"] == "busy"
    assert answers[0]["error"]["code"] == -31900
    assert answers[1]["error"]["data"] == {"reason": "cut_off"}
    assert answers[1]["error"]["message"] == "lost in the middle"
    for answer in answers[2:]:
        assert answer["result"]["isError"]


async def test_a_result_that_is_no_object_is_an_error(broker: MemoryBroker, asker: Asker):
    server = Server("docs")

    async def nonsense(request: RawRequest) -> bytes:
        return b"[1]"

    server.add_raw("tool", {"name": "t", "inputSchema": {"type": "object"}}, nonsense)
    async with node(broker, server):
        asker.send("req.docs._._._.tools-call.t", body("tools/call", name="t"))
        assert (await asker.answer())["error"]["data"] == {"reason": "bad_result"}


async def test_a_resource_that_cannot_be_read_now_is_refused_so_that_another_node_is_asked(
    broker: MemoryBroker, asker: Asker
):
    """M1.6"""
    server = Server("docs")

    @server.actor
    class Shelf(Actor):
        @resource("a://crash")
        async def crash(self) -> str:
            raise SystemExit

        @resource("a://page")
        async def page(self) -> str:
            return ""

    server.add_resource("a://other", lambda: "other")
    async with node(broker, server):
        asker.send("req.docs._._._.resources-read._", body("resources/read", uri="a://crash"), "1-0-f")
        assert reason(await asker.answer("1-0-f")) == "crashed_actor"
        for number, uri in enumerate(("a://page", "a://other"), 2):
            asker.send("req.docs._._._.resources-read._", body("resources/read", uri=uri), f"{number}-0-f")
        assert reason(await asker.answer("2-0-f")) == "crashed"
        assert (await asker.answer("3-0-f"))["result"]["contents"][0]["text"] == "other"


async def test_definitions_are_listed_as_they_were_given(broker: MemoryBroker, asker: Asker):
    """M8.8"""
    server = raw_server()
    odd = {"name": "z", "inputSchema": {"type": "object"}, "later": {"deep": [None, 1.5]}}
    server.add_raw("tool", odd, echo)
    async with node(broker, server):
        asker.send("req.docs._._._.tools-list._", body("tools/list"))
        assert (await asker.answer())["result"]["tools"][1] == odd
