"""`Mesh.forward`: somebody else's request, byte for byte, under somebody else's name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.links import eventually
from tests.support.puppet import Puppet, error, nothing_is_left, result, tools

from longreach import Mesh, connect
from longreach.client import askers, session
from longreach.errors import (
    BrokerUnavailable,
    CallTimeout,
    ConfigError,
    NotFound,
    OutcomeUnknown,
    RemoteError,
)
from longreach.policy.liveness import Config, Liveness
from longreach.transport.memory import MemoryBroker
from longreach.wire.manifest import Definition, Offer
from longreach.wire.subjects import resource_hash

REQUEST = b'{"jsonrpc":"2.0","id":"a-7","method":"tools/call",  "params":{"name":"do","_meta":{"x":[1]}}}'
CALL = {"method": "tools/call", "name": "do"}


@pytest.fixture
async def mesh(broker: MemoryBroker, puppet: Puppet) -> AsyncIterator[Mesh]:
    async with connect(link=broker.link(), timeout_s=5, via="gw") as mesh:
        await mesh.learn()
        yield mesh


@pytest.fixture
async def quick(broker: MemoryBroker, puppet: Puppet, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mesh]:
    """As `mesh`, with liveness that takes a tenth of the time."""
    config = Config(
        accepted_after_s=0.05, slack_s=0.02, ask_every_s=0.05, twice_apart_s=0.03, whose_every_s=0.05
    )
    monkeypatch.setattr(session, "Liveness", lambda _: Liveness(config))
    async with connect(link=broker.link(), timeout_s=5, via="gw") as mesh:
        await mesh.learn()
        yield mesh


def raw_of(puppet: Puppet, broker: MemoryBroker) -> list[bytes]:
    bodies: list[bytes] = []
    broker.link().subscribe("lr.v1.default.local.req.>", lambda _, __, data, ___: bodies.append(data))
    return bodies


async def test_bytes_go_and_come_as_they_are(broker: MemoryBroker, mesh: Mesh, puppet: Puppet):
    answer = b'{"id":"a-7", "result":{"odd":true},"jsonrpc":"2.0"}'
    puppet.on["call"] = lambda _: answer
    bodies = raw_of(puppet, broker)
    assert await mesh.forward("docs", REQUEST, **CALL) == answer
    assert bodies == [REQUEST]
    nothing_is_left(mesh)
    assert (mesh.stats.calls, mesh.stats.answered) == (1, 1)


async def test_an_answer_that_is_not_utf8_is_none(mesh: Mesh, puppet: Puppet):
    puppet.on["call"] = lambda _: b'{"id":"a-7","result":{"odd":"\xed\xa0\x80"},"jsonrpc":"2.0"}'
    with pytest.raises(RemoteError, match="UTF-8"):
        await mesh.forward("docs", REQUEST, **CALL)
    nothing_is_left(mesh)


@pytest.mark.parametrize(("caller", "token"), [(None, "_"), ("Bob", "=42ob")])
async def test_it_asks_under_the_gateways_via_and_the_callers_name(
    mesh: Mesh, puppet: Puppet, caller: str | None, token: str
):
    """M2.2: the reply subject has the via and caller of the request's own subject."""
    puppet.on["call"] = lambda _: result()
    await mesh.forward("docs", REQUEST, **CALL, caller=caller)
    (asked,) = puppet.asked["call"]
    assert asked.subject.split(".")[7:9] == ["gw", token]
    assert asked.reply.split(".")[5:7] == ["gw", token]


@pytest.mark.parametrize(
    ("method", "name", "tail"),
    [
        ("prompts/get", "Greet", "prompts-get.=47reet"),
        ("resources/read", "mem://a/b", "resources-read._"),
        ("completion/complete", None, "completion-complete._"),
        ("tools/list", None, "tools-list._"),
        ("server/discover", None, "server-discover._"),
    ],
)
async def test_every_method_has_its_subject(broker: MemoryBroker, method: str, name: str | None, tail: str):
    """M1.4"""
    puppet = Puppet(broker, tools("do"), offer=Offer(prompts=[Definition("Greet", b'{"name":"Greet"}')]))
    puppet.on[tail.partition(".")[0]] = lambda _: result()
    async with connect(link=broker.link(), timeout_s=5, via="gw") as mesh:
        await mesh.forward("docs", b"{}", method=method, name=name)
    (asked,) = puppet.asked[tail.partition(".")[0]]
    assert asked.subject == f"lr.v1.default.local.req.docs._.gw._.{tail}"


async def test_an_error_that_ends_the_call_is_a_response_like_others(mesh: Mesh, puppet: Puppet):
    answer = error(-32602, what="x")
    puppet.on["call"] = lambda _: answer
    assert await mesh.forward("docs", REQUEST, **CALL) == answer
    assert len(puppet.asked["call"]) == 1


async def test_what_did_not_start_is_sent_again(mesh: Mesh, puppet: Puppet):
    answers = [error(-31900, reason="busy"), result("second")]
    puppet.on["call"] = lambda _: answers.pop(0)
    assert b"second" in await mesh.forward("docs", REQUEST, **CALL, caller="bob")
    first, second = puppet.asked["call"]
    assert first.reply != second.reply


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"\xff", b'{"error":1}', b"[" * 100_000])
async def test_an_answer_that_is_none_is_an_error(mesh: Mesh, puppet: Puppet, answer: bytes):
    puppet.on["call"] = lambda _: answer
    with pytest.raises(RemoteError):
        await mesh.forward("docs", REQUEST, **CALL)


async def test_notes_come_as_they_are_and_what_is_made_of_them_ends_nothing(
    mesh: Mesh, puppet: Puppet, caplog: pytest.LogCaptureFixture
):
    notes: list[bytes] = []

    def take(note: bytes) -> None:
        notes.append(note)
        raise RuntimeError("mine")

    call = asyncio.get_running_loop().create_task(mesh.forward("docs", REQUEST, **CALL, on_note=take))
    asked = await puppet.wait("call")
    for note in (b'{"method":"notifications/progress"}', b"anything"):
        puppet.reply(asked, note, "note")
    puppet.reply(asked, result())
    await call
    assert notes == [b'{"method":"notifications/progress"}', b"anything"]
    assert "note.failed" in caplog.messages


async def test_cancelling_the_task_cancels_the_call_under_the_callers_name(mesh: Mesh, puppet: Puppet):
    """M6.1, M6.3"""
    call = asyncio.get_running_loop().create_task(mesh.forward("docs", REQUEST, **CALL, caller="bob"))
    asked = await puppet.wait("call")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    cancel = await puppet.wait("cancel")
    assert cancel.body["calls"] == [asked.reply.rpartition(".")[2]]
    assert cancel.reply.split(".")[:8] == asked.reply.split(".")[:8]
    assert cancel.subject.endswith(".gw.bob.cancel")
    nothing_is_left(mesh)


async def test_a_node_that_dies_is_noticed_by_whoever_asked(
    quick: Mesh, puppet: Puppet, broker: MemoryBroker
):
    call = asyncio.get_running_loop().create_task(
        quick.forward("docs", REQUEST, **CALL, caller="bob", idempotent=False)
    )
    asked = await puppet.wait("call")
    puppet.accept(asked)
    puppet.on["alive"] = lambda _: msgspec.json.encode(
        {"identity": "puppet", "instance": "p1", "gone": [], "clockMs": 0}
    )
    assert (await puppet.wait("alive")).subject.endswith(".gw.bob.alive")
    broker.cut(puppet.link)
    with pytest.raises(OutcomeUnknown) as ended:
        await call
    assert ended.value.reason == "node_died"
    assert quick.catalog.instances == {}


async def test_a_call_that_nobody_accepts_is_searched_for_among_all_who_may_have_it(
    quick: Mesh, puppet: Puppet, broker: MemoryBroker
):
    """An asker that is new knows of the nodes that left the catalog, too: they may still take calls."""
    ghost = Puppet(broker, tools("do"), instance="p2", group=False)
    ghost.announce()
    await eventually(lambda: len(quick.catalog.instances) == 2)
    ghost.announce("down")
    await eventually(lambda: len(quick.catalog.instances) == 1)
    no = {"identity": "puppet", "instance": "p1", "region": "local", "have": [], "done": [], "clockMs": 0}
    puppet.on["whose"] = lambda _: msgspec.json.encode(no)
    call = asyncio.get_running_loop().create_task(quick.forward("docs", REQUEST, **CALL, caller="bob"))
    await ghost.wait("whose", 3)
    assert not call.done()  # one of two has not said no
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_one_node_is_asked_where_it_is_named(mesh: Mesh, puppet: Puppet):
    puppet.on["call"] = lambda _: result()
    await mesh.forward("docs", REQUEST, **CALL, to_node="puppet.p1")
    assert puppet.asked["call"][0].subject.split(".")[6] == "n-p1"
    with pytest.raises(NotFound, match="p9 is gone") as ended:
        await mesh.forward("docs", REQUEST, **CALL, to_node="puppet.p9")
    assert ended.value.reason == "no_such_node"


async def test_what_is_not_there_is_said_so(mesh: Mesh):
    for server, method, name in (
        ("doks", "tools/call", "do"),
        ("docs", "tools/call", "dø"),
        ("docs", "tools/fly", None),
    ):
        with pytest.raises(NotFound):
            await mesh.forward(server, REQUEST, method=method, name=name)


async def test_a_deadline_ends_it(mesh: Mesh, puppet: Puppet):
    with pytest.raises(CallTimeout):
        await mesh.forward("docs", REQUEST, **CALL, timeout_s=0.05, caller="bob")
    await puppet.wait("cancel")
    nothing_is_left(mesh)


async def test_a_link_that_is_lost_ends_it_in_time_and_one_that_is_back_goes_on(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet
):
    link: Any = mesh._session.link
    puppet.on["call"] = lambda _: result()
    await mesh.forward("docs", REQUEST, **CALL, caller="bob")
    broker.cut(link)
    with pytest.raises((BrokerUnavailable, CallTimeout)):
        await mesh.forward("docs", REQUEST, **CALL, caller="ann", timeout_s=0.05)
    broker.restore(link)
    for caller in ("bob", "ann"):
        await mesh.forward("docs", REQUEST, **CALL, caller=caller)


async def test_idle_askers_are_closed_and_those_in_use_are_not(
    broker: MemoryBroker, mesh: Mesh, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(askers, "MAX_IDLE", 3)
    link: Any = mesh._session.link
    before = len(link._subscriptions)
    calls = []
    for number in range(5):
        calls.append(
            asyncio.get_running_loop().create_task(
                mesh.forward("docs", REQUEST, **CALL, caller=f"busy{number}")
            )
        )
        await puppet.wait("call", number + 1)
    assert len(mesh._session.askers) == 6  # more than allowed, but all in use
    for asked in puppet.asked["call"]:
        puppet.reply(asked, result())
    await asyncio.gather(*calls)
    puppet.on["call"] = lambda _: result()
    for number in range(10):
        await mesh.forward("docs", REQUEST, **CALL, caller=f"c{number}")
    assert len(mesh._session.askers) <= 6
    monkeypatch.setattr(askers, "IDLE_S", -1.0)
    mesh._session.askers.close_idle()
    assert len(mesh._session.askers) == 1
    assert len(link._subscriptions) == before


async def test_a_mesh_that_is_closed_says_so_at_once_to_new_callers_too(mesh: Mesh):
    await mesh.close()
    for caller in (None, "new"):
        with pytest.raises(BrokerUnavailable, match="closed"):
            await mesh.forward("docs", REQUEST, **CALL, caller=caller)
    assert len(mesh._session.askers) == 1


async def test_a_caller_without_a_name_is_refused(mesh: Mesh):
    with pytest.raises(ConfigError):
        await mesh.forward("docs", REQUEST, **CALL, caller="")


async def test_the_mesh_tells_gateways_what_changes(broker: MemoryBroker, mesh: Mesh, puppet: Puppet):
    updates: list[str] = []
    stop = mesh.on_updated("docs", "mem://a", lambda: updates.append("a"))
    closed: list[str] = []
    mesh.on_close(lambda: closed.append("x"))
    changes: list[int] = []
    mesh.on_catalog(lambda _, after: changes.append(len(after.instances)))
    for uri in ("mem://a", "mem://b"):
        puppet.link.send(f"lr.v1.default.local.evt.docs.updated.{resource_hash(uri)}", b"{}")
    await eventually(lambda: updates == ["a"])
    stop()
    stop()
    puppet.link.send(f"lr.v1.default.local.evt.docs.updated.{resource_hash('mem://a')}", b"{}")
    puppet.announce("down")
    await eventually(lambda: changes == [0])
    assert updates == ["a"]
    await mesh.close()
    assert closed == ["x"]


async def test_after_a_lost_connection_every_resource_may_have_changed(broker: MemoryBroker, mesh: Mesh):
    """M13.4"""
    updates: list[str] = []
    stop = mesh.on_updated("docs", "mem://a", lambda: updates.append("a"))
    mesh.on_updated("docs", "mem://b", lambda: updates.append("b"))
    link = mesh._session.link
    broker.cut(link)
    broker.restore(link)
    await eventually(lambda: updates == ["a", "b"])
    stop()
    broker.cut(link)
    broker.restore(link)
    await eventually(lambda: updates == ["a", "b", "b"])
