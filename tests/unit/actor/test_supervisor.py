from __future__ import annotations

import asyncio

import pytest
from tests.support.actors import eventually

from longreach.actor.supervisor import ChildSpec, Supervisor
from longreach.clock import FakeClock


class World:
    """Children that fail on command, and the order in which things happened to them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.up: dict[str, Puppet] = {}
        self.failing: dict[str, int] = {}
        self.slept: list[float] = []

    def spec(self, name: str, **options) -> ChildSpec:
        return ChildSpec(name, lambda: Puppet(self, name), **options)

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)
        await asyncio.sleep(0)

    def supervisor(self, **options) -> Supervisor:
        return Supervisor("test", sleep=self.sleep, **options)


class Puppet:
    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.exit: asyncio.Future = asyncio.get_running_loop().create_future()

    async def start(self) -> None:
        if self.world.failing.get(self.name, 0):
            self.world.failing[self.name] -= 1
            self.world.log.append(f"!{self.name}")
            raise ValueError(f"{self.name} cannot")
        assert self.name not in self.world.up, f"two of {self.name}"
        self.world.up[self.name] = self
        self.world.log.append(f"+{self.name}")

    async def wait(self):
        return await self.exit

    async def stop(self, timeout_s: float) -> None:
        self.world.up.pop(self.name, None)
        self.world.log.append(f"-{self.name}")

    def die(self, kind: str = "crash") -> None:
        del self.world.up[self.name]
        self.exit.set_result(kind)


async def test_children_start_in_order_and_stop_in_reverse():
    world = World()
    supervisor = world.supervisor()
    await supervisor.start(*(world.spec(name) for name in "abc"))
    assert supervisor.children == ("a", "b", "c")
    await supervisor.stop()
    assert world.log == ["+a", "+b", "+c", "-c", "-b", "-a"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["+b"]),
        ("rest_for_one", ["-c", "+b", "+c"]),
        ("one_for_all", ["-c", "-a", "+a", "+b", "+c"]),
    ],
)
async def test_a_strategy_says_who_is_restarted_with_one_that_ended(strategy, expected):
    world = World()
    supervisor = world.supervisor(strategy=strategy)
    await supervisor.start(*(world.spec(name) for name in "abc"))
    del world.log[:]
    world.up["b"].die()
    await eventually(lambda: world.log == expected)
    assert len(world.slept) == 1
    assert supervisor.children == ("a", "b", "c")
    # and once more: exits of those that were stopped meanwhile must not count
    del world.log[:]
    world.up["b"].die()
    await eventually(lambda: world.log == expected)
    await supervisor.stop()
    assert not world.up


@pytest.mark.parametrize(
    ("restart", "kind", "again"),
    [
        ("permanent", "normal", True),
        ("permanent", "crash", True),
        ("transient", "normal", False),
        ("transient", "crash", True),
        ("temporary", "crash", False),
    ],
)
async def test_a_restart_type_says_whether_one_is_restarted(restart, kind, again):
    world = World()
    supervisor = world.supervisor()
    await supervisor.start(world.spec("a", restart=restart), world.spec("b"))
    world.up["a"].die(kind)
    await eventually(lambda: ("a" in world.up) if again else ("a" not in supervisor.children))
    world.up["b"].die()
    await eventually(lambda: "b" in world.up)
    assert ("a" in world.up) is again
    await supervisor.stop()


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
async def test_a_start_that_fails_is_tried_again_and_nobody_is_started_twice(strategy):
    world = World()
    world.failing = {"a": 2, "b": 1}
    supervisor = world.supervisor(strategy=strategy)
    await supervisor.start(*(world.spec(name) for name in "abc"))
    assert supervisor.failed is None
    assert supervisor.children == ("a", "b", "c")
    assert world.log.index("+a") < world.log.index("+b") < world.log.index("+c")
    await supervisor.stop()
    assert not world.up


async def test_what_comes_after_one_that_cannot_start_waits_for_it():
    world = World()
    supervisor = world.supervisor(strategy="rest_for_one")
    await supervisor.start(*(world.spec(name) for name in "abc"))
    world.failing = {"a": 2}
    del world.log[:]
    world.up["a"].die()
    await eventually(lambda: set(world.up) == set("abc"))
    assert world.log == ["-c", "-b", "!a", "!a", "+a", "+b", "+c"]
    await supervisor.stop()


async def test_too_many_restarts_in_the_period_end_in_giving_up_with_the_reason():
    world, reasons = World(), []
    world.failing = {"b": 99}
    supervisor = world.supervisor(intensity=2, on_failed=reasons.append)
    await supervisor.start(*(world.spec(name) for name in "abc"))
    assert world.log == ["+a", "!b", "!b", "!b", "-a"]
    assert reasons == [supervisor.failed]
    assert "b cannot" in reasons[0]
    await supervisor.stop()


async def test_restarts_far_apart_are_never_too_many():
    world, clock = World(), FakeClock()
    supervisor = world.supervisor(intensity=1, period_s=10, clock=clock)
    await supervisor.start(world.spec("a"))
    for _ in range(5):
        clock.advance(11)
        ended = world.up["a"]
        ended.die()
        await eventually(lambda old=ended: world.up.get("a") not in (None, old))
    assert supervisor.failed is None
    world.up["a"].die()
    await eventually(lambda: supervisor.failed is not None)
    await supervisor.stop()


async def test_one_that_cannot_be_stopped_is_abandoned_and_the_others_are_stopped(caplog, monkeypatch):
    monkeypatch.setattr("longreach.actor.supervisor._GRACE_S", 0.0)
    world = World()

    class Stubborn(Puppet):
        async def stop(self, timeout_s: float) -> None:
            await asyncio.Event().wait()

    supervisor = world.supervisor()
    stubborn = ChildSpec("b", lambda: Stubborn(world, "b"), shutdown_s=0.01)
    await supervisor.start(world.spec("a"), stubborn)
    await supervisor.stop()
    assert world.log[-1] == "-a"
    assert "child.abandoned" in caplog.text


async def test_a_start_without_end_counts_as_failed():
    world = World()

    class Endless(Puppet):
        async def start(self) -> None:
            await asyncio.Event().wait()

    supervisor = world.supervisor(intensity=0)
    await supervisor.start(ChildSpec("a", lambda: Endless(world, "a"), start_s=0.01))
    assert supervisor.failed is not None
    await supervisor.stop()


async def test_a_stop_while_a_child_starts_leaves_nothing_up():
    world, go, begun = World(), asyncio.Event(), asyncio.Event()

    class Slow(Puppet):
        async def start(self) -> None:
            begun.set()
            await go.wait()
            await super().start()

    supervisor = world.supervisor()
    async with asyncio.TaskGroup() as group:
        group.create_task(supervisor.start(ChildSpec("a", lambda: Slow(world, "a")), world.spec("b")))
        await begun.wait()
        await supervisor.stop()
        go.set()
    assert not world.up
    assert world.log == ["+a", "-a"]


async def test_children_come_and_go_at_run_time():
    world = World()
    supervisor = world.supervisor()
    await supervisor.start(world.spec("a"))
    await supervisor.add(world.spec("b"))
    assert supervisor.children == ("a", "b")
    child = supervisor.release("a")
    assert isinstance(child, Puppet)
    assert supervisor.children == ("b",)
    child.die()
    world.up["b"].die()
    await eventually(lambda: world.log == ["+a", "+b", "+b"])
    assert supervisor.release("a") is None
    await supervisor.stop()
