"""Where calls go: versions, canaries, breakers, hedging; and what is told of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from tests.support.links import eventually
from tests.support.puppet import Puppet, error, nothing_is_left, result, start, tools

from longreach import Mesh, connect
from longreach.errors import ConfigError, NotFound, OutcomeUnknown, RemoteError
from longreach.policy import breaker as breakers
from longreach.transport.memory import MemoryBroker


def node(broker: MemoryBroker, instance: str, region: str = "eu", **options: Any) -> Puppet:
    """A node that says who it is."""
    puppet = Puppet(broker, tools("do", **options), instance=instance, region=region, group=False)
    puppet.on["call"] = lambda _: result(instance)
    return puppet


def joined(puppet: Puppet, *targets: str) -> Puppet:
    for to in (*targets, f"n-{puppet.instance}"):
        puppet.link.subscribe(f"lr.v1.default.{puppet.region}.req.docs.{to}.>", puppet._take, "docs")
    return puppet


async def announced(mesh: Mesh, *said: tuple[Puppet, dict[str, Any]]) -> None:
    for puppet, changes in said:
        puppet.announce(**changes)
        puppet.on["who"] = lambda _: b'{"announcements":[]}'
    instances = {puppet.instance for puppet, _ in said}
    known = mesh._session.discovery
    await eventually(lambda: instances <= {i.instance for i in known.catalog.of_server("docs")})


async def test_a_range_goes_to_the_versions_that_fit(broker: MemoryBroker):
    old, new, other = (node(broker, name) for name in ("a", "b", "c"))
    joined(old, "_", "v1"), joined(new, "_", "v2"), joined(other, "_", "v2")
    async with connect(link=broker.link(), region="eu", timeout_s=5) as mesh:
        await announced(
            mesh, (old, {"version": "1.4.0"}), (new, {"version": "2.0.0"}), (other, {"version": "2.1.0"})
        )
        for wanted, to in (("1", "v1"), (">=2", "v2"), ("2.1.*", "n-c"), (">=0", "_"), ("<2.1", None)):
            view = mesh.options(version=wanted)
            for _ in range(40):
                await view.call("docs.do", {})
            asked = {
                call.subject.split(".")[6] for p in (old, new, other) for call in p.asked.pop("call", [])
            }
            assert asked == ({to} if to else {"v1", "n-b"}), wanted


async def test_a_range_that_nothing_fits_names_what_is_live(broker: MemoryBroker):
    old = joined(node(broker, "a"), "_", "v1")
    async with connect(link=broker.link(), version=">=2,<3", timeout_s=5) as mesh:
        await announced(mesh, (old, {"version": "1.4.0"}))
        with pytest.raises(
            NotFound, match=r"no live version of 'docs' fits >=2,<3; live: 1\.4\.0 \(in eu\)"
        ) as no:
            await mesh.call("docs.do", {})
        assert (no.value.reason, no.value.delivered) == ("no_such_version", "no")
        new = joined(node(broker, "b"), "_", "v2")
        await announced(mesh, (new, {"version": "2.0.0"}))
        assert (await mesh.call("docs.do", {})).text == "b"


async def test_what_is_no_range_is_refused_when_it_is_said(mesh: Mesh):
    with pytest.raises(ConfigError, match="no range of versions"):
        mesh.options(version="newest")
    with pytest.raises(ConfigError, match="no range of versions"):
        connect(version="~2")


async def test_a_canary_gets_about_its_share_and_those_who_forward_too(broker: MemoryBroker):
    """M15.3"""
    stable, canary = joined(node(broker, "a"), "_"), joined(node(broker, "b"), "c-2=2e1=2e0")
    async with connect(link=broker.link(), region="eu", timeout_s=5) as mesh:
        await announced(mesh, (stable, {}), (canary, {"version": "2.1.0", "canary": 25}))
        answers = Counter([(await mesh.call("docs.do", {})).text for _ in range(400)])
        assert 50 < answers["b"] < 150
        request = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"do"}}'
        before = len(canary.asked["call"])
        for _ in range(400):
            await mesh.forward("docs", request, method="tools/call", name="do")
        assert 50 < len(canary.asked["call"]) - before < 150
        canary.announce(version="2.1.0")
        await eventually(
            lambda: {i.canary for i in mesh._session.discovery.catalog.of_server("docs")} == {None}
        )
        plan = mesh._planner.known("docs.do")
        assert plan is None
        await mesh.call("docs.do", {})
        assert mesh._planner.known("docs.do").pick is None  # type: ignore[union-attr]


async def test_what_a_canary_refuses_goes_to_the_others(broker: MemoryBroker):
    """M15.4"""
    stable, canary = joined(node(broker, "a"), "_"), joined(node(broker, "b"), "c-2=2e1=2e0")
    canary.on["call"] = lambda _: error(-31900, reason="busy")
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        await announced(mesh, (stable, {}), (canary, {"version": "2.1.0", "canary": 99}))
        assert {(await mesh.call("docs.do", {})).text for _ in range(20)} == {"a"}
        assert len(canary.asked["call"]) > 5


# Breakers


async def test_a_region_that_does_not_answer_is_asked_last_until_it_does(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(breakers, "LOSSES_LAST_S", 0.0)
    home, away = node(broker, "a", "eu"), joined(node(broker, "b", "us"), "_")
    async with connect(link=broker.link(), region="eu", timeout_s=5) as mesh:
        await announced(mesh, (home, {}), (away, {}))
        answers = [await mesh.call("docs.do", {}) for _ in range(breakers.LOSSES)]
        assert {(a.text, a.attempts) for a in answers} == {("b", 2)}
        assert (await mesh.call("docs.do", {})).attempts == 1  # it is not even tried
        rows = {row.region: row for row in (await mesh.explain("docs.do")).places}
        assert (rows["eu"].breaker, rows["eu"].place, rows["us"].place) == ("open", 2, 1)
        assert rows["us"].latency_ms is not None
        joined(home, "_")
        health = mesh._session.health
        route = health.breaker("docs", "eu", "_")
        health._clock = Later(route.due_at + 1)  # type: ignore[assignment]
        health._tick()
        assert [(await mesh.call("docs.do", {})).text for _ in range(3)] == ["a", "a", "a"]
        assert route.standing == "closed"
        nothing_is_left(mesh)


async def test_a_node_that_comes_up_there_is_reason_to_try(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(breakers, "LOSSES_LAST_S", 0.0)
    home, away = node(broker, "a", "eu"), joined(node(broker, "b", "us"), "_")
    async with connect(link=broker.link(), region="eu", timeout_s=5) as mesh:
        await announced(mesh, (home, {}), (away, {}))
        for _ in range(breakers.LOSSES):
            await mesh.call("docs.do", {})
        assert mesh._session.health.breaker("docs", "eu", "_").standing == "open"
        back = joined(node(broker, "c", "eu"), "_")
        await announced(mesh, (back, {}))
        assert (await mesh.call("docs.do", {})).text == "c"


async def test_only_one_call_at_a_time_tries_a_route_that_is_half_open(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(breakers, "LOSSES_LAST_S", 0.0)
    home, away = node(broker, "a", "eu"), joined(node(broker, "b", "us"), "_")
    async with connect(link=broker.link(), region="eu", timeout_s=5) as mesh:
        await announced(mesh, (home, {}), (away, {}))
        for _ in range(breakers.LOSSES):
            await mesh.call("docs.do", {})
        joined(home, "_")
        home.on["call"] = lambda _: None
        mesh._session.health.hope("docs", "eu")
        first = start(mesh)
        asked = await home.wait("call")
        assert {(await mesh.call("docs.do", {})).text for _ in range(5)} == {"b"}
        home.reply(asked, result("a"))
        assert (await first).text == "a"
        home.on["call"] = lambda _: result("a")
        assert (await mesh.call("docs.do", {})).text == "a"


class Later:
    """A clock that says what it is told."""

    def __init__(self, now: float) -> None:
        self.now = now

    def monotonic(self) -> float:
        return self.now


async def test_with_nowhere_else_to_go_an_open_breaker_stops_nothing(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(breakers, "LOSSES_LAST_S", 0.0)
    home = node(broker, "a", "eu")
    async with connect(link=broker.link(), region="eu", timeout_s=5) as mesh:
        await announced(mesh, (home, {}))
        waiting = start(mesh)
        await eventually(lambda: mesh._session.health.breaker("docs", "eu", "_").standing == "open")
        joined(home, "_")
        assert (await waiting).text == "a"


# Hedging


async def hedged(broker: MemoryBroker, *, read_only: bool = True) -> tuple[Puppet, Puppet, Mesh]:
    slow, fast = (joined(node(broker, n, r, read_only=read_only), "_") for n, r in (("a", "eu"), ("b", "us")))
    slow.on["call"] = lambda _: None
    mesh = await connect(link=broker.link(), region="eu", timeout_s=5, hedge_s=0.02)
    await announced(mesh, (slow, {}), (fast, {}))
    return slow, fast, mesh


async def test_what_is_read_only_and_slow_is_asked_twice_and_the_first_answer_counts(broker: MemoryBroker):
    slow, _, mesh = await hedged(broker)
    async with asyncio.timeout(30):
        before = mesh._session.home.caller._budget.left
        answer = await mesh.call("docs.do", {})
        assert (answer.text, answer.attempts, answer.retries) == ("b", 2, ("hedged",))
        await slow.wait("cancel")
        assert mesh._session.home.caller._budget.left < before
        nothing_is_left(mesh)
        await mesh.close()


async def test_what_may_change_something_is_never_hedged(broker: MemoryBroker):
    slow, fast, mesh = await hedged(broker, read_only=False)
    for view in (mesh, mesh.options(idempotent=True), mesh.options(idempotent=False)):
        waiting = start(view)
        asked = await slow.wait("call", len(slow.asked.get("call", ())) + 1)
        await asyncio.sleep(0.05)
        slow.reply(asked, result("a"))
        assert ((await waiting).text, fast.asked.get("call")) == ("a", None)
    await mesh.close()


async def test_without_a_budget_nothing_is_hedged(broker: MemoryBroker):
    slow, fast, mesh = await hedged(broker)
    mesh._session.home.caller._budget._tokens = -1e9
    waiting = start(mesh)
    asked = await slow.wait("call")
    await asyncio.sleep(0.05)
    slow.reply(asked, result("a"))
    assert ((await waiting).attempts, fast.asked.get("call")) == (1, None)
    await mesh.close()


async def test_a_hedge_that_fails_leaves_the_first_attempt(broker: MemoryBroker):
    slow, fast, mesh = await hedged(broker)
    fast.on["call"] = lambda _: error(-31900, reason="busy")
    waiting = start(mesh)
    asked = await slow.wait("call")
    await fast.wait("call")
    slow.reply(asked, result("a"))
    assert (await waiting).text == "a"
    await mesh.close()


async def test_an_error_of_the_hedge_is_an_answer(broker: MemoryBroker):
    _, fast, mesh = await hedged(broker)
    fast.on["call"] = lambda _: error(-32603, reason="crashed_actor")
    with pytest.raises(RemoteError):
        await mesh.call("docs.do", {})
    nothing_is_left(mesh)
    await mesh.close()


async def test_a_cancelled_call_cancels_both(broker: MemoryBroker):
    slow, fast, mesh = await hedged(broker)
    fast.on["call"] = lambda _: None
    waiting = start(mesh)
    await slow.wait("call")
    await fast.wait("call")
    waiting.cancel()
    await slow.wait("cancel")
    await fast.wait("cancel")
    with pytest.raises(asyncio.CancelledError):
        await waiting
    nothing_is_left(mesh)
    await mesh.close()


async def test_the_percentile_of_the_calls_before_says_when(broker: MemoryBroker):
    slow, fast, mesh = await hedged(broker)
    view = mesh.options(hedge_s=None, hedge="p95")
    slow.on["call"] = lambda _: result("a")
    for _ in range(25):
        assert (await view.call("docs.do", {})).attempts <= 2
    slow.on["call"] = lambda _: None
    assert (await view.call("docs.do", {})).text == "b"
    assert fast.asked["call"]
    await mesh.close()


# What is told


async def test_an_error_says_which_node_had_the_call(mesh: Mesh, puppet: Puppet):
    def accept_and_fail(asked: Any) -> bytes:
        puppet.accept(asked)
        return error(-32603, reason="crashed_actor")

    puppet.on["call"] = accept_and_fail
    with pytest.raises(RemoteError) as ended:
        await mesh.call("docs.do", {})
    assert (ended.value.region, ended.value.node) == ("local", "puppet.p1")

    def accept_and_drain(asked: Any) -> bytes:
        puppet.accept(asked)
        return error(-32603, reason="cut_off")

    puppet.on["call"] = accept_and_drain
    with pytest.raises(OutcomeUnknown) as lost:
        await mesh.call("docs.do", {}, idempotent=False)
    assert (lost.value.region, lost.value.node) == ("local", "puppet.p1")


async def test_explaining_calls_nothing(mesh: Mesh, puppet: Puppet):
    found = await mesh.explain("docs.do")
    assert [(row.node, row.place, row.share) for row in found.places] == [("puppet.p1", 1, 1.0)]
    assert (found.missing, found.taken) == (None, found.places)
    assert "call" not in puppet.asked
    absent = await mesh.explain("docs.od")
    assert absent.taken == ()
    assert absent.missing is not None
    assert "no tool called 'od'" in absent.missing
    assert (await mesh.explain("mail")).places == ()
    nowhere = await mesh.options(residency=["mars"]).explain("docs.do")
    assert {row.why for row in nowhere.places} == {"outside the residency", "no node there offers docs"}


async def test_a_canary_gets_no_hedges(broker: MemoryBroker):
    stable = joined(node(broker, "a", read_only=True), "_")
    canary = joined(node(broker, "b", read_only=True), "c-2=2e1=2e0")
    stable.on["call"] = lambda _: result("a") if len(stable.asked["call"]) > 1 else None
    async with connect(link=broker.link(), region="eu", timeout_s=5, hedge_s=0.02) as mesh:
        await announced(mesh, (stable, {}), (canary, {"version": "2.1.0", "canary": 0}))
        canary.announce(version="2.1.0", canary=1)
        await eventually(lambda: 1 in {i.canary for i in mesh._session.discovery.catalog.of_server("docs")})
        while (await mesh.call("docs.do", {})).text != "a":  # one of a hundred goes to the canary at once
            del canary.asked["call"][:]
        assert len(stable.asked["call"]) == 2
        assert not canary.asked.get("call")


async def test_a_version_without_the_tool_is_passed_over(broker: MemoryBroker):
    """Also where nodes are addressed one by one: one of them would say that there is no such tool."""
    without = joined(Puppet(broker, tools("other"), instance="a", region="eu", group=False), "_", "v1")
    having, newer = joined(node(broker, "b"), "_", "v1"), joined(node(broker, "c"), "_", "v1")
    async with connect(link=broker.link(), version=">=1.5,<2", timeout_s=5) as mesh:
        await announced(
            mesh,
            (without, {"version": "1.6.0"}),
            (having, {"version": "1.4.0"}),
            (newer, {"version": "1.9.0"}),
        )
        await mesh.tools()
        assert {(await mesh.call("docs.do", {})).text for _ in range(20)} == {"c"}
        assert "call" not in without.asked
        with pytest.raises(
            NotFound, match=r"no live version of 'docs' that fits 1\.6\.0 has docs\.do; live: 1\.4"
        ):
            await mesh.options(version="1.6.0").call("docs.do", {})
        rows = {row.node: row.why for row in (await mesh.explain("docs.do")).places}
        assert rows["puppet.a"] == "version 1.6.0 there has no tool called do"
