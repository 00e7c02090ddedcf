"""Calls of several rounds without a node: what a client does, with the actor at hand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET
from tests.support.actors import Recorder, cell_for, make_call

from longreach.actor.call import Completed, Ending, Failed
from longreach.actor.context import Place
from longreach.actor.server import Server
from longreach.actor.states import States
from longreach.clock import FakeClock
from longreach.policy.sealing import Key, KeyRing
from longreach.wire.inputs import InputRequiredResult
from longreach.wire.jsonrpc import RequestMeta, encode_request

ALL = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}, "context": {}}, "roots": {}}
KEY = Key("test", bytes(range(32)))


class Keys:
    """A ring that can be changed."""

    def __init__(self, *keys: Key) -> None:
        self.keys = keys or (KEY,)

    def ring(self, *, sealing: bool) -> KeyRing:
        return KeyRing(self.keys)


class Caller:
    """Calls one tool (or prompt, ...) of `server`, each time on another node.

    Args:
        server: whose.
        name: the cell: of a tool its name, of a class of actors the class's.
        tool: the tool, where that is another name.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        tool: str | None = None,
        *,
        kind: str = "tool",
        keys: Keys | None = None,
        clock: FakeClock | None = None,
        ttl_s: float = 600.0,
    ) -> None:
        self.server = server
        self.name = name
        self.id = f"{kind} {tool or name}"
        self.kind = kind
        self.keys = keys or Keys()
        self.clock = clock or FakeClock()
        self.ttl_s = ttl_s
        self.recorder = Recorder()
        self._numbers = itertools.count()

    async def send(
        self,
        arguments: Mapping[str, Any] | None = None,
        *,
        state: Any = UNSET,
        responses: Any = UNSET,
        capabilities: Mapping[str, Any] = ALL,
        caller: str = "_",
        uri: str = "",
    ) -> Ending:
        """One request to a fresh node, and its ending."""
        states = States(self.keys, self.clock, ttl_s=self.ttl_s)
        place = Place(self.server.name, "eu", f"node.{next(self._numbers)}", self.clock, states)
        cell = cell_for(self.server, self.name, kind=self.kind, place=place)
        await cell.start()
        try:
            key = f"call{next(self._numbers)}"
            meta = RequestMeta("2026-07-28", dict(capabilities))
            spec = cell.specs[self.id]
            call = make_call(self.recorder, key, spec, dict(arguments or {}), meta=meta, clock=self.clock)
            call.caller = caller
            call.params.request_state = state
            call.params.uri = uri
            if responses is not UNSET:
                call.params.input_responses = msgspec.Raw(msgspec.json.encode(responses))
            call.data = encode_request(1, spec.method, call.params)
            assert cell.offer(call) is None
            ending = await self.recorder.ending(key)
            assert cell.state == "ready"
            return ending
        finally:
            await cell.stop()


def asked(ending: Ending) -> InputRequiredResult:
    """What an ending asks for."""
    assert isinstance(ending, Completed), ending
    assert isinstance(ending.result, InputRequiredResult), ending
    return ending.result


def keys_of(ending: Ending) -> list[str]:
    """The keys of what an ending asks for."""
    requests = asked(ending).input_requests
    return [] if requests is UNSET else list(requests)


def state_of(ending: Ending) -> str:
    """The request state of an ending."""
    state = asked(ending).request_state
    assert isinstance(state, str)
    return state


def text_of(ending: Ending) -> str:
    """The text of a result."""
    assert isinstance(ending, Completed), ending
    return "".join(getattr(block, "text", "?") for block in getattr(ending.result, "content", []))


def failed(ending: Ending) -> Failed:
    """The JSON-RPC error that an ending is."""
    assert isinstance(ending, Failed), ending
    return ending


def accept(**content: Any) -> dict[str, Any]:
    """The user's answer."""
    return {"action": "accept", "content": content}
