"""What a fault did to 64 callers, of which half only look and half change something; and one table of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest
from tests.support.load import Done, Load
from tests.support.turns import longest_turn_s

from longreach.client.mesh import Mesh
from longreach.testing import NodeProcess

ROOT = Path(__file__).resolve().parents[2]
CALLERS = 64
SECONDS = (0.005, 0.6, 2.0)
"""How long the tools take, in turn."""
TOLD_S = 30.0
"""Every call has ended by then, beyond its tool's own time."""
HEADINGS = (
    "fault", "rounds", "calls", "in flight", "failed", "unknown", "refused", "retried", "doubled",
    "longest s", "turn s",
)  # fmt: skip


@dataclass
class Row:
    """One line of the table.

    `in_flight` is at the moments of the faults. Of calls without a result, `unknown` and `refused` are those
    whose error is what is promised: of tools that must not be run twice, that the outcome is unknown; where
    there was nobody, or no room, that nothing ran. All others have `failed`. `doubled` counts calls of tools
    that must not be run twice. `longest_s` is what a call took beyond its tool's own time, until its result
    or error. `turn_s` is the longest turn of a node's loop, in seconds of processor time; 0 if unwatched.
    """

    fault: str
    rounds: int
    calls: int
    in_flight: int
    retried: int
    doubled: int
    longest_s: float
    failed: int = 0
    unknown: int = 0
    refused: int = 0
    turn_s: float = 0.0

    def cells(self) -> list[str]:
        values = asdict(self) | {"longest_s": f"{self.longest_s:.2f}", "turn_s": f"{self.turn_s:.3f}"}
        return [str(values[heading.replace(" ", "_")]) for heading in HEADINGS]


def report(request: pytest.FixtureRequest, row: Row) -> None:
    """Add a row to the table that is printed when all tests have run, in whichever process."""
    request.node.user_properties.append(("chaos", asdict(row)))


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as aligned lines, with a heading."""
    lines = [list(HEADINGS), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]


def chaos_node(urls: str | Sequence[str], effects: Path, region: str = "local", *flags: str) -> NodeProcess:
    """A node of `chaos`, whose effects are counted in a file."""
    return NodeProcess(
        "tests.support.chaos_node:chaos",
        urls,
        region=region,
        flags=flags,
        folder=ROOT,
        environment={"CHAOS_EFFECTS": str(effects)},
    )


def effects_of(path: Path) -> list[tuple[str, float]]:
    """Every run that began, as (ident, wall seconds)."""
    if not path.exists():
        return []
    return [(ident, int(at) / 1e9) for ident, at in (line.split() for line in path.read_text().splitlines())]


@dataclass
class Damage:
    """Watches 64 callers through some faults.

    Args:
        mesh: that they call through.
        effects: the file in which runs are counted, outside of every node.
        seconds: how long tools take.
    """

    mesh: Mesh
    effects: Path
    seconds: Sequence[float] = SECONDS
    faults: list[float] = field(default_factory=list)
    in_flight: int = 0

    def __post_init__(self) -> None:
        def arguments(number: int) -> dict[str, float]:
            return {"seconds": self.seconds[number % len(self.seconds)]}

        half = CALLERS // 2
        self.looks = Load(self.mesh, ["chaos.look"], arguments, callers=half)
        self.changes = Load(self.mesh, ["chaos.change"], arguments, callers=half)

    async def __aenter__(self) -> Damage:
        self.looks.start()
        self.changes.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.looks.abandon()
            self.changes.abandon()
        await self.stop()

    async def stop(self) -> None:
        await self.looks.stop(self._longest_s)
        await self.changes.stop(self._longest_s)

    async def settle(self, calls: int = CALLERS) -> None:
        """Wait until so many more calls of each half have ended."""
        await asyncio.gather(self.looks.settle(calls), self.changes.settle(calls))

    async def calm(self) -> None:
        """Wait until all calls that are open now have ended: no call has two faults to bear."""
        await asyncio.gather(self.looks.turn(self._longest_s), self.changes.turn(self._longest_s))

    @property
    def _longest_s(self) -> float:
        """What the longest tool takes, and what it may take to be told."""
        return max(self.seconds) + TOLD_S

    def fault(self) -> float:
        """To be called as the fault happens; the time."""
        self.in_flight += self.looks.in_flight + self.changes.in_flight
        self.faults.append(time.monotonic())
        return self.faults[-1]

    @property
    def done(self) -> list[Done]:
        return [*self.looks.done, *self.changes.done]

    def told_after(self, done: Done) -> float:
        """How long after the fault, or after it began if that is later, a call's caller was told."""
        before = [at for at in self.faults if at <= done.ended]
        return done.ended - max([*before[-1:], done.began])

    def doubled(self) -> list[str]:
        """Calls of the tool that changes something that ran more than once."""
        mine = {done.ident for done in self.changes.done}
        runs = Counter(ident for ident, _ in effects_of(self.effects) if ident in mine)
        return [ident for ident, count in runs.items() if count > 1]

    def ghosts(self, timeout_s: float, slack_s: float = 0.05) -> list[str]:
        """Calls that began after their time was over, or though their caller was told that they did not."""
        wall = time.time() - time.monotonic()
        began = {done.ident: done for done in self.done}
        return [
            ident
            for ident, at in effects_of(self.effects)
            if (done := began.get(ident)) is not None
            and (
                at > done.began + wall + timeout_s + slack_s
                or (done.error is not None and done.error.delivered == "no")
            )
        ]

    def row(self, fault: str) -> Row:
        unknown = [done for done in self.changes.failed if done.error and done.error.delivered == "unknown"]
        return Row(
            fault,
            len(self.faults),
            len(self.done),
            self.in_flight,
            sum(done.attempts > 1 for done in self.done),
            len(self.doubled()),
            max((done.late_s for done in self.done), default=0.0),
            failed=len(self.looks.failed) + len(self.changes.failed) - len(unknown),
            unknown=len(unknown),
            turn_s=longest_turn_s(self.effects),
        )
