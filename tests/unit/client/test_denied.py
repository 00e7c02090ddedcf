"""What becomes of calls when the broker refuses one of them, and names its subject alone. M5.5."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.puppet import Asked, Puppet, knows_everybody, nothing_is_left, result, start

from longreach import Mesh, connect
from longreach.errors import OutcomeUnknown, PermissionDenied
from longreach.transport._memorylink import MemoryLink
from longreach.transport.link import Denied
from longreach.transport.memory import MemoryBroker

CALL = "lr.v1.default.local.req.docs._._._.tools-call.do"
ALL = ("lr.v1.default.>",)
ELSE = ("lr.v1.default.*.all.>", "lr.v1.default.*.node.>", "lr.v1.default.*.who.>")


@pytest.fixture
def link(broker: MemoryBroker) -> MemoryLink:
    return broker.link(publish=ALL)


@pytest.fixture
async def mesh(link: MemoryLink, puppet: Puppet) -> AsyncIterator[Mesh]:
    def whose(asked: Asked) -> bytes:
        at = {"identity": "puppet", "instance": "p1", "region": "local", "clockMs": 0}
        here = [a.reply.rsplit(".", 1)[1] for a in puppet.asked.get("call", ())]
        return msgspec.json.encode({**at, "have": [c for c in asked.body["calls"] if c in here], "done": []})

    puppet.on["whose"] = whose
    async with connect(link=link, timeout_s=20) as mesh:
        await mesh.tools()
        yield mesh


def allow(link: MemoryLink, *subjects: str) -> None:
    link._publish = subjects


async def test_the_only_call_on_a_subject_is_refused_at_once(mesh: Mesh, link: MemoryLink, puppet: Puppet):
    allow(link, *ELSE)
    with pytest.raises(PermissionDenied) as refused:
        await mesh.call("docs.do", {})
    assert refused.value.delivered == "no"
    assert "whose" not in puppet.asked
    nothing_is_left(mesh)


async def test_a_burst_that_is_refused_whole_is_told_so_without_a_search(
    mesh: Mesh, link: MemoryLink, puppet: Puppet
):
    allow(link, *ELSE)
    calls = [start(mesh) for _ in range(50)]
    for call in calls:
        with pytest.raises(PermissionDenied):
            await call
    assert "whose" not in puppet.asked


async def test_a_call_that_was_accepted_goes_on_and_the_other_is_refused(
    mesh: Mesh, link: MemoryLink, puppet: Puppet
):
    first = start(mesh, idempotent=True)
    puppet.accept(await puppet.wait("call"))
    await puppet.link.fence(1)
    allow(link, *ELSE)
    with pytest.raises(PermissionDenied):
        await mesh.call("docs.do", {}, idempotent=True)
    assert not first.done()
    puppet.reply(puppet.asked["call"][0], result("once"))
    assert ((await first).text, len(puppet.asked["call"])) == ("once", 1)


async def test_a_call_that_runs_and_one_that_is_refused_are_searched_for_and_each_ends_as_it_was(
    mesh: Mesh, link: MemoryLink, puppet: Puppet
):
    """The right is granted again before anybody knows which of the two was refused."""
    knows_everybody(mesh)
    first = start(mesh)
    running = await puppet.wait("call")
    allow(link, *ELSE)
    second = start(mesh)
    await asyncio.sleep(0)
    allow(link, *ALL)
    with pytest.raises(PermissionDenied) as refused:
        await second
    assert refused.value.delivered == "no"
    assert not first.done()
    asked = puppet.asked["whose"][0].body["calls"]
    assert len(asked) == 2
    puppet.reply(running, result("once"))
    assert ((await first).text, len(puppet.asked["call"])) == ("once", 1)


async def test_a_violation_of_a_cancelled_call_does_not_end_the_one_that_runs(
    mesh: Mesh, link: MemoryLink, puppet: Puppet
):
    cancelled = start(mesh)
    await puppet.wait("call")
    cancelled.cancel()
    await asyncio.wait({cancelled})
    first = start(mesh)
    running = await puppet.wait("call", 2)
    link._listeners.denied(Denied("publish", CALL))  # it comes late: it was the cancelled one's
    await puppet.wait("whose")
    await link.fence(1)
    assert not first.done()
    puppet.reply(running, result("once"))
    assert (await first).text == "once"


async def test_no_question_is_asked_about_a_question_that_was_refused(
    mesh: Mesh, link: MemoryLink, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
):
    """The grant of one tool has no `all.`: what is undecided ends `unknown`, and no node is called stuck."""
    home = mesh._session.home
    monkeypatch.setattr(home.liveness, "_config", msgspec.structs.replace(home.liveness._config, stuck_s=0.5))
    monkeypatch.setattr(home.liveness._search, "_config", home.liveness._config)
    allow(link, CALL)
    call = start(mesh)
    await puppet.wait("call")
    link._listeners.denied(Denied("publish", "lr.v1.default.local.all.docs._._.whose"))
    with pytest.raises(OutcomeUnknown) as ended:
        await call
    assert (ended.value.delivered, ended.value.reason) == ("unknown", "may_not_ask")
    assert len(puppet.asked["call"]) == 1
    assert not home.liveness.stuck
    assert mesh._session.health.of("docs")("local", "_").standing == "closed"


async def test_a_node_that_may_not_be_asked_is_not_called_stuck(
    mesh: Mesh, link: MemoryLink, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
):
    home = mesh._session.home
    quick = msgspec.structs.replace(home.liveness._config, stuck_s=0.6, ask_every_s=0.05)
    monkeypatch.setattr(home.liveness._pulses, "_config", quick)
    denied: list[str] = []
    link.on_denied(lambda found: denied.append(found.subject))
    allow(link, CALL)
    call = start(mesh)
    running = await puppet.wait("call")
    puppet.accept(running)
    async with asyncio.timeout(10):
        while len(denied) < 25:  # twice as long as a silent node is waited for
            await asyncio.sleep(0.01)
    assert not call.done()
    puppet.reply(running, result("late"))
    assert (await call).text == "late"


async def test_no_responders_for_a_call_that_a_node_has_is_no_proof_that_it_did_not_run(
    mesh: Mesh, puppet: Puppet
):
    call = start(mesh)
    asked = await puppet.wait("call")
    puppet.accept(asked)
    puppet.link.send(asked.reply, b"", headers={"Status": "503"})
    with pytest.raises(OutcomeUnknown) as ended:
        await call
    assert (ended.value.delivered, ended.value.node) == ("unknown", "puppet.p1")
    assert len(puppet.asked["call"]) == 1
