"""The permissions of binding.md 10 carry everything, and let nothing else through. M10.1, M3.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import nats
import pytest
from tests.support.broker import Broker

from longreach import Context, NatsOptions, Node, NodeSettings, Server, ToolError, connect
from longreach.errors import PermissionDenied
from longreach.node import canaries
from longreach.tasks import TaskSet
from longreach_bridge.alone import LABEL, SINGLE, NotAlone, check_alone, stay_alone

PREFIX = "lr.v1.acme.eu."


def allow(publish: list[str], subscribe: list[str]) -> str:
    pubs = ", ".join(f'"{subject}"' for subject in publish)
    subs = ", ".join(f'"{subject}"' for subject in subscribe)
    return f"permissions: {{ publish: {{ allow: [{pubs}] }}, subscribe: {{ allow: [{subs}] }} }}"


def p(*subjects: str) -> list[str]:
    return [PREFIX + subject for subject in subjects]


ALICE = allow(
    p("req.docs.*._.alice.>", "all.docs._.alice.*", "node.*.*._.alice.*", "who._.alice"),
    p("rep._.alice.>", "adv.docs.*.*", "evt.docs.>"),
)
BOB = allow(
    p("req.docs.*._.bob.tools-call.echo", "all.docs._.bob.*", "node.*.*._.bob.*", "who._.bob"),
    p("rep._.bob.>", "adv.docs.*.*", "evt.docs.>"),
)


def node_of(identity: str) -> str:
    return allow(
        p("rep.>", f"adv.docs.{identity}.*", "evt.docs.>"),
        [
            f"{PREFIX}req.docs.> docs",
            *p("all.docs.>", f"node.{identity}.>", f"ops.{identity}.>", "who.*.*", "adv.docs.>"),
            "lr.v1.acme._.who.*.*",
        ],
    )


CONFIG = f"""
authorization {{ users: [
  {{ user: alice, password: pw, {ALICE} }}
  {{ user: bob, password: pw, {BOB} }}
  {{ user: n1, password: pw, {node_of("n1")} }}
  {{ user: n2, password: pw, {node_of("n2")} }}
  {{ user: root, password: pw }}
] }}
"""
docs = Server("docs", version="1.0.0")


@docs.tool(read_only=True)
async def echo(text: str) -> str:
    """Echo."""
    return text


@docs.tool
async def slow(seconds: float, ctx: Context = Context.injected) -> str:
    """Takes its time, and says so."""
    for step in range(4):
        await asyncio.sleep(seconds / 4)
        await ctx.report_progress(step + 1, 4)
    return f"{ctx.caller}"


@docs.prompt(complete={"language": lambda value: [value + "!"]})
async def greet(language: str) -> str:
    return f"hello in {language}"


@docs.resource("docs://one")
async def one(ctx: Context) -> str:
    return f"read by {ctx.caller}"


def options(broker: Broker, user: str) -> NatsOptions:
    return NatsOptions(urls=(broker.url,), user=user, password="pw")


@pytest.fixture
async def node(broker: Broker) -> AsyncIterator[Node]:
    settings = NodeSettings(region="eu", namespace="acme", identity="n1", connection=options(broker, "n1"))
    async with Node(docs, settings=settings) as running:
        yield running


def mesh_of(broker: Broker, user: str):
    return connect(
        connection=options(broker, user), caller=user, namespace="acme", residency=["eu"], servers=["docs"]
    )


pytestmark = pytest.mark.parametrize("broker", [CONFIG], indirect=True)


async def test_everything_works_within_them(broker: Broker, node: Node) -> None:
    async with mesh_of(broker, "alice") as mesh:
        assert [tool.qualified for tool in await mesh.tools()] == ["docs.echo", "docs.slow"]
        assert (await mesh.call("docs.echo", {"text": "hi"})).text == "hi"
        seen: list[float] = []
        result = await mesh.call(
            "docs.slow", {"seconds": 1.5}, on_progress=lambda progress, *_: seen.append(progress)
        )
        assert result.text == "alice"
        assert seen == [1, 2, 3, 4]
        pinned = await mesh.options(node=node.name).call("docs.echo", {"text": "there"})
        assert pinned.node == node.name
        large = "x" * 3_000_000  # in parts, there and back, for which no permission is needed beyond these
        assert (await mesh.call("docs.echo", {"text": large})).text == large
        call = asyncio.ensure_future(mesh.call("docs.slow", {"seconds": 30}))  # noqa: TID251 - awaited below
        async with asyncio.timeout(30):
            while node.in_flight == 0:
                await asyncio.sleep(0.01)
            call.cancel()
            while node.in_flight:
                await asyncio.sleep(0.01)


async def test_prompts_resources_completion_and_changes_work_within_them(broker: Broker, node: Node) -> None:
    """M13.3"""
    async with mesh_of(broker, "alice") as mesh:
        prompt = await mesh.get_prompt("docs.greet", {"language": "Deutsch"})
        assert prompt.messages[0].content.text == "hello in Deutsch"
        assert (await mesh.read("docs", "docs://one")).text == "read by alice"
        assert (await mesh.complete("docs.greet", "language", "x")).values == ["x!"]
        async with asyncio.timeout(10), mesh.listen("docs", resources=["docs://one"]) as changes:
            docs.notify_resource_updated("docs://other")
            docs.notify_resource_updated("docs://one")
            update = await anext(aiter(changes))
            assert update.uri == "docs://one"


async def test_a_tool_that_is_not_granted_is_refused_at_once(broker: Broker, node: Node) -> None:
    async with mesh_of(broker, "bob") as mesh:
        assert (await mesh.call("docs.echo", {"text": "hi"})).text == "hi"
        with pytest.raises(PermissionDenied) as refused:
            await mesh.call("docs.slow", {"seconds": 0.1})
        assert refused.value.delivered == "no"


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("req.docs._._.alice.tools-call.echo", b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'
         b'{"name":"echo","arguments":{"text":"x"},"_meta":{"io.modelcontextprotocol/protocolVersion":'
         b'"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}'),
        ("req.docs._._.alice.tools-list._", b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'),
        ("who._.alice", b"{}"),
        ("all.docs._.alice.whose", b'{"calls":["1-0-f"]}'),
        ("all.docs._.alice.cancel", b'{"calls":["1-0-f"]}'),
        ("node.n1.INSTANCE._.alice.alive", b'{"calls":["1-0-f"]}'),
        ("node.n1.INSTANCE._.alice.cancel", b'{"calls":["1-0-f"]}'),
        ("node.n1.INSTANCE._.alice.blobs", b'{"digests":[]}'),
        ("ops.n1.INSTANCE._.root.info", b"{}"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "aim",
    [
        "lr.v1.acme.eu.req.docs._._.victim.tools-call.echo",
        "lr.v1.acme.eu.rep._.bob.c0ffee.1-0-f",
        "_INBOX.victim.1",
        "anything.at.all",
        "lr.v1.acme.eu.rep._.bob.*.>",
    ],
)
async def test_a_reply_subject_aimed_at_somebody_gets_nothing(
    broker: Broker, node: Node, subject: str, body: bytes, aim: str
) -> None:
    user = "root" if subject.startswith("ops") else "alice"
    watcher = await nats.connect(broker.url, user="root", password="pw")
    attacker = await nats.connect(broker.url, user=user, password="pw")
    try:
        heard: list[str] = []

        async def hear(message: object) -> None:
            heard.append(message.subject)  # type: ignore[attr-defined]

        await watcher.subscribe(">", cb=hear)
        await watcher.flush()
        asked = PREFIX + subject.replace("INSTANCE", node.instance)
        await attacker.publish(asked, body, reply=aim)
        await attacker.flush()
        # the node has handled it when it has answered a later, honest question on the same connection
        async with mesh_of(broker, "alice") as mesh:
            await mesh.call("docs.echo", {"text": "later"})
            await asyncio.sleep(0.06)  # answers to `who` come after a jitter of up to 30 ms
        await watcher.flush()
        assert aim not in heard
        foreign = [
            got
            for got in heard
            if got.startswith("_INBOX") or (".rep." in got and ".rep._.alice." not in got)
        ]
        assert [got for got in foreign if f".rep._.{user}." not in got] == []
    finally:
        await attacker.close()
        await watcher.close()


async def test_outside_them_the_broker_says_no(broker: Broker, node: Node) -> None:
    denied: list[str] = []

    async def remember(error: Exception) -> None:
        denied.append(str(error))

    bob = await nats.connect(broker.url, user="bob", password="pw", error_cb=remember)
    try:
        forbidden = [
            "req.docs._._.alice.tools-call.echo",
            "req.docs._._.bob.tools-call.slow",
            "req.other._._.bob.tools-call.echo",
            f"ops.n1.{node.instance}._.bob.drain",
            "adv.docs.n1.x",
            "rep._.alice.c.1-0-f",
        ]
        for subject in forbidden:
            await bob.publish(PREFIX + subject, b"{}")
        await bob.publish("lr.v1.acme.us.req.docs._._.bob.tools-call.echo", b"{}")
        await bob.subscribe(PREFIX + "rep._.alice.>")
        await bob.subscribe(PREFIX + "req.docs._.>")
        async with asyncio.timeout(30):
            while len(denied) < len(forbidden) + 3:
                await asyncio.sleep(0.01)
    finally:
        await bob.close()
    assert node.state == "serving"


async def test_a_canary_gets_its_share_and_rolls_itself_back_within_them(
    broker: Broker, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M15.7: its node hears what the others announce, and no more."""
    monkeypatch.setattr(canaries, "LOOK_EVERY_S", 0.02)
    newer = Server("docs", version="1.1.0")

    @newer.tool(name="echo", read_only=True)
    async def fails(text: str) -> str:
        raise ToolError(text)

    settings = NodeSettings(
        region="eu", namespace="acme", identity="n2", connection=options(broker, "n2"), canary=0
    )
    async with (
        Node(newer, settings=settings) as canary,
        mesh_of(broker, "alice") as mesh,
        mesh_of(broker, "root") as operator,
    ):
        await operator.canary("docs", "1.1.0", 50)
        await until(
            lambda: {i.canary for i in mesh._session.discovery.catalog.of_server("docs")} == {None, 50}
        )
        answers = [await mesh.call("docs.echo", {"text": "x"}) for _ in range(120)]
        assert {answer.is_error for answer in answers} == {True, False}
        assert {answer.attempts for answer in answers} == {1}
        node._announcer.announce()
        assert canary._parts is not None
        share = canary._parts.canaries["docs"]
        await until(lambda: share.weight == 0)
        await until(
            lambda: {i.canary for i in mesh._session.discovery.catalog.of_server("docs")} == {None, 0}
        )
        assert not (await mesh.call("docs.echo", {"text": "x"})).is_error


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def violations(broker: Broker) -> list[str]:
    return [line for line in broker.log.splitlines() if "iolation" in line]


async def test_a_node_makes_no_violation_in_its_whole_life_and_hears_who_differs(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """M8.10, M10.1: it compares what it hears on `adv.`, on the one connection that it has."""
    other = Server("docs", version="1.0.0")

    @other.tool(name="echo", read_only=True)
    async def another(text: str) -> str:
        return text.upper()

    def settings(identity: str) -> NodeSettings:
        return NodeSettings(
            region="eu", namespace="acme", identity=identity, connection=options(broker, identity)
        )

    async with (
        Node(docs, settings=settings("n1")) as first,
        Node(other, settings=settings("n2")) as second,
        mesh_of(broker, "alice") as mesh,
    ):
        named: set[str] = set()

        def both_are_named() -> bool:
            named.update(
                record.event_fields["others"]  # type: ignore[attr-defined]
                for record in caplog.records
                if record.getMessage() == "group.differs"
            )
            return named == {first.name, second.name}

        await until(both_are_named)
        for each in (first, second):
            assert (await mesh.options(node=each.name).call("docs.echo", {"text": "hi"})).node == each.name
        connected = [
            line
            for line in (await broker.monitor("connz?auth=1"))["connections"]
            if line["authorized_user"] in ("n1", "n2")
        ]
        assert len(connected) == 2
        first._announcer.announce()
    assert violations(broker) == []


async def test_a_caller_and_a_bridge_make_no_violation_either(broker: Broker) -> None:
    docs_settings = NodeSettings(
        region="eu", namespace="acme", identity="n1", labels={LABEL: SINGLE}, connection=options(broker, "n1")
    )
    second = msgspec.structs.replace(docs_settings, identity="n2", connection=options(broker, "n2"))
    await check_alone(docs_settings, "docs")
    async with Node(docs, settings=docs_settings) as bridge:
        tasks = TaskSet("guard")
        tasks.start(stay_alone(bridge))
        with pytest.raises(NotAlone, match=f"docs is up already on {bridge.name}"):
            await check_alone(second, "docs")
        async with mesh_of(broker, "alice") as mesh, mesh.listen("docs"):
            assert (await mesh.call("docs.echo", {"text": "x" * 3_000_000})).text == "x" * 3_000_000
            assert (await mesh.read("docs", "docs://one")).text == "read by alice"
            await mesh.explain("docs")
        assert bridge.state == "serving"
        await tasks.close()
    assert violations(broker) == []
