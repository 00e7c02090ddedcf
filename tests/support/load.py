"""Load on a mesh: so many callers, one call after the other, and what became of each call."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from longreach.client.mesh import Mesh
from longreach.errors import LongreachError


@dataclass
class Done:
    """One call: when it began and ended (monotonic s), and its error, if any."""

    ident: str
    began: float
    ended: float
    error: LongreachError | None
    attempts: int
    seconds: float = 0.0
    """What the tool itself takes."""
    region: str = ""

    @property
    def late_s(self) -> float:
        """How much longer it took than its tool takes."""
        return self.ended - self.began - self.seconds


@dataclass
class Load:
    """`callers` tasks that call until told to stop."""

    mesh: Mesh
    tools: list[str]
    arguments: dict[str, Any] | Callable[[int], dict[str, Any]]
    callers: int = 64
    done: list[Done] = field(default_factory=list)
    in_flight: int = 0

    def __post_init__(self) -> None:
        self._stop = asyncio.Event()
        self._abandoned = False
        self._numbers = itertools.count()
        self.open: dict[int, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._call_on()) for _ in range(self.callers)]

    async def stop(self, timeout_s: float = 30) -> None:
        """Begin no more calls, and wait for those that are open."""
        self._stop.set()
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(*self._tasks, return_exceptions=self._abandoned)

    def abandon(self) -> None:
        """Cancel the calls that are open: the test has failed already."""
        self._abandoned = True
        for task in self._tasks:
            task.cancel()

    async def settle(self, calls: int, timeout_s: float = 30) -> None:
        """Wait until `calls` more calls have ended."""
        target = len(self.done) + calls
        async with asyncio.timeout(timeout_s):
            while len(self.done) < target:
                await asyncio.sleep(0.005)

    async def turn(self, timeout_s: float = 30) -> None:
        """Wait until all calls that are open now have ended."""
        now = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while any(began <= now for began in self.open.values()):
                await asyncio.sleep(0.005)

    @property
    def failed(self) -> list[Done]:
        return [done for done in self.done if done.error is not None]

    async def _call_on(self) -> None:
        while not self._stop.is_set():
            number = next(self._numbers)
            ident = f"{id(self):x}-{number}"
            began = time.monotonic()
            error = None
            attempts, region = 1, ""
            arguments = self.arguments(number) if callable(self.arguments) else self.arguments
            self.in_flight += 1
            self.open[number] = began
            try:
                tool = self.tools[number % len(self.tools)]
                result = await self.mesh.call(tool, {**arguments, "ident": ident})
                assert result.text.endswith(ident), result
                attempts, region = result.attempts, result.region or ""
            except LongreachError as caught:
                error = caught
            finally:
                self.in_flight -= 1
                del self.open[number]
            seconds = float(arguments.get("seconds", 0.0))
            self.done.append(Done(ident, began, time.monotonic(), error, attempts, seconds, region))
