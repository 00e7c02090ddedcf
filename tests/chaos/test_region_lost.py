"""A region is lost whole, brokers and nodes, and comes back.

Acceptance: calls that may leave it move within 2 s, and return; pinned calls are refused with a clear error;
what other regions' brokers carry, and hand to clients with all rights there, holds nothing of them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.damage import Damage, chaos_node, report
from tests.support.links import Inbox, eventually
from tests.support.timing import allowed
from tests.support.wiretap import Wiretap, subjects, traces

from longreach import NatsOptions, connect
from longreach.client.mesh import Mesh
from longreach.errors import BrokerUnavailable, CallTimeout, LongreachError, ResidencyRefused
from longreach.policy.questions import Config
from longreach.testing import NodeProcess, Regions
from longreach.transport.natslink import NatsLink

ROUNDS = int(os.environ.get("LONGREACH_REGION_ROUNDS", "1"))
MOVED_S = 2.0
FAILBACK_S = 1.0
HOME_S = 20.0
HANGS_S = 7.5
TIMEOUT_S = 30.0
STUCK_TOLD_S = Config().stuck_s + 1.0
SECONDS = (0.005, 0.3, 0.6)
SECRET = secrets.token_hex(8)
"""Part of what every pinned call asks, and is answered."""


class Scene(NamedTuple):
    regions: Regions
    tap: Wiretap
    nodes: dict[str, list[NodeProcess]]
    free: Mesh
    """May go anywhere; its home is eu."""
    pinned: Mesh
    """May not leave eu."""


@asynccontextmanager
async def scene(effects: Path) -> AsyncIterator[Scene]:
    tap = Wiretap()
    async with AsyncExitStack() as stack:
        regions = await stack.enter_async_context(Regions({"eu": 3, "us": 3}, "trace: true", tap=tap.hear))
        nodes = {
            region: [
                await stack.enter_async_context(chaos_node(regions[region].urls, effects, region))
                for _ in range(2)
            ]
            for region in ("eu", "us")
        }
        free = connect(
            regions.urls,
            region="eu",
            prefer=["us"],
            timeout_s=TIMEOUT_S,
            connection=NatsOptions(name="free", failback_s=FAILBACK_S),
        )
        pinned = connect(
            regions["eu"].urls,
            region="eu",
            residency=["eu"],
            caller="pinned",
            timeout_s=2,
            connection=NatsOptions(name="pinned"),
        )
        yield Scene(
            regions, tap, nodes,
            await stack.enter_async_context(free), await stack.enter_async_context(pinned),
        )  # fmt: skip


class Pinned:
    """One caller that may not leave eu, over and over; what became of its calls."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._stop = False
        self.regions: set[str | None] = set()
        self.answered = 0
        self.errors: list[LongreachError] = []

    async def run(self) -> None:
        for number in itertools.count():
            if self._stop:
                return
            try:
                ident = f"{SECRET}-{number}"
                result = await self._mesh.call("chaos.look", {"seconds": 0.01, "ident": ident})
            except LongreachError as error:
                self.errors.append(error)
            else:
                assert result.text == ident
                self.regions.add(result.region)
                self.answered += 1

    def stop(self) -> None:
        self._stop = True


async def connected(regions: Regions, name: str) -> set[str]:
    """The regions to whose brokers a client is connected; those that run."""
    found = set()
    for region in regions:
        for broker in regions[region].brokers:
            if broker.running:
                known = (await broker.monitor("connz"))["connections"]
                found |= {region for connection in known if connection.get("name") == name}
    return found


async def lose(regions: Regions, nodes: list[NodeProcess]) -> None:
    for node in nodes:
        node.kill()
    regions["eu"].kill()


async def restore(regions: Regions, nodes: list[NodeProcess]) -> None:
    await regions["eu"].restart()
    await regions.met()
    await asyncio.gather(*(node.restart() for node in nodes))


async def at_home(mesh: Mesh, calls: int = 20, region: str = "eu") -> None:
    """Wait until so many calls in a row run in their home."""
    async with asyncio.timeout(HOME_S):
        row = 0
        while row < calls:
            row = row + 1 if (await mesh.call("chaos.where")).region == region else 0


async def overheard(regions: Regions, stack: AsyncExitStack) -> Inbox:
    """A client with all rights on each broker of us, that hears whatever goes on in its region."""
    inbox = Inbox()
    for url in regions["us"].urls:
        link = await NatsLink.open(NatsOptions(urls=(url,), name="tap"))
        stack.push_async_callback(link.close)
        for subject in ("lr.v1.*.us.>", "lr.v1.*._.>", "_INBOX.>"):
            link.subscribe(subject, inbox)
        await link.fence(5)
    return inbox


def assert_nothing_of_the_pinned(tap: Wiretap, logs: list[bytes], inbox: Inbox) -> None:
    assert not tap.holds(SECRET.encode())
    assert not any(SECRET.encode() in log for log in logs)
    carried = tap.messages().union(*map(subjects, logs), {message[0] for message in inbox.messages})
    assert carried, "the tap hears nothing at all"
    assert [subject for subject in carried if ".pinned." in subject] == []


@pytest.mark.timeout(240)
async def test_region_lost_whole(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    async with scene(tmp_path / "effects") as (regions, tap, nodes, free, pinned), AsyncExitStack() as stack:
        inbox = await overheard(regions, stack)
        caller = Pinned(pinned)
        async with Damage(free, tmp_path / "effects", SECONDS) as damage, asyncio.TaskGroup() as group:
            _ = group.create_task(caller.run())
            for _ in range(ROUNDS):
                await at_home(free)
                await damage.calm()
                refused = len(caller.errors)
                await lose(regions, nodes["eu"])
                damage.fault()
                await damage.calm()
                await eventually(lambda seen=refused: len(caller.errors) > seen + 1, 20)
                assert type(caller.errors[-1]) is BrokerUnavailable
                assert "no connection to a broker" in str(caller.errors[-1])
                assert await connected(regions, "pinned") == set()
                assert await connected(regions, "free") == {"us"}
                await restore(regions, nodes["eu"])
                await at_home(free)
                await damage.calm()
                answered = caller.answered
                await eventually(lambda seen=answered: caller.answered > seen, 20)
                assert await connected(regions, "pinned") == {"eu"}
            caller.stop()
        await eventually(lambda: free.url in regions["eu"].urls, 20)
        report(request, damage.row("region lost whole, and back"))
        assert_nothing_of_the_pinned(tap, traces(regions["us"]), inbox)
        assert [done.error for done in damage.looks.failed] == []
        assert damage.doubled() == []
        assert caller.regions == {"eu"}
        # One call is in flight when the region is lost. All others were not sent, and are told so.
        assert sum(error.delivered != "no" for error in caller.errors) <= ROUNDS, caller.errors
        assert {type(error) for error in caller.errors} <= {CallTimeout, ResidencyRefused, BrokerUnavailable}
        for done in damage.looks.done:
            for lost_at in damage.faults:
                if done.began < lost_at + MOVED_S and done.ended > lost_at:
                    late_s = done.ended - max(lost_at, done.began) - done.seconds
                    assert late_s <= allowed(MOVED_S), (done, lost_at)
        for lost_at in damage.faults:
            moved = [d.ended for d in damage.done if d.region == "us" and d.ended > lost_at]
            assert min(moved) - lost_at < allowed(MOVED_S)


@pytest.mark.timeout(240)
async def test_region_hangs_whole(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """SIGSTOP: nobody says that it is gone, its gateways included. It comes back with all that it had."""
    async with scene(tmp_path / "effects") as (regions, _, nodes, free, _):
        async with Damage(free, tmp_path / "effects", SECONDS) as damage:
            for _ in range(ROUNDS):
                await at_home(free)
                await damage.calm()
                for node in nodes["eu"]:
                    node.stop()
                regions["eu"].stop()
                damage.fault()
                await asyncio.sleep(HANGS_S)
                assert (await free.call("chaos.where")).region == "us"
                for node in nodes["eu"]:
                    node.cont()
                regions["eu"].cont()
                await damage.calm()
            await at_home(free)
        report(request, damage.row("region stopped whole, and back"))
        assert [done.error for done in damage.looks.failed] == []
        assert damage.doubled() == []
        assert damage.ghosts(TIMEOUT_S) == []


@pytest.mark.timeout(240)
async def test_regions_cut_off_from_each_other(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A client in eu whose calls go to us when the cable is cut: they are run again in eu, and go back."""
    async with scene(tmp_path / "effects") as (regions, _, _, free, _):
        abroad = free.options(region="us", prefer=["eu"])
        async with Damage(abroad, tmp_path / "effects", SECONDS) as damage:
            for _ in range(ROUNDS):
                await at_home(abroad, region="us")
                await damage.calm()
                regions.cut()
                damage.fault()
                await asyncio.sleep(STUCK_TOLD_S)
                await damage.calm()
                assert (await abroad.call("chaos.where")).region == "eu"
                regions.heal()
                await regions.met()
            await at_home(abroad, region="us")
        report(request, damage.row("regions cut off from each other"))
        assert [done.error for done in damage.looks.failed] == []
        assert damage.doubled() == []
        assert max(damage.told_after(done) for done in damage.changes.failed) <= allowed(STUCK_TOLD_S)


@pytest.mark.timeout(120)
async def test_nodes_of_a_region_lost_its_brokers_alive(tmp_path: Path) -> None:
    """Then a pinned caller has a connection, and is told what residency forbids."""
    async with scene(tmp_path / "effects") as (regions, _, nodes, free, pinned):
        assert (await pinned.call("chaos.where")).region == "eu"
        for node in nodes["eu"]:
            node.kill()
        began = time.monotonic()
        assert (await free.call("chaos.where")).region == "us"
        assert time.monotonic() - began < allowed(MOVED_S)
        with pytest.raises(ResidencyRefused, match="region eu, and residency allows no other") as refusal:
            await pinned.options(timeout_s=15).call("chaos.where")
        assert refusal.value.delivered == "no"
        assert await connected(regions, "pinned") == {"eu"}


@pytest.mark.timeout(120)
async def test_the_tap_hears_what_passes(tmp_path: Path) -> None:
    """With a guard removed: whoever may subscribe to eu's subjects in us draws them there."""
    async with scene(tmp_path / "effects") as (regions, tap, _, _, pinned):
        thief = await NatsLink.open(NatsOptions(urls=(regions["us"].url,)))
        inbox = Inbox()
        thief.subscribe("lr.v1.default.eu.>", inbox)
        await thief.fence(5)
        async with asyncio.timeout(10):
            while not tap.holds(SECRET.encode()):
                await pinned.call("chaos.look", {"seconds": 0, "ident": SECRET})
        await eventually(lambda: any(SECRET.encode() in log for log in traces(regions["us"])))
        await eventually(lambda: any(".pinned." in message[0] for message in inbox.messages))
        await thief.close()
