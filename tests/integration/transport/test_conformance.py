"""What `Link` promises, asserted of the real link and of the one in memory alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.broker import free_port
from tests.support.links import MAX_PAYLOAD, Inbox, MemoryMesh, Mesh, NatsMesh, eventually

from longreach.errors import BrokerUnavailable, NotStarted, TooLarge
from longreach.transport.link import Denied, LinkState
from longreach.transport.options import NatsOptions


@pytest.fixture(params=["memory", "nats", "ws", "wss"])
async def mesh(request: pytest.FixtureRequest, certificates: Path) -> AsyncIterator[Mesh]:
    port = free_port()
    mesh: Mesh
    match request.param:
        case "memory":
            mesh = MemoryMesh()
        case "nats":
            mesh = NatsMesh()
        case "ws":
            listener = f'websocket {{ listen: "127.0.0.1:{port}", no_tls: true }}'
            mesh = NatsMesh(listener, NatsOptions(urls=(f"ws://127.0.0.1:{port}",)))
        case _:
            files = f'cert_file: "{certificates}/cert.pem", key_file: "{certificates}/key.pem"'
            listener = f'websocket {{ listen: "127.0.0.1:{port}", tls {{ {files} }} }}'
            ca = str(certificates / "ca.pem")
            mesh = NatsMesh(listener, NatsOptions(urls=(f"wss://127.0.0.1:{port}",), tls_ca=ca))
    try:
        yield mesh
    finally:
        await mesh.close()


async def test_a_message_arrives_as_it_was_sent(mesh: Mesh):
    link, inbox = await mesh.link(), Inbox()
    link.subscribe("a.*", inbox)
    link.send("a.b", b"body", "re.ply", {"Key": "value", "Other": "two\r\nlines"})
    link.send("a.c", b"")
    link.send("b.a", b"not for us")
    await link.fence(5)
    assert inbox.messages == [
        ("a.b", "re.ply", b"body", {"Key": "value", "Other": "two  lines"}),
        ("a.c", "", b"", None),
    ]


async def test_nothing_is_delivered_from_within_send(mesh: Mesh):
    link, inbox = await mesh.link(), Inbox()
    link.subscribe("a", inbox)
    link.send("a", b"1")
    assert not inbox.messages
    await link.fence(5)
    assert inbox.bodies == [b"1"]


@pytest.mark.parametrize(
    ("pattern", "heard"),
    [
        ("a.>", ["a.b", "a.b.c"]),
        ("a.*.c", ["a.b.c"]),
        ("*", ["a"]),
        ("a", ["a"]),
        (">", ["a", "a.b", "a.b.c"]),
    ],
)
async def test_wildcards(mesh: Mesh, pattern: str, heard: list[str]):
    link, inbox = await mesh.link(), Inbox()
    link.subscribe(pattern, inbox)
    for subject in ("a", "a.b", "a.b.c"):
        link.send(subject, b"")
    await link.fence(5)
    assert [message[0] for message in inbox.messages] == heard


async def test_one_of_a_queue_group_gets_each_message_and_plain_subscribers_get_all(mesh: Mesh):
    sender, one, two = await mesh.link(), await mesh.link(), await mesh.link()
    inboxes = [Inbox(), Inbox(), Inbox()]
    one.subscribe("job", inboxes[0], "crew")
    two.subscribe("job", inboxes[1], "crew")
    two.subscribe("job", inboxes[2])
    await one.fence(5)
    await two.fence(5)
    for number in range(100):
        sender.send("job", b"%d" % number)
    await inboxes[2].wait(100)
    await one.fence(5)
    shared = [len(inbox.messages) for inbox in inboxes[:2]]
    assert sum(shared) == 100
    assert all(shared), "both of the group work"
    assert inboxes[2].bodies == [b"%d" % number for number in range(100)]


async def test_nobody_listens_is_told_to_the_reply_subject(mesh: Mesh):
    link, inbox = await mesh.link(), Inbox()
    link.subscribe("in.>", inbox)
    link.send("nobody", b"question", "in.1")
    link.send("nobody", b"no question")
    await link.fence(5)
    assert inbox.messages == [("in.1", "", b"", {"Status": "503"})]


async def test_a_subscriber_that_is_fenced_is_never_missed(mesh: Mesh):
    server, client = await mesh.link(), await mesh.link()
    inbox = Inbox()
    client.subscribe("in.>", inbox)
    for number in range(50):
        subscription = server.subscribe(
            f"tool.{number}", lambda _s, reply, _d, _h: server.send(reply, b"done")
        )
        await server.fence(5)
        client.send(f"tool.{number}", b"", f"in.{number}")
        await inbox.wait(number + 1)
        server.unsubscribe(subscription)
    assert set(inbox.bodies) == {b"done"}


async def test_what_is_on_its_way_reaches_the_sink_after_unsubscribe(mesh: Mesh):
    link, inbox = await mesh.link(), Inbox()
    subscription = link.subscribe("a", inbox)
    for number in range(20):
        link.send("a", b"%d" % number)
    await link.leave(subscription, 5)
    assert len(inbox.messages) == 20
    link.send("a", b"late")
    await link.fence(5)
    assert len(inbox.messages) == 20
    assert not subscription.active


async def test_unsubscribing_twice_and_leaving_after_it_is_allowed(mesh: Mesh):
    link = await mesh.link()
    subscription = link.subscribe("a", Inbox())
    link.unsubscribe(subscription)
    link.unsubscribe(subscription)
    await link.leave(subscription, 5)
    await link.leave(subscription, 5)


async def test_a_message_over_the_limit_is_refused_and_the_link_lives(mesh: Mesh):
    link, inbox = await mesh.link(), Inbox()
    link.subscribe("a", inbox)
    assert link.max_payload == MAX_PAYLOAD
    link.send("a", b"x" * MAX_PAYLOAD)
    with pytest.raises(TooLarge) as refused:
        link.send("a", b"x" * (MAX_PAYLOAD + 1))
    assert refused.value.delivered == "no"
    with pytest.raises(TooLarge):
        link.send("a", b"x" * MAX_PAYLOAD, headers={"A": "b"})
    header_bytes = len("NATS/1.0\r\nA: b\r\n\r\n")
    link.send("a", b"x" * (MAX_PAYLOAD - header_bytes), headers={"A": "b"})
    await link.fence(5)
    assert [len(body) for body in inbox.bodies] == [MAX_PAYLOAD, MAX_PAYLOAD - header_bytes]


async def test_a_subject_over_the_limit_is_refused_and_the_link_lives(mesh: Mesh):
    link = await mesh.link()
    link.send("s" * 1024, b"", "r" * 1024)
    for subject, reply in (("s" * 1025, ""), ("s", "r" * 1025), ("ä" * 600, "")):
        with pytest.raises(TooLarge):
            link.send(subject, b"", reply)
    await link.fence(5)
    assert link.is_up


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB b 0", "a\tb", "a\u2028b"])
async def test_what_is_no_subject_never_reaches_the_broker(mesh: Mesh, subject: str):
    link = await mesh.link()
    with pytest.raises(ValueError, match="subject"):
        link.send(subject, b"")
    with pytest.raises(ValueError, match="subject"):
        link.subscribe(subject, Inbox())
    with pytest.raises(ValueError, match="header"):
        link.send("a", b"", headers={"a b": "c"})


async def test_a_sink_that_raises_ends_nothing(mesh: Mesh, caplog: pytest.LogCaptureFixture):
    link, inbox = await mesh.link(), Inbox()

    def broken(*_: object) -> None:
        raise RuntimeError("sink is broken")

    link.subscribe("a", broken)
    link.subscribe("a", inbox)
    link.send("a", b"1")
    link.send("a", b"2")
    await link.fence(5)
    assert inbox.bodies == [b"1", b"2"]
    assert "sink.failed" in caplog.text


async def test_while_down_nothing_is_sent_and_nothing_is_kept(mesh: Mesh):
    link, inbox, states = await mesh.link(), Inbox(), list[LinkState]()
    link.on_change(states.append)
    link.subscribe("a", inbox)
    await link.fence(5)
    await mesh.cut(link)
    assert not link.is_up
    assert link.url is None
    with pytest.raises(BrokerUnavailable) as refused:
        link.send("a", b"ghost")
    assert refused.value.delivered == "no"
    with pytest.raises(BrokerUnavailable):
        await link.fence(1)
    with pytest.raises(BrokerUnavailable):
        await link.wait_up(0.01)
    await mesh.restore(link)
    link.send("a", b"alive")
    await inbox.wait(1)
    await link.fence(5)
    assert inbox.bodies == [b"alive"]
    assert [state.status for state in states] == ["down", "up"]
    assert states[0].reason


async def test_subscriptions_outlive_the_connection_unless_unsubscribed(mesh: Mesh):
    link, kept, left, late = await mesh.link(), Inbox(), Inbox(), Inbox()
    link.subscribe("kept", kept)
    unwanted = link.subscribe("left", left)
    await link.fence(5)
    await mesh.cut(link)
    link.unsubscribe(unwanted)
    await link.leave(unwanted, 1)
    link.subscribe("late", late)
    await mesh.restore(link)
    for subject in ("kept", "left", "late"):
        link.send(subject, b"")
    await link.fence(5)
    assert [len(inbox.messages) for inbox in (kept, left, late)] == [1, 0, 1]


async def test_leaving_a_link_that_is_down_is_immediate(mesh: Mesh):
    link = await mesh.link()
    subscription = link.subscribe("a", Inbox())
    await link.fence(5)
    await mesh.cut(link)
    await link.leave(subscription, 5)


async def test_up_comes_after_the_subscriptions_are_written(mesh: Mesh):
    link, inbox = await mesh.link(), Inbox()
    link.subscribe("a", inbox)

    def send_at_once(state: LinkState) -> None:
        if state.status == "up":
            link.send("a", b"first")

    link.on_change(send_at_once)
    await mesh.cut(link)
    await mesh.restore(link)
    await inbox.wait(1)


async def test_what_permissions_forbid_is_told(mesh: Mesh):
    link, denied = await mesh.link(publish=["ok.>"], subscribe=["ok.>", "job crew"]), list[Denied]()
    link.on_denied(denied.append)
    allowed, refused = Inbox(), Inbox()
    link.subscribe("ok.a", allowed)
    link.subscribe("Secret.a", refused)
    link.subscribe("job", refused, "others")
    link.subscribe("job", allowed, "crew")
    link.send("ok.a", b"1")
    link.send("bad.a", b"2")
    await link.fence(5)
    await eventually(lambda: len(denied) == 3)
    assert set(denied) == {
        Denied("subscribe", "Secret.a"),
        Denied("subscribe", "job", "others"),
        Denied("publish", "bad.a"),
    }
    assert allowed.bodies == [b"1"]
    assert link.is_up


async def test_a_closed_link_stays_closed(mesh: Mesh):
    link, states = await mesh.link(), list[LinkState]()
    other, inbox = await mesh.link(), Inbox()
    other.subscribe("last", inbox)
    await other.fence(5)
    link.on_change(states.append)
    link.send("last", b"words")
    await link.close()
    await inbox.wait(1)
    assert inbox.bodies == [b"words"]
    assert [state.status for state in states] == ["closed"]
    with pytest.raises(BrokerUnavailable):
        link.send("a", b"")
    with pytest.raises(BrokerUnavailable):
        link.subscribe("a", Inbox())
    with pytest.raises(BrokerUnavailable):
        await link.wait_up(1)
    await link.close()
    assert not link.is_up


async def test_what_a_listener_raises_is_its_own(mesh: Mesh, caplog: pytest.LogCaptureFixture):
    link, states = await mesh.link(), list[LinkState]()

    def broken(_: object) -> None:
        raise RuntimeError("listener is broken")

    link.on_change(broken)
    link.on_change(states.append)
    await link.close()
    assert [state.status for state in states] == ["closed"]
    assert "listener.failed" in caplog.text


async def test_room_is_told_of_once_when_the_broker_reads_again(mesh: Mesh):
    """A link that is busy refuses; nothing but this tells when it no longer does."""
    link, calls = await mesh.link(), list[bool]()
    assert link.has_room
    link.when_room(lambda: calls.append(link.has_room))
    assert calls == []  # never from within
    await eventually(lambda: calls)
    assert calls == [True]

    mesh.stall(link)
    refused = None
    body = b"x" * MAX_PAYLOAD
    for _ in range(40):  # the system's own buffers take some, as long as the loop comes round
        for _ in range(1000):
            try:
                link.send("a", body)
            except NotStarted as error:
                refused = error
                break
        if refused is not None:
            break
        await asyncio.sleep(0.01)
    assert refused is not None
    assert refused.reason == "busy"
    assert link.is_up
    assert not link.has_room
    calls.clear()
    link.when_room(lambda: calls.append(link.has_room))
    await asyncio.sleep(0)
    assert calls == []
    mesh.resume(link)
    await eventually(lambda: calls)
    assert calls == [True]
    link.send("a", body)
    await link.fence(10)
    assert calls == [True]


async def test_room_that_is_wanted_while_the_link_is_down_is_told_of_when_it_is_up(mesh: Mesh):
    link, calls = await mesh.link(), list[bool]()
    await link.fence(5)
    await mesh.cut(link)
    assert not link.has_room
    link.when_room(lambda: calls.append(link.has_room))
    await asyncio.sleep(0)
    assert calls == []
    await mesh.restore(link)
    await eventually(lambda: calls)
    assert calls == [True]


async def test_a_link_that_is_closed_tells_nobody_of_room(mesh: Mesh):
    link, calls = await mesh.link(), list[bool]()
    link.when_room(lambda: calls.append(True))
    await link.close()
    told = len(calls)
    link.when_room(lambda: calls.append(True))
    await asyncio.sleep(0)
    assert len(calls) == told
    assert not link.has_room
