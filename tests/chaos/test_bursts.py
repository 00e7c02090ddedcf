"""Large results of many calls that are due in the same moment, while all is well and while something moves.

Acceptance: none is lost, and no caller is told that its outcome is unknown, also during a drain, a rolling
restart, a lame-ducked broker and a move of the link. With a broker killed each caller is told, and nothing
runs twice. A mailbox full of calls that hold the loop is answered whole, and the node is heard meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg
from tests.support.damage import ROOT, Row, effects_of, report
from tests.support.operators import Operator, replace
from tests.support.timing import TIMED, allowed
from tests.support.turns import longest_turn_s

from longreach import NatsOptions, connect
from longreach.client.mesh import Mesh
from longreach.errors import LongreachError
from longreach.testing import Broker, Cluster, NodeProcess

ROUNDS = int(os.environ.get("LONGREACH_BURST_ROUNDS", "1"))
KINDS = [(100, 100_000), (60, 400_000), (60, 900_000), (20, 3_000_000)]
"""How many results at once, and how large each is, in bytes."""
TIMEOUT_S = 60.0
HELD_S = 1.0
"""How long handlers wait for the fault, when a burst has one."""
BURNS = 250
BURN_S = 0.025
ACCEPTED_S = allowed(1.5)
"""`accepted` is due 250 ms after a call came; beyond that, what a busy machine may cost."""

NEVER = float("inf")

_groups = itertools.count()


@dataclass
class Bursts:
    """Fires bursts through a mesh, and keeps what became of each call."""

    mesh: Mesh
    effects: Path
    results: int = 0
    wrong: list[str] = field(default_factory=list)
    errors: dict[str, LongreachError] = field(default_factory=dict)
    faults: int = 0
    in_flight: int = 0
    longest_s: float = 0.0

    async def fire(self, count: int, size: int, held_s: float = 0.0, node: str | None = None) -> None:
        """Call `count` times at once, each for a result of `size` bytes; returns when all have ended.

        Args:
            count: of the calls.
            size: of each result, in bytes.
            held_s: how long handlers wait at the most until all are there. 0: for as long as it takes.
            node: which node is to take them all. Defaults to any.
        """
        group = f"g{next(_groups)}"
        mesh = self.mesh if node is None else self.mesh.options(node=node)
        _ = await asyncio.gather(
            *(self._one(mesh, f"{group}-{number}", group, count, size, held_s) for number in range(count))
        )

    async def begun(self, count: int) -> None:
        """Wait until `count` runs have begun since the first burst."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(effects_of(self.effects)) < count:
                await asyncio.sleep(0.01)

    async def _one(self, mesh: Mesh, ident: str, group: str, count: int, size: int, held_s: float) -> None:
        arguments = {"ident": ident, "group": group, "size": count, "bytes_each": size, "seconds": held_s}
        began = time.monotonic()
        self.in_flight += 1
        try:
            text = (await mesh.call("burst.hold", arguments)).text
        except LongreachError as error:
            self.errors[ident] = error
        else:
            self.results += 1
            if len(text) != size or not text.endswith(ident):
                self.wrong.append(ident)
        finally:
            self.longest_s = max(self.longest_s, time.monotonic() - began - held_s)

    @property
    def unknown(self) -> list[LongreachError]:
        return [error for error in self.errors.values() if error.delivered == "unknown"]

    def doubled(self) -> list[str]:
        runs = Counter(ident for ident, _ in effects_of(self.effects))
        return [ident for ident, count in runs.items() if count > 1]

    def ran_though_told_no(self) -> list[str]:
        ran = {ident for ident, _ in effects_of(self.effects)}
        return [ident for ident, error in self.errors.items() if error.delivered == "no" and ident in ran]

    def row(self, fault: str, *, expected_unknown: bool = False) -> Row:
        unknown = len(self.unknown) if expected_unknown else 0
        return Row(
            fault, max(self.faults, ROUNDS), self.results + len(self.errors), self.in_flight,
            self.mesh.stats.retried, len(self.doubled()), self.longest_s,
            failed=len(self.errors) - unknown, unknown=unknown, turn_s=longest_turn_s(self.effects),
        )  # fmt: skip

    def check(self) -> None:
        """Nothing is lost, nothing is unknown, nothing ran twice."""
        assert self.errors == {}
        assert self.wrong == []
        assert self.doubled() == []


def burst_node(urls: str | Sequence[str], effects: Path, *flags: str) -> NodeProcess:
    return NodeProcess(
        "tests.support.gathering_node:burst",
        urls,
        flags=flags,
        folder=ROOT,
        environment={"CHAOS_EFFECTS": str(effects)},
    )


@asynccontextmanager
async def one_node(effects: Path) -> AsyncIterator[tuple[Bursts, NodeProcess]]:
    async with (
        Broker() as broker,
        burst_node(broker.url, effects) as node,
        connect(broker.url, timeout_s=TIMEOUT_S) as mesh,
    ):
        yield Bursts(mesh, effects), node


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("count", "size"), KINDS)
async def test_results_of_one_moment_all_arrive(
    tmp_path: Path, request: pytest.FixtureRequest, count: int, size: int
) -> None:
    async with one_node(tmp_path / "effects") as (bursts, _):
        for _ in range(ROUNDS):
            await bursts.fire(count, size)
        report(request, bursts.row(f"{count} results of {size // 1000} kB at once"))
        bursts.check()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("count", "size"), KINDS)
async def test_results_of_one_moment_survive_the_drain_of_their_node(
    tmp_path: Path, request: pytest.FixtureRequest, count: int, size: int
) -> None:
    async with one_node(tmp_path / "effects") as (bursts, node):
        for number in range(1, ROUNDS + 1):
            async with asyncio.TaskGroup() as group:
                group.create_task(bursts.fire(count, size, HELD_S))
                await bursts.begun(number * count)
                node.terminate()
                bursts.faults += 1
                assert await node.ended(60) == 0
            await node.restart()
        report(request, bursts.row(f"drain with {count} results of {size // 1000} kB"))
        bursts.check()


@pytest.mark.timeout(600)
async def test_a_rolling_restart_of_nodes_loses_no_large_result(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    effects = tmp_path / "effects"
    async with (
        Broker() as broker,
        burst_node(broker.url, effects) as one,
        burst_node(broker.url, effects) as two,
        connect(broker.url, timeout_s=TIMEOUT_S) as mesh,
    ):
        bursts = Bursts(mesh, effects)
        for count, size in KINDS:
            over = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for _ in range(2):
                    group.create_task(_fire_until(over, bursts, count // 2, size))
                for _ in range(max(1, ROUNDS // 4)):
                    for node in (one, two):
                        await asyncio.sleep(HELD_S / 2)
                        node.terminate()
                        bursts.faults += 1
                        assert await node.ended(60) == 0
                        await node.restart()
                over.set()
        report(request, bursts.row("rolling restart of nodes with large results"))
        bursts.check()


async def _fire_until(over: asyncio.Event, bursts: Bursts, count: int, size: int) -> None:
    while not over.is_set():
        await bursts.fire(count, size, HELD_S / 4)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("whose", ["node", "caller"])
async def test_a_lame_ducked_broker_loses_no_large_result(
    tmp_path: Path, request: pytest.FixtureRequest, whose: str
) -> None:
    effects = tmp_path / "effects"
    async with Cluster(3) as cluster:
        one, two, three = cluster.urls
        victim = cluster.brokers[0]
        at_victim, elsewhere = (one, two, three), (two, three, one)
        async with (
            burst_node(at_victim if whose == "node" else elsewhere, effects, "--failback", "0.5") as node,
            connect(
                at_victim if whose == "caller" else elsewhere,
                timeout_s=TIMEOUT_S,
                connection=NatsOptions(failback_s=0.5),
            ) as mesh,
        ):
            bursts = Bursts(mesh, effects)
            begun = 0
            for _ in range(max(1, ROUNDS // 4)):
                for count, size in KINDS:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(bursts.fire(count, size, HELD_S))
                        begun += count
                        await bursts.begun(begun)
                        victim.lame_duck()
                        bursts.faults += 1
                    await victim.ended(60)
                    await victim.restart()
                    await cluster.joined()
                    # Home is back: the links move once more, under the next burst.
                    await bursts.fire(count, size, HELD_S)
                    begun += count
            assert whose == "caller" or node.events("link.moved")
        report(request, bursts.row(f"broker of the {whose} lame-ducked with large results"))
        bursts.check()


@pytest.mark.timeout(600)
async def test_a_link_that_moves_loses_no_large_result(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """A new credential makes the link move, make before break, with the results in its buffer."""
    effects = tmp_path / "effects"
    operator = Operator()
    files = [tmp_path / f"{name}.creds" for name in ("node", "client")]
    for file in files:
        replace(file, operator.creds(600))
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(Broker(operator.config))
        node = await stack.enter_async_context(burst_node(broker.url, effects, "--creds", str(files[0])))
        options = NatsOptions(creds_file=str(files[1]))
        mesh = await stack.enter_async_context(connect(broker.url, timeout_s=TIMEOUT_S, connection=options))
        bursts = Bursts(mesh, effects)
        begun = 0
        for _ in range(max(1, ROUNDS // 2)):
            for count, size in KINDS:
                async with asyncio.TaskGroup() as group:
                    group.create_task(bursts.fire(count, size, HELD_S))
                    begun += count
                    await bursts.begun(begun)
                    for file in files:
                        replace(file, operator.creds(600))
                    bursts.faults += 1
        async with asyncio.timeout(30):
            while not node.events("link.moved"):
                await bursts.fire(10, 400_000)
        report(request, bursts.row("link moved with large results"))
        bursts.check()
        assert node.events("link.down") == []


@pytest.mark.timeout(600)
async def test_a_killed_broker_is_told_and_nothing_runs_twice(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    effects = tmp_path / "effects"
    async with Cluster(3) as cluster:
        one, two, three = cluster.urls
        async with (
            burst_node((one, two, three), effects),
            connect((two, three, one), timeout_s=TIMEOUT_S) as mesh,
        ):
            bursts = Bursts(mesh, effects)
            begun = 0
            victims = itertools.cycle(cluster.brokers[:2])
            for _ in range(max(1, ROUNDS // 4)):
                for count, size in KINDS:
                    victim = next(victims)
                    async with asyncio.TaskGroup() as group:
                        group.create_task(bursts.fire(count, size, HELD_S / 2))
                        begun += count
                        await bursts.begun(begun)
                        await asyncio.sleep(HELD_S / 2)  # the first results are on their way
                        victim.kill()
                        bursts.faults += 1
                    await victim.restart()
                    await cluster.joined()
        report(request, bursts.row("broker killed with large results", expected_unknown=True))
        assert {error.delivered for error in bursts.errors.values()} <= {"unknown"}
        assert bursts.wrong == bursts.doubled() == bursts.ran_though_told_no() == []


@pytest.mark.timeout(400)
async def test_a_mailbox_full_of_calls_that_hold_the_loop_is_answered(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    effects = tmp_path / "effects"
    accepted: dict[str, float] = {}
    answered: dict[str, float] = {}

    async def heard(message: Msg) -> None:
        frame = (message.headers or {}).get("Lr")
        if frame == "accepted":
            accepted.setdefault(message.subject, time.monotonic())
        elif b'"jsonrpc"' in message.data:  # all else answers questions about calls
            answered.setdefault(message.subject, time.monotonic())

    async with Broker() as broker, burst_node(broker.url, effects):
        tap = await nats.connect(broker.url)
        try:
            _ = await tap.subscribe("lr.v1.default.local.rep.>", cb=heard)
            await tap.flush()
            async with connect(broker.url, timeout_s=TIMEOUT_S) as mesh:
                bursts = Bursts(mesh, effects)
                bursts.in_flight = BURNS
                began = time.monotonic()
                calls = (
                    mesh.call("burst.burn", {"ident": f"b{number}", "seconds": BURN_S})
                    for number in range(BURNS)
                )
                outcomes = await asyncio.gather(*calls, return_exceptions=True)
                bursts.results = BURNS
                bursts.longest_s = time.monotonic() - began
                bursts.errors = {
                    f"b{number}": outcome
                    for number, outcome in enumerate(outcomes)
                    if isinstance(outcome, LongreachError)
                }
            await tap.flush()
        finally:
            await tap.close()
    report(request, bursts.row(f"{BURNS} calls that hold the loop for {BURN_S * 1000:g} ms each"))
    bursts.check()
    slow = {subject: at for subject, at in answered.items() if at - began > ACCEPTED_S}
    assert len(slow) > BURNS / 2 or not TIMED
    assert [subject for subject in slow if accepted.get(subject, NEVER) - began > ACCEPTED_S] == []
