from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.bridges import ScriptedServer

from longreach.errors import ProtocolError
from longreach_bridge.foreign.calls import Ask, ForeignCall
from longreach_bridge.foreign.channel import Arrived, Lost, Outgoing
from longreach_bridge.foreign.handshake import Times, shake_hands
from longreach_bridge.foreign.peer import Peer


class Ears:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.fails = False

    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        self.heard.append(ask.method)

    def told(self, method: str, params: Any, call: ForeignCall | None) -> None:
        self.heard.append(method)
        if self.fails:
            raise RuntimeError("a defect")


async def opened(server: ScriptedServer, ears: Ears | None = None) -> Peer:
    peer = Peer("foreign", server, ears or Ears())
    await peer.open()
    return peer


async def pending(peer: Peer, server: ScriptedServer) -> ForeignCall:
    call = peer.prepare("tools/call")
    await peer.send(call, {})
    return call


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer({"tools/call": lambda _: None})


async def test_an_answer_that_cannot_be_read_ends_its_call(server: ScriptedServer) -> None:
    peer = await opened(server)
    call = await pending(peer, server)

    server.say({"id": call.id, "error": {"code": "not a number"}})

    async with asyncio.timeout(30):
        with pytest.raises(ProtocolError, match="cannot be read"):
            await call.next()
    await peer.close()


async def test_a_number_that_json_does_not_have_ends_its_call_with_its_place(server: ScriptedServer) -> None:
    peer = await opened(server)
    call = await pending(peer, server)

    server.say_raw(
        b'{"jsonrpc":"2.0","id":%d,"result":{"structuredContent":{"mean":NaN},"content":[]}}' % call.id
    )

    async with asyncio.timeout(5):
        with pytest.raises(
            ProtocolError, match=r"not JSON: JSON has no NaN at result\.structuredContent\.mean"
        ):
            await call.next()
    await peer.close()


DEEP = b'{"a":' * 5_000 + b"1" + b"}" * 5_000


@pytest.mark.parametrize(
    "answer",
    [
        b'{"jsonrpc":"2.0","id":%d,"result":%s}' % (0, DEEP),
        b'{"id": "%d", "result": %s}' % (0, DEEP),
        b'{"jsonrpc":"2.0","result":%s,"id":%d}' % (DEEP, 0),
        b'{"result":%s,"id":%d,"jsonrpc":"2.0"}' % (DEEP, 0),
        b'{"jsonrpc":"2.0","id":%d,"result":{"content":[' % 0,
    ],
    ids=["first", "as text", "last", "before jsonrpc", "cut off"],
)
async def test_an_answer_that_no_parser_takes_ends_its_call(server: ScriptedServer, answer: bytes) -> None:
    peer = await opened(server)
    call = await pending(peer, server)

    server.say_raw(
        answer.replace(b'"id":0', b'"id":%d' % call.id).replace(b'"id": "0"', b'"id": "%d"' % call.id)
    )

    async with asyncio.timeout(20):
        with pytest.raises(ProtocolError, match=r"cannot be read|not JSON"):
            await call.next()
    await peer.close()


async def test_an_id_inside_of_an_unreadable_message_ends_no_call(server: ScriptedServer) -> None:
    ears = Ears()
    peer = await opened(server, ears)
    call = await pending(peer, server)

    inner = b'{"jsonrpc":"2.0","id":%d,"result":{}}' % call.id
    server.say_raw(b'{"jsonrpc":"2.0","method":"x","params":{"a":%s,"b":%s}}' % (DEEP, inner))
    server.say_raw(b'{"jsonrpc":"2.0","id":%d,"method":"x","params":%s}' % (call.id, DEEP))
    server.say({"id": call.id, "result": {"x": 1}})

    async with asyncio.timeout(20):
        assert bytes(await call.next()) == b'{"x":1}'  # type: ignore[arg-type]
    await peer.close()


async def test_ids_may_come_back_as_text(server: ScriptedServer) -> None:
    peer = await opened(server)
    call = await pending(peer, server)

    server.say({"id": str(call.id), "result": {"x": 1}})

    async with asyncio.timeout(30):
        assert bytes(await call.next()) == b'{"x":1}'  # type: ignore[arg-type]
    await peer.close()


async def test_rubbish_and_defects_do_not_end_the_reading(server: ScriptedServer) -> None:
    ears = Ears()
    ears.fails = True
    peer = await opened(server, ears)
    call = await pending(peer, server)

    for rubbish in (b"Listening on port 3000", b"[1]", b'{"jsonrpc":"2.0","params":[]}', b"\xff\xfe"):
        server._out.put_nowait(Arrived(rubbish))
    server.say({"method": "notifications/odd"})
    server.say({"id": 999, "result": {}})
    server.say({"id": call.id, "result": {}})

    async with asyncio.timeout(30):
        await call.next()
    assert ears.heard == ["notifications/odd"]
    await peer.close()


async def test_a_channel_that_breaks_loses_its_calls(server: ScriptedServer) -> None:
    peer = await opened(server)
    call = await pending(peer, server)

    async def broken() -> Arrived:
        raise OSError("the cable")

    server.receive = broken  # type: ignore[method-assign]
    server.say({"method": "notifications/odd"})

    async with asyncio.timeout(30):
        with pytest.raises(Lost, match="the cable") as caught:
            await call.next()
        assert caught.value.sent
        assert "the cable" in str(await peer.gone())
    await peer.close()


async def test_what_could_not_be_sent_is_not_taken_for_sent(server: ScriptedServer) -> None:
    peer = await opened(server)

    async def refuse(message: Outgoing) -> None:
        raise Lost("it does not read")

    server.send = refuse  # type: ignore[method-assign]

    with pytest.raises(Lost) as caught:
        await pending(peer, server)
    assert not caught.value.sent
    assert peer.calls == ()
    await peer.close()


@pytest.mark.parametrize(
    ("code", "data", "era"),
    [
        (-32601, None, "legacy"),
        (-32602, None, "legacy"),
        (-32022, {"supported": ["2025-11-25"], "requested": "2026-07-28"}, "legacy"),
        (-32022, {"supported": ["2099-01-01"], "requested": "2026-07-28"}, None),
    ],
)
async def test_what_the_first_answer_means(code: int, data: Any, era: str | None) -> None:
    from tests.support.bridges import ErrorReply, legacy_methods

    methods = legacy_methods()
    methods["server/discover"] = lambda _: ErrorReply(code, "no", data)
    server = ScriptedServer(methods)
    peer = await opened(server)

    if era is None:
        with pytest.raises(Lost, match="2099"):
            await shake_hands(peer, Times())
    else:
        assert (await shake_hands(peer, Times())).era == era
    await peer.close()


async def test_a_slow_modern_server_that_was_initialized_too_soon_is_asked_again() -> None:
    from tests.support.bridges import ErrorReply, modern_methods

    methods = modern_methods()
    answers = iter([None, methods["server/discover"]({})])
    methods["server/discover"] = lambda _: next(answers)
    methods["initialize"] = lambda _: ErrorReply(-32022, "no", {"supported": ["2026-07-28"]})
    peer = await opened(ScriptedServer(methods))

    assert (await shake_hands(peer, Times(probe_s=0.01))).era == "modern"
    await peer.close()


async def test_a_server_that_says_nothing_is_given_up() -> None:
    methods: Any = {"server/discover": lambda _: None, "initialize": lambda _: None}
    peer = await opened(ScriptedServer(methods))

    with pytest.raises(Lost, match="did not answer"):
        await shake_hands(peer, Times(probe_s=0.01, start_s=0.01))
    await peer.close()
