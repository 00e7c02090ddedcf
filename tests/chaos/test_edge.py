"""A leaf node at the edge, whose link to the hub is cut under load.

What is at the edge goes on; what is at the hub is refused, or told as unknown, in bounded time; nothing that
was refused runs when the link is back; and then everything works again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.damage import Damage, Row, chaos_node, effects_of, report
from tests.support.timing import allowed

from longreach import Mesh, connect
from longreach.errors import LongreachError
from longreach.policy.questions import Config
from longreach.policy.retry import ABSENT_S
from longreach.testing import Broker, Leaf

ROUNDS = int(os.environ.get("LONGREACH_EDGE_ROUNDS", "1"))
CALL_S = 20.0
UNKNOWN_S = Config().stuck_s + 2.0
REFUSED_S = ABSENT_S + 1.0
PINGS_S = 6.0
"""A broker notices a link that was cut, and not closed, after two pings that nobody answers."""
PROBE_S = 2.0
BEAT_S = 2.0
BACK_S = BEAT_S + 5.0
"""The leaf node tries every second to rejoin; what was given up is known again by its next heartbeat."""
CALLERS = 4
LOCAL_S = (0.005, 0.1, 0.3)


@dataclass
class Abroad:
    """Four callers at the edge of what is at the hub, one call after the other."""

    mesh: Mesh
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    told: list[tuple[float, float, LongreachError | None, str]] = field(default_factory=list)

    async def call_on(self, number: int) -> None:
        count = 0
        while not self.stop.is_set():
            count += 1
            began, error, ident = time.monotonic(), None, f"hub-{id(self):x}-{number}-{count}"
            try:
                await self.mesh.call("chaos.change", {"seconds": 0.01, "ident": ident})
            except LongreachError as failed:
                error = failed
            self.told.append((began, time.monotonic(), error, ident))
            await asyncio.sleep(0.02)

    def row(self, fault: str, rounds: int, effects: list[tuple[str, float]]) -> Row:
        endings = Counter("" if error is None else error.delivered for _, _, error, _ in self.told)
        runs = Counter(ident for ident, _ in effects)
        doubled = sum(runs[ident] > 1 for _, _, _, ident in self.told)
        longest_s = max(ended - began for began, ended, _, _ in self.told)
        return Row(
            fault, rounds, len(self.told), CALLERS * rounds, 0, doubled, longest_s,
            failed=endings["yes"], unknown=endings["unknown"], refused=endings["no"],
        )  # fmt: skip

    def since(self, at: float) -> list[tuple[float, float, LongreachError | None, str]]:
        return [each for each in self.told if each[0] >= at]


async def until_back(abroad: Abroad) -> float:
    """How long it takes until a call to the hub works again."""
    began = time.monotonic()
    async with asyncio.timeout(BACK_S + UNKNOWN_S):
        while not any(error is None for _, _, error, _ in abroad.since(began)):
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def refused_at_once(mesh: Mesh) -> None:
    """The broker at the edge knows that nobody is there: nothing is kept, and the call says `no`."""
    with pytest.raises(LongreachError) as ended:
        await mesh.options(residency=["hub"], timeout_s=PROBE_S).call(
            "chaos.look", {"seconds": 0.0, "ident": "probe"}
        )
    assert ended.value.delivered == "no"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("closing", [True, False], ids=["reset", "silent"])
async def test_the_link_to_the_hub_is_cut(
    tmp_path: Path, request: pytest.FixtureRequest, closing: bool
) -> None:
    here, there = tmp_path / "edge", tmp_path / "hub"
    async with (
        Broker() as hub,
        Leaf(hub) as leaf,
        chaos_node(hub.url, there, "hub", "--announce-every", f"{BEAT_S:g}"),
        chaos_node(leaf.url, here, "edge"),
        connect(leaf.url, timeout_s=CALL_S) as mesh,
    ):
        await mesh.tools()
        abroad = Abroad(mesh.options(residency=["hub"]))
        async with (
            Damage(mesh.options(residency=["edge"]), here, LOCAL_S) as damage,
            asyncio.TaskGroup() as group,
        ):
            for number in range(CALLERS):
                _ = group.create_task(abroad.call_on(number))
            rounds = []
            for _ in range(ROUNDS):
                await until_back(abroad)
                await damage.settle()
                leaf.link.cut(closing=closing)
                cut_at = damage.fault()
                await asyncio.sleep(0.5 if closing else PINGS_S + 0.5)
                await refused_at_once(mesh)
                await asyncio.sleep(REFUSED_S - PROBE_S)
                leaf.link.heal()
                healed_at = time.monotonic()
                rounds.append((cut_at, healed_at, await until_back(abroad)))
            abroad.stop.set()
        fault = "edge's link reset" if closing else "edge's link cut"
        report(request, damage.row(f"{fault}: calls at the edge"))
        report(request, abroad.row(f"{fault}: calls to the hub", ROUNDS, effects_of(there)))
        assert [done.error for done in damage.done if done.error is not None] == []
        assert damage.doubled() == []
        check_abroad(abroad, effects_of(there), rounds)


def check_abroad(
    abroad: Abroad, effects: list[tuple[str, float]], rounds: list[tuple[float, float, float]]
) -> None:
    """Every call to the hub ended as what it was, in bounded time, and ran at most once and not later."""
    runs = Counter(ident for ident, _ in effects)
    at = dict(reversed(effects))
    wall = time.time() - time.monotonic()
    for began, ended, error, ident in abroad.told:
        assert runs[ident] <= 1
        if error is None:
            assert runs[ident] == 1
            continue
        assert error.delivered in ("no", "unknown"), error
        assert ended - began <= allowed(REFUSED_S + UNKNOWN_S), (ended - began, error)
        if error.delivered == "no":
            assert runs[ident] == 0, f"{ident} was refused and ran"
        elif runs[ident]:
            assert at[ident] <= began + wall + CALL_S + 0.1
    for _, healed_at, back_s in rounds:
        assert back_s <= allowed(BACK_S), healed_at
    assert any(error is not None for _, _, error, _ in abroad.told)
