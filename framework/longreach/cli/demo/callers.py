"""The demo's callers: 64 at once, at home in two regions, some of them bound to one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from longreach.cli.demo.tally import Answered
from longreach.errors import LongreachError
from longreach.tasks import TaskSet

if TYPE_CHECKING:
    from longreach.cli.demo.board import Board
    from longreach.cli.demo.jobs import Job, Jobs
    from longreach.client.mesh import Mesh
    from longreach.client.results import CallResult


class Crowd(NamedTuple):
    """Callers of one kind.

    Attributes:
        size: how many there are.
        home: the region that they ask first.
        pinned: whether they may use no other.
    """

    size: int
    home: str
    pinned: bool = False


CROWDS = (Crowd(24, "eu"), Crowd(16, "eu", pinned=True), Crowd(24, "us"))
IN_FLIGHT = sum(crowd.size for crowd in CROWDS)


class Callers:
    """Calls, one after the other from each caller, until they are told to stop.

    Args:
        mesh: the connection that all of them use.
        jobs: what they ask for.
        board: where it is written down.
    """

    def __init__(self, mesh: Mesh, jobs: Jobs, board: Board) -> None:
        self._mesh = mesh
        self._jobs = jobs
        self._board = board
        self._stopping = False
        self._tasks = TaskSet("demo callers", self._broken)
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Let all callers begin."""
        for crowd in CROWDS:
            residency = [crowd.home] if crowd.pinned else None
            view = self._mesh.options(region=crowd.home, residency=residency, on_progress=self._note)
            for number in range(crowd.size):
                name = f"caller {number} in {crowd.home}"
                self._running.append(self._tasks.spawn(self._call_on(view, crowd), name=name))

    async def finish(self, timeout_s: float) -> None:
        """Make no more calls, and wait at most `timeout_s` for those that are on their way."""
        self._stopping = True
        if self._running:
            await asyncio.wait(self._running, timeout=timeout_s)

    async def close(self) -> None:
        """Cancel what is still on its way."""
        self._stopping = True
        await self._tasks.close()

    async def _call_on(self, mesh: Mesh, crowd: Crowd) -> None:
        while not self._stopping:
            await self._call(mesh, crowd, self._jobs.draw())

    async def _call(self, mesh: Mesh, crowd: Crowd, job: Job) -> None:
        board, tally = self._board, self._board.tally
        tally.began()
        began_s = board.now_s
        try:
            result = await mesh.call(job.target, job.arguments)
        except LongreachError as error:
            tally.failed(f"{job.target}: {type(error).__name__}: {error} (delivered: {error.delivered})")
            return
        self._check(result, crowd, job)
        tally.ended(
            Answered(
                job.target,
                job.is_slow,
                began_s,
                board.now_s,
                result.region or "?",
                result.node or "?",
                result.retries,
            )
        )

    def _check(self, result: CallResult, crowd: Crowd, job: Job) -> None:
        if result.is_error or not job.is_right(result):
            self._board.tally.wrong.append(f"{job.target} {job.arguments}: {result.text[:200]}")
        if crowd.pinned and result.region != crowd.home:
            self._board.tally.strayed += 1

    def _note(self, progress: float, total: float | None, message: str | None) -> None:
        self._board.tally.notes += 1

    def _broken(self, name: str, error: BaseException) -> None:
        self._board.tally.failed(f"{name} broke down: {error!r}")
