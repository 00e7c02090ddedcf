"""The acting side of liveness, on a clock that stands still until it is told to go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.links import eventually
from tests.support.puppet import Asked, Puppet, nothing_is_left, result, start

from longreach import Mesh
from longreach.client.options import CallOptions
from longreach.client.session import Session
from longreach.clock import FakeClock
from longreach.errors import OutcomeUnknown
from longreach.transport.memory import MemoryBroker, MemoryLink


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def mesh(broker: MemoryBroker, puppet: Puppet, clock: FakeClock) -> AsyncIterator[Mesh]:
    session = Session(broker.link(), clock, namespace="default", caller=None, residency=None, servers=None)
    await session.open()
    mesh = Mesh(session, CallOptions(timeout_s=60))
    await mesh.tools()
    yield mesh
    await mesh.close()


async def go_on(mesh: Mesh, clock: FakeClock, seconds: float, *others: Puppet) -> None:
    """Time passes in steps, and what is asked in each is answered before the next."""
    for _ in range(round(seconds / 0.05)):
        clock.advance(0.05)
        mesh._session.home.vigil._tick()
        for _ in range(2):
            await mesh._session.link.fence(1)
            for puppet in others:
                await puppet.link.fence(1)


async def quiet(mesh: Mesh, clock: FakeClock) -> None:
    """So long after the last call that no answer to a question is awaited any more."""
    clock.advance(11)
    mesh._session.home.vigil._tick()
    nothing_is_left(mesh)


def alive(puppet: Puppet, *gone: str) -> None:
    body = {"identity": "puppet", "instance": puppet.instance, "gone": gone, "clockMs": 0}
    puppet.on["alive"] = lambda _: msgspec.json.encode(body)


def whose(puppet: Puppet, have: tuple[str, ...] = (), done: tuple[str, ...] = ()) -> None:
    body = {
        "identity": "puppet", "instance": puppet.instance, "region": "local", "have": have, "done": done,
        "clockMs": 0,
    }  # fmt: skip
    puppet.on["whose"] = lambda _: msgspec.json.encode(body)


def token(asked: Asked) -> str:
    return asked.reply.rpartition(".")[2]


async def taken(mesh: Mesh, puppet: Puppet, count: int = 1) -> tuple[asyncio.Task[object], Asked]:
    call = start(mesh)
    asked = await puppet.wait("call", count)
    puppet.accept(asked)
    await puppet.link.fence(1)
    await mesh._session.link.fence(1)
    return call, asked


async def test_fast_calls_ask_nothing(mesh: Mesh, puppet: Puppet, clock: FakeClock):
    puppet.on["call"] = lambda _: result()
    for _ in range(10):
        await mesh.call("docs.do")
        clock.advance(0.2)
    assert {"alive", "whose", "cancel"}.isdisjoint(puppet.asked)


async def test_a_node_is_asked_about_all_its_calls_in_one_message(
    mesh: Mesh, puppet: Puppet, clock: FakeClock
):
    """M7.1"""
    alive(puppet)
    calls = [await taken(mesh, puppet, count) for count in range(1, 4)]
    await go_on(mesh, clock, 1.2, puppet)
    assert 2 <= len(puppet.asked["alive"]) <= 3
    assert puppet.asked["alive"][-1].body["calls"] == [token(asked) for _, asked in calls]
    for call, asked in calls:
        puppet.reply(asked, result())
        await call
    await quiet(mesh, clock)


async def test_a_call_that_its_node_no_longer_has_is_lost(mesh: Mesh, puppet: Puppet, clock: FakeClock):
    call, asked = await taken(mesh, puppet)
    alive(puppet, token(asked))
    await go_on(mesh, clock, 2, puppet)
    with pytest.raises(OutcomeUnknown) as ended:
        await call
    assert ended.value.reason == "gone"
    await quiet(mesh, clock)


async def test_a_node_is_dead_after_two_503_that_are_apart(mesh: Mesh, puppet: Puppet, clock: FakeClock):
    """M7.3: and then nothing is routed to it until it announces itself again."""
    alive(puppet)
    call, _ = await taken(mesh, puppet)
    await go_on(mesh, clock, 1, puppet)
    await puppet.link.close()
    await go_on(mesh, clock, 0.25)
    assert not call.done()
    await go_on(mesh, clock, 0.75)
    with pytest.raises(OutcomeUnknown) as ended:
        await call
    assert ended.value.reason == "node_died"
    assert not mesh.catalog.instances


async def test_a_503_after_silence_shortens_nothing(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet, clock: FakeClock
):
    """M7.3: a node that does not answer is stuck, for 5 s, also when the broker gives up on it."""
    alive(puppet)
    call, _ = await taken(mesh, puppet)
    await go_on(mesh, clock, 1, puppet)
    puppet.on["alive"] = lambda _: None
    await go_on(mesh, clock, 2, puppet)
    await puppet.link.close()
    await go_on(mesh, clock, 2)
    assert not call.done()
    await go_on(mesh, clock, 2)
    with pytest.raises(OutcomeUnknown) as ended:
        await call
    assert ended.value.reason == "node_stuck"


async def test_answers_that_are_malformed_count_as_none(mesh: Mesh, puppet: Puppet, clock: FakeClock):
    puppet.on["alive"] = puppet.on["whose"] = lambda _: b"{"
    call, _ = await taken(mesh, puppet)
    await go_on(mesh, clock, 6, puppet)
    with pytest.raises(OutcomeUnknown) as ended:
        await call
    assert ended.value.reason == "node_stuck"


async def test_a_call_that_nobody_accepted_is_looked_for_and_found(
    mesh: Mesh, puppet: Puppet, clock: FakeClock
):
    """M7.2: and from then on its node is asked."""
    call = start(mesh)
    asked = await puppet.wait("call")
    whose(puppet, have=(token(asked),))
    alive(puppet)
    await go_on(mesh, clock, 1.5, puppet)
    assert puppet.asked["whose"][0].body["calls"] == [token(asked)]
    assert puppet.asked["alive"]
    puppet.reply(asked, result())
    await call
    await quiet(mesh, clock)


async def test_a_call_that_everybody_denies_did_not_run_and_is_sent_again(
    mesh: Mesh, puppet: Puppet, clock: FakeClock
):
    """M7.2: their no is a promise; M5.4."""
    clock.advance(40)
    call = start(mesh, idempotent=False)
    await puppet.wait("call")
    whose(puppet)
    alive(puppet)
    await go_on(mesh, clock, 0.5, puppet)
    second = await puppet.wait("call", 2)
    puppet.reply(second, result())
    answer = await call
    assert (answer.attempts, answer.retries) == (2, ("not_here",))


async def everybodys_no(mesh: Mesh, puppet: Puppet, clock: FakeClock) -> str | None:
    """What becomes of a call that nobody has: the reason why it is unknown; None: it was made again."""
    count = len(puppet.asked.get("call", ()))
    call = start(mesh, idempotent=False)
    await puppet.wait("call", count + 1)
    whose(puppet)
    alive(puppet)
    await go_on(mesh, clock, 0.5, puppet)
    await eventually(lambda: call.done() or len(puppet.asked["call"]) > count + 1)
    if call.done():
        with pytest.raises(OutcomeUnknown) as caught:
            await call
        return caught.value.reason
    puppet.reply(puppet.asked["call"][-1], result())
    assert (await call).retries == ("not_here",)
    return None


async def test_a_node_that_joined_before_the_asker_connected_may_have_what_everybody_else_denies(
    mesh: Mesh, puppet: Puppet, clock: FakeClock
):
    """M7.7: it was too busy to answer `who`, and is heard with a later heartbeat."""
    assert await everybodys_no(mesh, puppet, clock) == "nobody_has_it"
    clock.advance(38)
    assert await everybodys_no(mesh, puppet, clock) == "nobody_has_it"
    clock.advance(2)
    assert await everybodys_no(mesh, puppet, clock) is None


async def test_a_node_that_joined_while_the_link_was_down_may_have_what_everybody_else_denies(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet, clock: FakeClock
):
    """M7.7"""
    clock.advance(40)
    assert await everybodys_no(mesh, puppet, clock) is None
    link = mesh._session.link
    assert isinstance(link, MemoryLink)
    broker.cut(link)
    broker.restore(link)
    assert await everybodys_no(mesh, puppet, clock) == "nobody_has_it"
    clock.advance(40)
    assert await everybodys_no(mesh, puppet, clock) is None


async def test_an_asker_that_may_not_hear_announcements_believes_nobodys_no(
    broker: MemoryBroker, puppet: Puppet, clock: FakeClock
):
    """M7.7"""
    link = broker.link(subscribe=("lr.v1.default.*.rep.>",))
    session = Session(link, clock, namespace="default", caller=None, residency=None, servers=None)
    await session.open()
    mesh = Mesh(session, CallOptions(timeout_s=60))
    await mesh.tools()
    clock.advance(40)
    assert await everybodys_no(mesh, puppet, clock) == "nobody_has_it"
    await mesh.close()


async def test_a_mesh_that_does_not_hear_who_joins_believes_nobodys_no(
    broker: MemoryBroker, puppet: Puppet, clock: FakeClock
):
    """M7.7: with `ask_every_s` a newcomer, which was not asked, may have the call."""
    session = Session(
        broker.link(), clock, namespace="default", caller=None, residency=None, servers=None, ask_every_s=60
    )
    await session.open()
    mesh = Mesh(session, CallOptions(timeout_s=60))
    await mesh.tools()
    clock.advance(40)
    assert await everybodys_no(mesh, puppet, clock) == "nobody_has_it"
    await mesh.close()


async def test_an_announcement_that_is_ignored_makes_everybodys_no_no_proof(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet, clock: FakeClock
):
    """M7.7: the node whose announcement is too long may have the call."""
    broker.link().send("lr.v1.default.local.adv.docs.big.1", b"x" * 17_000)
    await mesh._session.link.fence(1)
    clock.advance(40)
    assert await everybodys_no(mesh, puppet, clock) == "nobody_has_it"


async def test_one_call_that_fails_the_vigil_leaves_the_others_watched(
    mesh: Mesh, puppet: Puppet, clock: FakeClock
):
    alive(puppet)
    call, asked = await taken(mesh, puppet)
    vigil = mesh._session.home.vigil
    works, vigil._forget_old = vigil._forget_old, None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError):
        vigil._tick()
    vigil._forget_old = works  # type: ignore[method-assign]
    assert vigil._timer is not None
    puppet.reply(asked, result())
    await call


async def test_questions_leave_nothing_behind(mesh: Mesh, puppet: Puppet, clock: FakeClock):
    alive(puppet)
    call, asked = await taken(mesh, puppet)
    await go_on(mesh, clock, 30, puppet)
    assert len(mesh._session.home.inbox) <= 1 + 21  # the call, and the questions of the last ten seconds
    puppet.reply(asked, result())
    await call


async def test_closing_stops_the_timer_for_good(mesh: Mesh, puppet: Puppet):
    vigil = mesh._session.home.vigil
    call, asked = await taken(mesh, puppet)
    vigil.close()
    for wake in (vigil.wake_now, lambda: vigil.wake(0.0)):
        wake()
        assert vigil._timer is None
    puppet.reply(asked, result())
    await call


async def test_the_last_questions_are_forgotten_without_another_call(
    mesh: Mesh, puppet: Puppet, clock: FakeClock
) -> None:
    alive(puppet)
    call = start(mesh)
    asked = await puppet.wait("call")
    puppet.accept(asked)
    await go_on(mesh, clock, 1.0, puppet)
    assert puppet.asked["alive"]
    puppet.reply(asked, result())
    await call
    vigil = mesh._session.home.vigil
    clock.advance(0.6)
    vigil._tick()
    assert vigil._timer is not None
    await quiet(mesh, clock)
    assert vigil._timer is None
