from __future__ import annotations

import asyncio
import math

import msgspec
import pytest
from tests.support.hosts import Gate, docs, node
from tests.support.links import eventually
from tests.support.puppet import Puppet, error, nothing_is_left, result, start, tools
from tests.support.timing import allowed

from longreach import Mesh, connect
from longreach.client import session
from longreach.errors import (
    BrokerUnavailable,
    CallTimeout,
    NotFound,
    RemoteError,
    TooLarge,
)
from longreach.policy.liveness import Config, Liveness
from longreach.transport.memory import MemoryBroker


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


async def test_a_request_beyond_the_limit_of_bodies_is_not_sent(broker: MemoryBroker, puppet: Puppet):
    """M2.5, M16.4: refused before it is sent."""
    async with connect(link=broker.link(), timeout_s=5, max_body_bytes=1_500_000) as mesh:
        with pytest.raises(TooLarge, match="max_body_bytes") as ended:
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
    """M2.4, M2.10: askers allow for the skew that heartbeats show."""
    puppet = Puppet(broker, tools("do"), skew_ms=60_000)
    puppet.on["call"] = lambda _: result()
    async with connect(link=broker.link(), timeout_s=10) as mesh:
        before_ms = mesh._session.clock.wall_ms()
        await mesh.call("docs.do", {})
        deadline_ms = int(puppet.asked["call"][0].reply.split("-")[-2], 16)
        assert before_ms + 12_000 - 2 <= deadline_ms <= mesh._session.clock.wall_ms() + 12_000


async def test_a_call_is_cancelled_at_its_node(broker: MemoryBroker, gate: Gate):
    async with node(broker, docs(gate)) as host, connect(link=broker.link()) as mesh:
        call = start(mesh, "docs.wait")
        await gate.begins()
        call.cancel()
        await eventually(lambda: gate.cancelled == 1 and host.in_flight == 0)
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_the_time_of_a_call_runs_while_its_tool_is_looked_up(broker: MemoryBroker):
    """A node that announced a server and then fell silent holds no call beyond its time."""
    silent = Puppet(broker, tools("do"))
    silent.on["blobs"] = lambda _: None
    async with connect(link=broker.link()) as mesh:
        began = asyncio.get_running_loop().time()
        with pytest.raises(CallTimeout) as caught:
            await mesh.call("docs.do", {}, timeout_s=0.2)
        assert asyncio.get_running_loop().time() - began < allowed(1.0)
        assert (caught.value.delivered, caught.value.retryable) == ("no", True)
        assert "call" not in silent.asked


async def test_a_silent_newcomer_of_another_version_holds_nobody_up(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet
):
    puppet.on["call"] = lambda _: result()
    newcomer = Puppet(broker, tools("do", "more"), instance="p2", group=False)
    newcomer.on["blobs"] = lambda _: None
    newcomer.announce()
    await eventually(lambda: len(mesh.catalog.instances) == 2)
    async with asyncio.timeout(allowed(0.5)):
        assert (await mesh.call("docs.do", {})).text == "done"


@pytest.mark.parametrize("way", ["accepted", "whose"])
async def test_what_is_asked_about_a_call_stays_in_the_region_of_the_call(
    broker: MemoryBroker, way: str, monkeypatch: pytest.MonkeyPatch
):
    """A node that names another region than its own leads no question and no cancel out of the residency."""
    quick = Config(accepted_after_s=0.05, slack_s=0.02, ask_every_s=0.1, whose_every_s=0.1)
    monkeypatch.setattr(session, "Liveness", lambda _: Liveness(quick))
    puppet = Puppet(broker, tools("do"), region="eu")
    elsewhere: list[str] = []
    broker.link().subscribe("lr.v1.default.us.>", lambda subject, *_: elsewhere.append(subject))
    liar = {"identity": "puppet", "instance": "p1", "region": "us"}
    async with connect(link=broker.link(), residency=["eu"]) as mesh:
        call = start(mesh)
        asked = await puppet.wait("call")
        if way == "accepted":
            puppet.reply(asked, msgspec.json.encode(liar), "accepted")
        else:
            puppet.on["whose"] = lambda whose: msgspec.json.encode(
                {**liar, "have": whose.body["calls"], "done": [], "clockMs": 0}
            )
        assert (await puppet.wait("alive", 2)).body["calls"]
        call.cancel()
        await puppet.wait("cancel")
        assert elsewhere == []


async def test_a_call_that_waits_for_its_next_attempt_ends_with_the_mesh(broker: MemoryBroker):
    puppet = Puppet(broker, tools("do"))
    puppet.on["call"] = lambda _: error(-31900, reason="busy", retryAfterMs=30_000)
    mesh = await connect(link=broker.link(), timeout_s=60)
    call = start(mesh)
    await puppet.wait("call")
    await puppet.link.fence(1)
    await mesh.close()
    async with asyncio.timeout(allowed(1)):
        with pytest.raises(BrokerUnavailable):
            await call
    assert len(puppet.asked["call"]) == 1


async def test_names_that_nobody_offers_are_not_kept(mesh: Mesh):
    for number in range(3):
        with pytest.raises(NotFound):
            await mesh.call(f"nobody{number}.do")
    assert mesh._session.discovery._wanted == {"docs"}
