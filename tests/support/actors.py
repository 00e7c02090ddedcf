"""Actors without a node: calls made by hand, and a sink that remembers how each one ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from longreach.actor.call import Call, Completed, Ending
from longreach.actor.cell import ActorCell
from longreach.actor.context import Place
from longreach.actor.server import Server
from longreach.actor.spec import HandlerSpec
from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.wire.jsonrpc import CallParams

WAIT_S = 30.0


class Recorder:
    """A sink; `endings` has each call's ending, and a second one is an error."""

    def __init__(self) -> None:
        self.endings: dict[str, Ending] = {}
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self._waiting: list[tuple[Callable[[], bool], asyncio.Event]] = []

    def ended(self, call: Call, ending: Ending) -> None:
        assert call.key not in self.endings, f"{call.key} ended twice"
        self.endings[call.key] = ending
        self._look()

    def note(self, call: Call, notification: bytes) -> None:
        self.notes.append((call.key, msgspec.json.decode(notification)))
        self._look()

    def _look(self) -> None:
        for condition, event in self._waiting:
            if condition():
                event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        event = asyncio.Event()
        self._waiting.append((condition, event))
        self._look()
        async with asyncio.timeout(WAIT_S):
            await event.wait()

    async def ending(self, key: str) -> Ending:
        await self.until(lambda: key in self.endings)
        return self.endings[key]

    async def text(self, key: str) -> str:
        ending = await self.ending(key)
        assert isinstance(ending, Completed), ending
        return "".join(getattr(block, "text", "?") for block in ending.result.content)


def make_call(
    recorder: Recorder,
    key: str,
    spec: HandlerSpec | None,
    arguments: dict[str, Any] | None = None,
    *,
    timeout_s: float = 60.0,
    clock: Clock = SYSTEM_CLOCK,
    meta: Any = UNSET,
    data: bytes = b"",
    caller: str = "_",
) -> Call:
    now = clock.monotonic()
    raw = msgspec.Raw(msgspec.json.encode(arguments or {}))
    spec = spec or plain_spec()
    params = CallParams(name=spec.name, arguments=raw, meta=meta)
    return Call(key, 1, spec, params, data, now + timeout_s, "_", caller, now, recorder)


def plain_spec(name: str = "t") -> HandlerSpec:
    """A tool that nobody calls."""

    async def handler() -> str:
        return ""

    return Server("s").add_tool(handler, name=name)


def offer_call(cell: ActorCell, recorder: Recorder, key: str, tool: str, *args: Any, **options: Any) -> Any:
    """Offer `cell` a call of one of its tools; what `offer` says."""
    return cell.offer(make_call(recorder, key, cell.specs[f"tool {tool}"], *args, **options))


def make_place(server: str = "s", clock: Clock = SYSTEM_CLOCK) -> Place:
    return Place(server, "eu", "node.one", clock)


def cell_for(
    server: Server,
    name: str,
    *,
    clock: Clock = SYSTEM_CLOCK,
    kind: str = "tool",
    place: Place | None = None,
    **options: Any,
) -> ActorCell:
    """The cell of a handler, or of a class of actors, as a tree would make it."""
    place = place or make_place(server.name, clock)
    actor = server.actors.get(name)
    if actor is not None:
        return ActorCell(
            name,
            actor.specs,
            concurrency=actor.concurrency,
            mailbox=actor.mailbox,
            place=place,
            cls=actor.cls,
            crash_on=actor.crash_on,
            **options,
        )
    spec = server.handlers[f"{kind} {name}"]
    return ActorCell(
        name, {spec.id: spec}, concurrency=spec.concurrency, mailbox=spec.mailbox, place=place, **options
    )


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds; for what tells nobody."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.001)
