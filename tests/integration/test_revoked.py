"""Rights that come and go while calls are on their way: nothing runs twice, and who is refused is told.

The broker's word for it names a subject and no message. M5.5, M10.1.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from tests.support.broker import Broker
from tests.support.puppet import knows_everybody

from longreach import Mesh, NatsOptions, Node, NodeSettings, Server, connect
from longreach.errors import CallTimeout, OutcomeUnknown, PermissionDenied

PREFIX = "lr.v1.acme.eu."
ONE_TOOL = "req.docs.*._.alice.tools-call.pay"
CONTROL = ("all.docs._.alice.*", "node.*.*._.alice.*", "who._.alice")
NO_ALL = ("node.*.*._.alice.*", "who._.alice")


def config(*granted: str) -> str:
    publish = ", ".join(f'"{PREFIX}{subject}"' for subject in granted)
    subscribe = ", ".join(f'"{PREFIX}{s}"' for s in ("rep._.alice.>", "adv.docs.*.*", "evt.docs.>"))
    return f"""authorization {{ users: [
  {{ user: node, password: pw }}
  {{ user: alice, password: pw, permissions: {{ publish: {{ allow: [{publish}] }},
     subscribe: {{ allow: [{subscribe}] }} }} }}
] }}"""


class Payments:
    """A server of two nodes that counts what it runs, and ends each payment when it is told to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.release = asyncio.Event()
        self.server = Server("docs", version="1.0.0")

        @self.server.tool(idempotent=True)
        async def pay(id: str) -> str:
            self.ran.append(id)
            await self.release.wait()
            return id


def options(broker: Broker, user: str) -> NatsOptions:
    return NatsOptions(urls=(broker.url,), user=user, password="pw")


@pytest.fixture
async def payments(broker: Broker) -> AsyncIterator[Payments]:
    made = Payments()

    def settings(identity: str) -> NodeSettings:
        return NodeSettings(
            region="eu", namespace="acme", identity=identity, connection=options(broker, "node")
        )

    async with Node(made.server, settings=settings("n1")), Node(made.server, settings=settings("n2")):
        yield made
        made.release.set()


@pytest.fixture
async def mesh(broker: Broker, payments: Payments) -> AsyncIterator[Mesh]:
    async with connect(
        connection=options(broker, "alice"), caller="alice", namespace="acme", residency=["eu"],
        servers=["docs"], timeout_s=30,
    ) as mesh:  # fmt: skip
        await mesh.tools()
        yield mesh


def start(mesh: Mesh, id: str) -> asyncio.Task[Any]:
    call: Coroutine[Any, Any, Any] = mesh.call("docs.pay", {"id": id})
    return asyncio.get_running_loop().create_task(call)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def reloads(broker: Broker) -> int:
    return broker.log_file.read_text(encoding="utf-8").count("Reloaded server configuration")


async def change(broker: Broker, mesh: Mesh, *granted: str) -> None:
    """Reload the broker with other rights, and wait until they count."""
    before = reloads(broker)
    broker.configure(config(*granted))
    broker.reload()
    await until(lambda: reloads(broker) > before)
    await mesh._session.link.fence(5)


@pytest.mark.parametrize("control", [CONTROL, NO_ALL], ids=["all rights", "no all"])
@pytest.mark.parametrize("broker", [config(ONE_TOOL, *CONTROL)], indirect=True)
@pytest.mark.parametrize("accepted", [True, False], ids=["accepted", "just sent"])
async def test_a_right_is_taken_with_a_call_running_and_one_refused(
    broker: Broker, mesh: Mesh, payments: Payments, control: tuple[str, ...], accepted: bool
) -> None:
    knows_everybody(
        mesh
    )  # its "no" is that of everybody: one that has just connected would say "unknown" (M7.7)
    running = start(mesh, "runs")
    await until(lambda: "runs" in payments.ran)
    if accepted:
        (attempt,) = mesh._session.home.sender._attempts.values()
        await until(lambda: attempt.node is not None)
    await change(broker, mesh, *control)
    refused = start(mesh, "refused")
    with pytest.raises(PermissionDenied) as error:
        await refused
    assert error.value.delivered == "no"
    await change(broker, mesh, ONE_TOOL, *control)
    payments.release.set()
    assert (await running).text == "runs"
    assert (await mesh.call("docs.pay", {"id": "again"})).text == "again"
    assert payments.ran == ["runs", "again"]


@pytest.mark.parametrize("broker", [config(ONE_TOOL, *CONTROL)], indirect=True)
async def test_a_burst_of_calls_is_refused_whole_and_at_once(
    broker: Broker, mesh: Mesh, payments: Payments
) -> None:
    await change(broker, mesh, *NO_ALL)
    ended = await asyncio.gather(*(start(mesh, str(i)) for i in range(200)), return_exceptions=True)
    assert {type(error) for error in ended} == {PermissionDenied}
    assert payments.ran == []


@pytest.mark.parametrize("broker", [config(ONE_TOOL, *CONTROL)], indirect=True)
async def test_rights_that_come_and_go_under_a_burst_never_make_a_call_run_twice(
    broker: Broker, mesh: Mesh, payments: Payments
) -> None:
    payments.release.set()
    calls: list[asyncio.Task[Any]] = []
    for turn in range(6):
        granted = (ONE_TOOL, *CONTROL) if turn % 2 else CONTROL
        changing = asyncio.get_running_loop().create_task(change(broker, mesh, *granted))
        while not changing.done():
            calls.append(start(mesh, f"{len(calls)}"))
            await asyncio.sleep(0.002)
        await changing
    ended = await asyncio.gather(*calls, return_exceptions=True)
    for id, end in enumerate(ended):
        runs = payments.ran.count(str(id))
        assert runs <= 1, f"{id} ran {runs} times and ended in {end!r}"
        if isinstance(end, PermissionDenied):
            assert runs == 0
        else:
            assert isinstance(end, OutcomeUnknown | CallTimeout) or (runs, end.text) == (1, str(id))


@pytest.mark.parametrize("broker", [config(ONE_TOOL, *CONTROL)], indirect=True)
async def test_a_call_under_the_grant_of_one_tool_is_answered_however_long_it_takes(
    broker: Broker, mesh: Mesh, payments: Payments
) -> None:
    """Nobody may be asked whether the node lives, which says nothing about the node."""
    await change(broker, mesh, ONE_TOOL)
    running = start(mesh, "long")
    await asyncio.wait({running}, timeout=7)  # a silent node is given up after 5 s
    assert not running.done()
    payments.release.set()
    assert (await running).text == "long"
    assert payments.ran == ["long"]
