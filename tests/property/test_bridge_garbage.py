"""Whatever a foreign server says, the bridge goes on reading, and its calls end."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bridges import ScriptedServer

from longreach import Server
from longreach_bridge.foreign.calls import Ask, ForeignCall, Params
from longreach_bridge.foreign.channel import Arrived
from longreach_bridge.foreign.handshake import Known
from longreach_bridge.foreign.legacy import LegacySession
from longreach_bridge.foreign.peer import Peer
from longreach_bridge.kinds import Kind
from longreach_bridge.shelf import Shelf

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


MEMBERS = (
    "name",
    "uri",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
    "arguments",
    "_meta",
)
ENTRIES = JSON | st.dictionaries(st.sampled_from(MEMBERS), JSON, max_size=5)
GOOD: dict[Kind, dict[str, Any]] = {
    "tool": {"name": "good tool", "inputSchema": {"type": "object"}},
    "prompt": {"name": "good prompt"},
    "resource": {"uri": "mem://a/good", "name": "good"},
}


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(list(GOOD)),
    before=st.lists(ENTRIES, max_size=3),
    after=st.lists(ENTRIES, max_size=3),
)
def test_what_is_no_definition_costs_a_listing_no_other_entry(
    kind: Kind, before: list[Any], after: list[Any]
) -> None:
    async def scenario() -> None:
        good, member = GOOD[kind], f"{kind}s"
        server = ScriptedServer({f"{member}/list": lambda _: {member: [*before, good, *after]}})
        peer = Peer("foreign", server, Ears())
        await peer.open()
        known = Known("legacy", "2025-06-18", {}, {member: {}}, None)
        found = await LegacySession(peer, known, Mock()).list(kind)
        shelf = Shelf(Server("s"), Mock())
        shelf.put(kind, found)
        assert good in shelf.of_kind(kind).values()
        await peer.close()

    asyncio.run(scenario())
