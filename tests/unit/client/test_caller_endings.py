"""Which calls are sent again, and how those end that are not."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.support.links import eventually
from tests.support.puppet import Puppet, error, nothing_is_left, result, start, tools
from tests.support.timing import allowed

from longreach import Mesh, connect
from longreach.errors import (
    BrokerUnavailable,
    CallTimeout,
    LongreachError,
    NotStarted,
    OutcomeUnknown,
    PermissionDenied,
    RemoteError,
)
from longreach.transport.memory import MemoryBroker


@pytest.mark.parametrize("code", [-32603, -32602, -32020, 7])
async def test_an_error_is_an_answer_and_nothing_is_sent_again(mesh: Mesh, puppet: Puppet, code: int):
    """M5.3: `yes` is never retried."""
    puppet.on["call"] = lambda _: error(code, reason="crashed_actor")
    with pytest.raises(RemoteError) as ended:
        await mesh.call("docs.do", {}, idempotent=True)
    assert (ended.value.code, ended.value.delivered, ended.value.reason) == (code, "yes", "crashed_actor")
    assert len(puppet.asked["call"]) == 1


@pytest.mark.parametrize("reason", ["busy", "draining", "not_here", "crashed", "a newer word"])
async def test_what_did_not_start_is_sent_again_within_the_deadline(mesh: Mesh, puppet: Puppet, reason: str):
    """M5.4: whatever the tool is."""
    puppet.on["call"] = lambda _: error(-31900, reason=reason) if len(puppet.asked["call"]) < 3 else result()
    answer = await mesh.call("docs.do", {}, idempotent=False)
    assert answer.attempts == 3
    assert len(set(answer.retries)) == 1


async def test_what_never_starts_ends_by_the_deadline_and_did_not_run(mesh: Mesh, puppet: Puppet):
    """M5.4"""
    puppet.on["call"] = lambda _: error(-31900, reason="busy", retryAfterMs=60)
    with pytest.raises(NotStarted) as ended:
        await mesh.call("docs.do", {}, timeout_s=0.1)
    assert (ended.value.delivered, ended.value.reason) == ("no", "busy")
    nothing_is_left(mesh)


@pytest.mark.parametrize(
    ("read_only", "said", "sent"), [(False, None, 1), (False, True, 2), (True, None, 2), (True, False, 1)]
)
async def test_what_may_have_run_is_sent_again_once_at_most(
    broker: MemoryBroker, read_only: bool, said: bool | None, sent: int
):
    """M5.3: only where the tool or its user says that it may, and then once."""
    puppet = Puppet(broker, tools("do", read_only=read_only))
    puppet.on["call"] = lambda _: error(-32603, reason="cut_off")
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        with pytest.raises(OutcomeUnknown) as ended:
            await mesh.call("docs.do", {}, idempotent=said)
    assert ended.value.delivered == "unknown"
    assert len(puppet.asked["call"]) == sent


async def test_a_version_without_the_hint_keeps_the_others_from_being_run_again(broker: MemoryBroker):
    """M5.3: in every live version."""
    puppet = Puppet(broker, tools("do", read_only=True))
    Puppet(broker, tools("do"), instance="p2", group=False)
    puppet.on["call"] = lambda _: error(-32603, reason="cut_off")
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        with pytest.raises(OutcomeUnknown):
            await mesh.call("docs.do", {})
    assert len(puppet.asked["call"]) == 1


async def test_a_link_that_goes_down_and_stays_down_holds_no_call_beyond_its_deadline(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet
):
    """Nobody looks at calls while the link is down, so that each needs a timer of its own."""
    call = start(mesh, timeout_s=1.05)
    await puppet.wait("call")
    broker.cut(mesh._session.link)  # type: ignore[arg-type]
    async with asyncio.timeout(allowed(3)):
        with pytest.raises(CallTimeout) as ended:
            await call
    assert ended.value.delivered == "unknown"


async def test_without_a_link_nothing_is_sent_and_that_is_said(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet
):
    broker.cut(mesh._session.link)  # type: ignore[arg-type]
    with pytest.raises(BrokerUnavailable) as ended:
        await mesh.call("docs.do", {}, timeout_s=0.05)
    assert ended.value.delivered == "no"
    assert "call" not in puppet.asked


async def test_a_link_that_is_back_in_time_takes_the_call(broker: MemoryBroker, mesh: Mesh, puppet: Puppet):
    puppet.on["call"] = lambda _: result()
    broker.cut(mesh._session.link)  # type: ignore[arg-type]
    call = start(mesh, idempotent=False)
    await eventually(lambda: mesh.stats.retried or mesh.stats.calls)
    broker.restore(mesh._session.link)  # type: ignore[arg-type]
    assert (await call).text == "done"
    assert len(puppet.asked["call"]) == 1


async def test_closing_ends_the_calls_that_wait_and_tells_their_nodes(broker: MemoryBroker, puppet: Puppet):
    mesh = await connect(link=broker.link(), timeout_s=60)
    call, second = start(mesh), start(mesh, idempotent=True)
    await puppet.wait("call", 2)
    await mesh.close()
    for ended in (call, second):
        async with asyncio.timeout(allowed(1)):
            with pytest.raises(OutcomeUnknown) as unknown:
                await ended
        assert unknown.value.reason == "closed"
    await puppet.wait("cancel", 2)
    assert len(puppet.asked["call"]) == 2


async def test_calls_after_closing_fail_at_once(broker: MemoryBroker, puppet: Puppet):
    puppet.on["call"] = lambda _: result()
    mesh = await connect(link=broker.link(), timeout_s=60)
    await mesh.call("docs.do", {})
    await mesh.close()
    async with asyncio.timeout(allowed(1)):
        for wanted in (
            mesh.call("docs.do"),
            mesh.call("docs.other"),
            mesh.tools(),
            mesh.nodes(),
            mesh.refresh(),
        ):
            with pytest.raises(BrokerUnavailable) as ended:
                await wanted
            assert ended.value.delivered == "no"


async def test_a_call_that_waits_to_be_sent_again_ends_with_the_mesh(broker: MemoryBroker, puppet: Puppet):
    puppet.on["call"] = lambda _: error(-31900, reason="busy", retryAfterMs=200)
    mesh = await connect(link=broker.link(), timeout_s=60)
    call = start(mesh)
    await puppet.wait("call")
    await eventually(lambda: not mesh._session.home.sender._attempts)
    await mesh.close()
    async with asyncio.timeout(allowed(2)):
        with pytest.raises(BrokerUnavailable):
            await call


async def test_a_permission_that_is_missing_ends_the_call_without_having_run(broker: MemoryBroker):
    """M5.4: not retried in that region, but in another one."""
    here, there = (
        Puppet(broker, tools("do"), region="eu"),
        Puppet(broker, tools("do"), region="us", instance="p2"),
    )
    there.on["call"] = lambda _: result("us")
    allowed = ["lr.v1.default.us.>", "lr.v1.default._.>", "lr.v1.default.*.node.>", "lr.v1.default.*.all.>"]
    async with connect(link=broker.link(publish=allowed), region="eu", timeout_s=5) as mesh:
        assert (await mesh.call("docs.do", {}, idempotent=False)).attempts == 2
        with pytest.raises(PermissionDenied) as ended:
            await mesh.options(residency=["eu"]).call("docs.do", {})
        assert ended.value.delivered == "no"
    assert "call" not in here.asked


async def test_counts_add_up(mesh: Mesh, puppet: Puppet):
    answers = iter([result(), error(-31900, reason="busy"), result(), error(-32603)])
    puppet.on["call"] = lambda _: next(answers)
    for _ in range(3):
        with contextlib.suppress(LongreachError):
            await mesh.call("docs.do", {})
    stats = mesh.stats
    assert (stats.calls, stats.answered, stats.failed, stats.attempts, stats.retried) == (3, 2, 1, 4, 1)
