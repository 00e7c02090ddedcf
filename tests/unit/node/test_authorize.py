"""`Server(authorize=)`: asked before a handler begins; a refusal tells that nothing ran, and not why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.support.asker import META, Asker
from tests.support.hosts import node

from longreach import AuthRequest, Server
from longreach.errors import ConfigError, ProtocolError
from longreach.transport.memory import MemoryBroker

REFUSED = {
    "code": -31913,
    "message": "you may not use this; nothing ran",
    "data": {"delivered": "no", "reason": "forbidden"},
}


class Hook:
    """A hook that allows what `may` says, and remembers what it was asked."""

    def __init__(self, may: Callable[[AuthRequest], Any]) -> None:
        self.may = may
        self.asked: list[AuthRequest] = []

    def __call__(self, request: AuthRequest) -> bool | Awaitable[bool]:
        self.asked.append(request)
        return self.may(request)  # type: ignore[no-any-return]


def everything(authorize: Any, ran: list[str]) -> Server:
    """``docs`` with something of each kind; `ran` says what was run."""
    server = Server("docs", authorize=authorize)

    @server.tool
    async def echo(text: str = "hi") -> str:
        ran.append("echo")
        return text

    @server.prompt(complete={"topic": lambda value: ran.append("complete") or ["a"]})
    async def essay(topic: str) -> str:
        ran.append("essay")
        return topic

    @server.resource("mem://note")
    async def note() -> str:
        ran.append("note")
        return "n"

    @server.resource("mem://notes/{number}")
    async def numbered(number: int) -> str:
        ran.append("numbered")
        return str(number)

    return server


REQUESTS: list[tuple[str, str, dict[str, Any], AuthRequest]] = [
    ("tools-call", "echo", {"name": "echo"}, AuthRequest("tools/call", "echo", "alice", "g1", None)),
    (
        "prompts-get", "essay", {"name": "essay", "arguments": {"topic": "t"}},
        AuthRequest("prompts/get", "essay", "alice", "g1", None),
    ),
    (
        "resources-read", "_", {"uri": "mem://note"},
        AuthRequest("resources/read", "mem://note", "alice", "g1", None),
    ),
    (
        "resources-read", "_", {"uri": "mem://notes/7"},
        AuthRequest("resources/read", "mem://notes/7", "alice", "g1", None),
    ),
    (
        "completion-complete", "_",
        {"ref": {"type": "ref/prompt", "name": "essay"}, "argument": {"name": "topic", "value": ""}},
        AuthRequest("completion/complete", "essay", "alice", "g1", None),
    ),
]  # fmt: skip


async def send(asker: Asker, method: str, name: str, params: dict[str, Any], call: str = "1-0-f") -> Any:
    said = method.replace("-", "/", 1) if method != "resources-templates-list" else "resources/templates/list"
    body = {"jsonrpc": "2.0", "id": 1, "method": said, "params": {**params, "_meta": META}}
    asker.send(f"req.docs._.{asker.asker}.{method}.{name}", msgspec.json.encode(body), call)
    return await asker.answer(call)


@pytest.mark.parametrize(("method", "name", "params", "asked"), REQUESTS)
async def test_the_hook_is_asked_before_anything_runs(
    broker: MemoryBroker, method: str, name: str, params: dict[str, Any], asked: AuthRequest
):
    ran: list[str] = []
    hook = Hook(lambda _: True)
    asker = Asker(broker, asker="g1.alice")
    async with node(broker, everything(hook, ran)):
        answer = await send(asker, method, name, params, "1-0-f")
        hook.may = lambda _: False
        refused = await send(asker, method, name, params, "2-0-f")

    assert "result" in answer
    assert len(ran) == 1
    assert refused["error"] == REFUSED
    assert hook.asked == [asked, asked]


async def test_a_coroutine_function_may_be_the_hook(broker: MemoryBroker, asker: Asker):
    async def odd(request: AuthRequest) -> bool:
        await asyncio.sleep(0)
        return request.caller == "alice"

    async with node(broker, everything(odd, [])):
        alice = Asker(broker, asker="_.alice")
        assert "result" in await alice.ask("echo")
        assert (await asker.ask("echo"))["error"] == REFUSED


@pytest.mark.parametrize("may", [lambda _: 1 / 0, lambda _: None, lambda _: 1, lambda _: "yes"])
async def test_a_hook_that_fails_lets_nobody_in_and_is_logged(
    broker: MemoryBroker, asker: Asker, may: Any, caplog: pytest.LogCaptureFixture
):
    ran: list[str] = []
    with caplog.at_level(logging.ERROR):
        async with node(broker, everything(Hook(may), ran)):
            answer = await asker.ask("echo")

    assert answer["error"] == REFUSED
    assert ran == []
    assert "authorize." in caplog.text


@pytest.mark.parametrize("awaits", [False, True])
@pytest.mark.parametrize(
    "error",
    [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException, asyncio.CancelledError, MemoryError],
)
async def test_whatever_a_hook_raises_lets_nobody_in_and_ends_nothing_else(
    broker: MemoryBroker, asker: Asker, error: type[BaseException], awaits: bool
):
    async def hook(request: AuthRequest) -> bool:
        if request.name != "echo":
            return True
        if awaits:
            await asyncio.sleep(0)
        raise error

    ran: list[str] = []
    async with node(broker, everything(hook, ran)):
        assert (await asker.ask("echo", call="1-0-f"))["error"] == REFUSED
        listed = await send(asker, "tools-list", "_", {}, "2-0-f")
        assert "echo" not in [tool["name"] for tool in listed["result"]["tools"]]
        assert (await asker.ask("echo", call="3-0-f"))["error"] == REFUSED
    assert ran == []


async def test_a_hook_that_waits_is_waited_for_until_the_deadline(broker: MemoryBroker, asker: Asker):
    async def never(_: AuthRequest) -> bool:
        await asyncio.Event().wait()
        return True

    ran: list[str] = []
    async with node(broker, everything(never, ran)) as running:
        call = f"1-{int(asyncio.get_running_loop().time() * 0) + running._clock.wall_ms() + 60:x}-f"
        asker.request("echo", call=call)
        answer = await asker.answer(call)

    assert answer["error"]["data"]["reason"] == "deadline"
    assert ran == []


async def test_a_handler_cannot_claim_that_nothing_ran(broker: MemoryBroker, asker: Asker):
    """M17.4"""
    server = Server("docs")

    @server.tool
    async def sly() -> str:
        raise ProtocolError(-31913, "no", {"delivered": "no"})

    async with node(broker, server):
        assert (await asker.ask("sly"))["error"]["code"] == -32603


LISTS = {
    "tools-list": ("tools", "name", "echo", "tools/call"),
    "prompts-list": ("prompts", "name", "essay", "prompts/get"),
    "resources-list": ("resources", "uri", "mem://note", "resources/read"),
    "resources-templates-list": (
        "resourceTemplates", "uriTemplate", "mem://notes/{number}", "resources/read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("method", LISTS)
async def test_a_caller_sees_what_it_may_use(broker: MemoryBroker, method: str):
    """M17.5"""
    member, key, name, used_with = LISTS[method]
    hook = Hook(lambda request: request.caller == "alice")
    async with node(broker, everything(hook, [])):
        seen = await send(Asker(broker, asker="_.alice"), method, "_", {})
        hidden = await send(Asker(broker, asker="_.bob"), method, "_", {})

    assert [item[key] for item in seen["result"][member]] == [name]
    assert hidden["result"][member] == []
    assert {answer["result"]["cacheScope"] for answer in (seen, hidden)} == {"private"}
    assert hook.asked[0] == AuthRequest(used_with, name, "alice", None, None)


async def test_long_lists_come_in_pages_of_what_may_be_seen(broker: MemoryBroker):
    server = Server("docs", authorize=lambda request: int(request.name[1:]) % 2 == 0)

    async def tool() -> str:
        return ""

    broker.max_payload = 64 * 1024
    for number in range(400):
        server.add_tool(tool, name=f"t{number:03}", description="x" * 500)
    asker, seen, cursor = Asker(broker), [], None
    async with node(broker, server):
        for page in range(20):
            params = {} if cursor is None else {"cursor": cursor}
            answer = await send(asker, "tools-list", "_", params, f"{page}-0-f")
            seen += [tool["name"] for tool in answer["result"]["tools"]]
            cursor = answer["result"].get("nextCursor")
            if cursor is None:
                break

    assert page > 0
    assert seen == [f"t{number:03}" for number in range(0, 400, 2)]


async def test_a_wrong_listing_is_refused_as_ever(broker: MemoryBroker, asker: Asker):
    async with node(broker, everything(lambda _: True, [])):
        answer = await send(asker, "tools-list", "_", {"cursor": "nonsense"})

    assert answer["error"]["code"] == -32602


def test_listings_are_private_and_reading_cannot_be_public():
    assert Server("docs", authorize=lambda _: True, cache_scope="public").cache_scope == "private"
    with pytest.raises(ConfigError, match="read_cache_scope"):
        Server("docs", authorize=lambda _: True, read_cache_scope="public")
