from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.hosts import Gate, docs, node
from tests.support.links import eventually
from tests.support.puppet import Puppet, error, result, tools

from longreach import Mesh, connect
from longreach.errors import (
    BrokerUnavailable,
    CallTimeout,
    LongreachError,
    NotStarted,
    OutcomeUnknown,
    PermissionDenied,
    RemoteError,
    TooLarge,
)
from longreach.transport.memory import MemoryBroker


@pytest.fixture
async def mesh(broker: MemoryBroker, puppet: Puppet) -> AsyncIterator[Mesh]:
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        await mesh.tools()
        yield mesh


@pytest.fixture
async def puppet(broker: MemoryBroker) -> Puppet:
    return Puppet(broker, tools("do"))


def start(mesh: Mesh, name: str = "docs.do", **options: Any) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(mesh.call(name, {}, **options))


def nothing_is_left(mesh: Mesh) -> None:
    session = mesh._session
    assert len(session.inbox) == 0
    assert len(session.liveness) == 0
    assert session.caller._attempts == {}


async def test_the_request_is_what_the_binding_says(mesh: Mesh, puppet: Puppet):
    """M2.1 and M2.2: one JSON-RPC message with `_meta`; a reply subject of its own for each attempt."""
    puppet.on["call"] = lambda _: result()
    for _ in range(2):
        await mesh.call("docs.do", {"text": "x"})
    first, second = puppet.asked["call"]
    assert first.body["params"]["arguments"] == {"text": "x"}
    assert first.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert first.reply != second.reply
    assert first.reply.split(".")[:6] == ["lr", "v1", "default", "local", "rep", "_"]
    assert len(first.reply.split(".")[7]) >= 32
    nothing_is_left(mesh)


async def test_a_second_answer_is_ignored(mesh: Mesh, puppet: Puppet):
    call = start(mesh)
    asked = await puppet.wait("call")
    for text in ("first", "second"):
        puppet.reply(asked, result(text))
    assert (await call).text == "first"
    puppet.accept(asked)
    await puppet.link.fence(1)
    nothing_is_left(mesh)


async def test_frames_of_unknown_kinds_and_broken_ones_change_nothing(mesh: Mesh, puppet: Puppet):
    """M4.3"""
    call = start(mesh, on_progress=print)
    asked = await puppet.wait("call")
    for kind, body in [("later", b"?"), ("accepted", b"{"), ("note", b"{"), ("accepted", b'{"identity":""}')]:
        puppet.reply(asked, body, kind)
    puppet.reply(asked, result())
    assert (await call).text == "done"


async def test_progress_reaches_the_caller_and_what_it_raises_is_its_own(mesh: Mesh, puppet: Puppet):
    seen = []

    def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))
        raise RuntimeError("mine")

    call = start(mesh, on_progress=on_progress)
    asked = await puppet.wait("call")
    token = asked.body["params"]["_meta"]["progressToken"]
    for params in (
        {"progressToken": token, "progress": 1, "total": 2},
        {"progress": 2, "message": "m"},
        {},
        [],
    ):
        note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
        puppet.reply(asked, msgspec.json.encode(note), "note")
    puppet.reply(asked, result())
    await call
    assert seen == [(1, 2, None), (2, None, "m")]


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"{", b"[]", b"\xff", b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0","id":1,"result":7}',
        b'{"jsonrpc":"2.0","id":1,"result":{"content":{}}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"nope"}]}}',
        b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"resultType":"later"}}',
        b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100_000,
    ],
)  # fmt: skip
async def test_an_answer_that_is_none_ends_the_call_as_run(mesh: Mesh, puppet: Puppet, answer: bytes):
    """Something was answered, so it may have run: `yes`, and not sent again even where that is allowed."""
    puppet.on["call"] = lambda _: answer
    with pytest.raises(RemoteError) as ended:
        await mesh.call("docs.do", {}, idempotent=True)
    assert ended.value.delivered == "yes"
    assert len(puppet.asked["call"]) == 1
    nothing_is_left(mesh)


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


async def test_a_deadline_that_passes_cancels_the_call_where_it_is(mesh: Mesh, puppet: Puppet):
    """M6.1: at the node that accepted it, else at all instances; with a reply subject of our connection."""
    for accepts in (False, True):
        call = start(mesh, timeout_s=0.05)
        count = len(puppet.asked.get("call", ())) + 1
        asked = await puppet.wait("call", count)
        if accepts:
            puppet.accept(asked)
        with pytest.raises(CallTimeout) as ended:
            await call
        assert ended.value.delivered == "unknown"
        cancel = await puppet.wait("cancel", count)
        assert cancel.body["calls"] == [asked.reply.rpartition(".")[2]]
        assert cancel.reply.split(".")[:8] == asked.reply.split(".")[:8]
        assert cancel.subject.split(".")[4] == ("node" if accepts else "all")
    nothing_is_left(mesh)


async def test_cancelling_the_task_cancels_the_call(mesh: Mesh, puppet: Puppet):
    call = start(mesh)
    asked = await puppet.wait("call")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (await puppet.wait("cancel")).body["calls"] == [asked.reply.rpartition(".")[2]]
    nothing_is_left(mesh)
    assert mesh.stats.failed == 1


async def test_a_link_that_goes_down_and_stays_down_holds_no_call_beyond_its_deadline(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet
):
    """Nobody looks at calls while the link is down, so that each needs a timer of its own."""
    call = start(mesh, timeout_s=1.05)
    await puppet.wait("call")
    broker.cut(mesh._session.link)  # type: ignore[arg-type]
    async with asyncio.timeout(3):
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
        async with asyncio.timeout(1):
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
    async with asyncio.timeout(1):
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
    await eventually(lambda: not mesh._session.caller._attempts)
    await mesh.close()
    async with asyncio.timeout(2):
        with pytest.raises(BrokerUnavailable):
            await call


async def test_a_permission_that_is_missing_ends_the_call_without_having_run(broker: MemoryBroker):
    """M5.4: not retried in that region, but in another one."""
    here, there = (
        Puppet(broker, tools("do"), region="eu"),
        Puppet(broker, tools("do"), region="us", instance="p2"),
    )
    there.on["call"] = lambda _: result("us")
    allowed = ["lr.v1.default.us.>", "lr.v1.default._.>", "lr.v1.default.*.node.>"]
    async with connect(link=broker.link(publish=allowed), region="eu", timeout_s=5) as mesh:
        assert (await mesh.call("docs.do", {}, idempotent=False)).attempts == 2
        with pytest.raises(PermissionDenied) as ended:
            await mesh.options(residency=["eu"]).call("docs.do", {})
        assert ended.value.delivered == "no"
    assert "call" not in here.asked


async def test_a_message_beyond_max_payload_is_not_sent(puppet: Puppet, mesh: Mesh):
    """M2.5: refused before it is sent."""
    with pytest.raises(TooLarge) as ended:
        await mesh.call("docs.do", {"text": "x" * 2_000_000})
    assert ended.value.delivered == "no"
    assert "call" not in puppet.asked
    nothing_is_left(mesh)


@pytest.mark.parametrize("timeout_s", [math.inf, 1e300])
async def test_a_deadline_beyond_all_bounds_is_one_that_nodes_can_read(
    mesh: Mesh, puppet: Puppet, timeout_s: float
):
    """M2.3: at most 16 digits."""
    puppet.on["call"] = lambda _: result()
    await mesh.call("docs.do", {}, timeout_s=timeout_s)
    assert len(puppet.asked["call"][0].reply.split("-")[-2]) <= 16


async def test_skew_is_allowed_for_in_the_deadline_up_to_two_seconds(broker: MemoryBroker):
    """M2.4: askers allow for the skew that heartbeats show."""
    puppet = Puppet(broker, tools("do"), skew_ms=60_000)
    puppet.on["call"] = lambda _: result()
    async with connect(link=broker.link(), timeout_s=10) as mesh:
        await mesh.call("docs.do", {})
        deadline_ms = int(puppet.asked["call"][0].reply.split("-")[-2], 16)
        assert 11_500 < deadline_ms - mesh._session.clock.wall_ms() <= 12_000


async def test_counts_add_up(mesh: Mesh, puppet: Puppet):
    answers = iter([result(), error(-31900, reason="busy"), result(), error(-32603)])
    puppet.on["call"] = lambda _: next(answers)
    for _ in range(3):
        with contextlib.suppress(LongreachError):
            await mesh.call("docs.do", {})
    stats = mesh.stats
    assert (stats.calls, stats.answered, stats.failed, stats.attempts, stats.retried) == (3, 2, 1, 4, 1)


async def test_a_call_is_cancelled_at_its_node(broker: MemoryBroker, gate: Gate):
    async with node(broker, docs(gate)) as host, connect(link=broker.link()) as mesh:
        call = start(mesh, "docs.wait")
        await gate.begins()
        call.cancel()
        await eventually(lambda: gate.cancelled == 1 and host.in_flight == 0)
        with pytest.raises(asyncio.CancelledError):
            await call
