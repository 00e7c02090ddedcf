"""Whatever a foreign server says, the bridge goes on reading, and its calls end."""

from __future__ import annotations

import asyncio

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bridges import ScriptedServer

from longreach_bridge.foreign.calls import Ask, ForeignCall, Params
from longreach_bridge.foreign.channel import Arrived
from longreach_bridge.foreign.peer import Peer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("jsonrpc", "id", "method", "params", "result", "error"), JSON),
)
LINES = st.binary(max_size=40) | (MESSAGES | JSON).map(lambda body: msgspec.json.encode(body))


class Ears:
    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        assert isinstance(ask.method, str)

    def told(self, method: str, params: Params, call: ForeignCall | None) -> None:
        assert isinstance(params, dict)


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES, max_size=8))
def test_garbage_ends_nothing_but_what_it_answers(lines: list[bytes]) -> None:
    async def scenario() -> None:
        server = ScriptedServer({"tools/call": lambda _: None})
        peer = Peer("foreign", server, Ears())
        await peer.open()
        call = peer.prepare("tools/call")
        await peer.send(call, {})
        for line in lines:
            server._out.put_nowait(Arrived(line))
        last = peer.prepare("tools/call")
        await peer.send(last, {})
        server.say({"id": last.id, "result": {"x": 1}})
        async with asyncio.timeout(30):
            try:
                await last.next()
            except Exception:  # noqa: BLE001 - a line may have answered it first
                assert lines
        assert call.done or call in peer.calls
        await peer.close()

    asyncio.run(scenario())
