"""`NatsLink` against brokers that restart, hang, refuse and lie."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator

import nats
import pytest
from tests.support.broker import Broker, free_port
from tests.support.executor import full_default_executor
from tests.support.links import Inbox, eventually
from tests.support.timing import allowed

from longreach.errors import BrokerUnavailable, ConfigError, CredentialsRejected, NotStarted
from longreach.transport.link import LinkState
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions

_QUICK = {"ping_interval_s": 0.2, "max_silence_s": 0.6, "connect_timeout_s": 0.5}


def _options(*brokers: Broker, **changes: object) -> NatsOptions:
    return NatsOptions(urls=tuple(broker.url for broker in brokers), **{**_QUICK, **changes})


async def test_a_restarted_broker_is_found_again_and_hears_the_old_subscriptions(broker: Broker):
    link, inbox, states = await NatsLink.open(_options(broker)), Inbox(), list[LinkState]()
    link.on_change(states.append)
    link.subscribe("a", inbox)
    for _ in range(3):
        broker.restart()
        await eventually(lambda: states and states[-1].status == "up")
        link.send("a", b"1")
        await link.fence(5)
        states.clear()
    assert inbox.bodies == [b"1"] * 3
    await link.close()


async def test_a_broker_is_found_again_by_its_name_while_the_default_executor_is_full(broker: Broker):
    """A user whose blocking work fills asyncio's pool must not cost the link its name lookups."""
    url = broker.url.replace("127.0.0.1", "localhost")
    async with full_default_executor():
        link, states = await NatsLink.open(NatsOptions(urls=(url,), **_QUICK)), list[LinkState]()  # type: ignore[arg-type]
        link.on_change(states.append)
        broker.restart()
        await eventually(lambda: states and states[-1].status == "up")
        await link.close()


async def test_home_comes_first_and_the_next_one_when_home_is_gone():
    with Broker() as home, Broker() as away:
        link = await NatsLink.open(_options(home, away))
        assert link.url == home.url
        home.kill()
        await eventually(lambda: link.url == away.url)
        away.kill()
        home.start()
        await eventually(lambda: link.url == home.url)
        await link.close()


@pytest.mark.timed
async def test_a_hung_broker_with_unsent_data_is_given_up_and_little_of_it_runs_later(broker: Broker):
    watcher = await NatsLink.open(_options(broker, max_silence_s=60.0))
    heard = Inbox()
    watcher.subscribe("big", heard)
    await watcher.fence(5)
    link, states = await NatsLink.open(_options(broker)), list[LinkState]()
    link.on_change(states.append)
    broker.stop()
    for _ in range(80):  # as many as fit below the limit for unflushed bytes
        link.send("big", b"x" * 100_000)
    began = time.monotonic()
    await eventually(lambda: states)
    assert time.monotonic() - began < allowed(2.0)
    assert states[0] == LinkState("down", "silent")
    with pytest.raises(BrokerUnavailable):
        link.send("big", b"later")
    broker.cont()
    await link.wait_up(10)
    await watcher.fence(10)
    link.send("big", b"alive")
    await eventually(lambda: heard.bodies and heard.bodies[-1] == b"alive")
    # What the broker's own kernel held already may run; the deadline in the call is the fence for that.
    assert len(heard.messages) - 1 < 60
    await link.close()
    await watcher.close()


async def test_a_broker_that_is_given_up_gets_a_reset():
    """A plain close would let the kernel deliver what is unsent; the reset makes it forget."""
    ends: list[object] = []

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","max_payload":100,"headers":true}\r\n')
        while (line := await reader.readline()) and b"PING" not in line:
            pass
        writer.write(b"PONG\r\n")
        try:
            while line := await reader.readline():
                pass
            ends.append("closed")
        except ConnectionResetError:
            ends.append("reset")
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        link = await NatsLink.open(NatsOptions(urls=(url,), **_QUICK))
        await eventually(lambda: ends)
        await link.close(0.1)
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), 30)
    assert ends[0] == "reset"


async def test_what_waits_for_the_broker_is_bounded(broker: Broker):
    link = await NatsLink.open(_options(broker))
    link.max_unflushed_bytes = 1_000_000
    broker.stop()
    refused = None
    for _ in range(200):
        try:
            link.send("big", b"x" * 100_000)
        except NotStarted as error:
            refused = error
            break
        await asyncio.sleep(0)
    assert refused is not None
    assert refused.delivered == "no"
    assert refused.reason == "busy"
    broker.cont()
    await eventually(lambda: link.is_up)
    await link.fence(10)
    link.send("big", b"x" * 100_000)
    await link.close()


@pytest.mark.timed
async def test_close_is_bounded_though_the_broker_hangs(broker: Broker):
    link = await NatsLink.open(_options(broker, max_silence_s=30.0))
    broker.stop()
    for _ in range(50):
        link.send("big", b"x" * 100_000)
    began = time.monotonic()
    await link.close(timeout_s=0.3)
    assert time.monotonic() - began < allowed(2.0)
    assert not link.is_up
    broker.cont()


@pytest.mark.timed
async def test_an_idle_link_is_not_given_up(broker: Broker):
    link, states = await NatsLink.open(_options(broker)), list[LinkState]()
    link.on_change(states.append)
    await asyncio.sleep(1.5)  # the time itself is what is tested: more than twice max_silence_s
    assert not states
    assert 0 < link.rtt_s < allowed(1)
    await link.close()


async def test_our_own_pause_is_not_held_against_the_broker(broker: Broker):
    link, states = await NatsLink.open(_options(broker)), list[LinkState]()
    link.on_change(states.append)
    await asyncio.sleep(0.3)
    time.sleep(1.2)  # noqa: ASYNC251 - a handler that holds the event loop
    await link.fence(5)
    await asyncio.sleep(0.3)
    assert not states
    await link.close()


@pytest.mark.parametrize("broker", ['authorization { token: "right" }'], indirect=True)
@pytest.mark.parametrize("wait", [True, False])
async def test_wrong_credentials_are_an_error_at_once(broker: Broker, wait: bool):
    began = time.monotonic()
    with pytest.raises(CredentialsRejected) as refused:
        await NatsLink.open(_options(broker, token="wr0ng"), wait=wait, timeout_s=30)
    assert time.monotonic() - began < 5
    assert broker.url in str(refused.value)
    assert "wr0ng" not in str(refused.value)


@pytest.mark.parametrize("broker", ['authorization { token: "right" }'], indirect=True)
async def test_credentials_in_the_url_work_and_are_not_shown(broker: Broker):
    link = await NatsLink.open(NatsOptions(urls=(broker.url.replace("//", "//right@"),)))
    assert link.url == broker.url
    await link.close()


@pytest.mark.parametrize("broker", ['authorization { user: "me", password: "one" }'], indirect=True)
async def test_renewed_credentials_are_picked_up(broker: Broker, tmp_path):
    secret = tmp_path / "password"
    secret.write_text("one")
    link = await NatsLink.open(_options(broker, user="me", password_file=str(secret)))
    broker.configure('authorization { user: "me", password: "two" }')
    secret.write_text("two")
    broker.restart()
    await eventually(lambda: not link.is_up)
    await link.wait_up(10)
    await link.close()


@pytest.mark.parametrize("broker", ['authorization { user: "me", password: "one" }'], indirect=True)
async def test_credentials_that_are_refused_later_are_said_to_be(
    broker: Broker, caplog: pytest.LogCaptureFixture
):
    link, states = await NatsLink.open(_options(broker, user="me", password="one")), list[LinkState]()
    link.on_change(states.append)
    broker.configure('authorization { user: "me", password: "two" }')
    broker.restart()
    await eventually(lambda: LinkState("down", "credentials") in states)
    assert "broker.rejected" in caplog.text
    await link.close()


@pytest.mark.timed
async def test_a_broker_that_is_not_there_is_named():
    url = f"nats://127.0.0.1:{free_port()}"
    began = time.monotonic()
    with pytest.raises(BrokerUnavailable) as refused:
        await NatsLink.open(NatsOptions(urls=(url,)), timeout_s=0.3)
    assert 0.25 < time.monotonic() - began < allowed(3)
    assert url in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.delivered == "no"


async def test_no_url_is_an_error_of_configuration():
    with pytest.raises(ConfigError, match="URL"):
        await NatsLink.open(NatsOptions())


async def test_a_broker_that_comes_up_later_is_waited_for(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "longreach.transport")
    port = free_port()
    opening = asyncio.get_running_loop().create_task(
        NatsLink.open(NatsOptions(urls=(f"nats://127.0.0.1:{port}",)), wait=True, timeout_s=None)
    )
    await eventually(lambda: "broker.waiting" in caplog.text)
    with Broker(port=port):
        link = await asyncio.wait_for(opening, 10)
        assert link.is_up
        assert caplog.text.count("broker.waiting") == 1
        await link.close()


async def test_opening_can_be_cancelled_and_leaves_nothing_behind():
    before = asyncio.all_tasks()
    opening = asyncio.get_running_loop().create_task(
        NatsLink.open(NatsOptions(urls=(f"nats://127.0.0.1:{free_port()}",)), wait=True, timeout_s=None)
    )
    await asyncio.sleep(0.05)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert asyncio.all_tasks() == before


async def test_closing_leaves_no_task_behind(broker: Broker):
    before = asyncio.all_tasks()
    link = await NatsLink.open(_options(broker))
    broker.restart()
    await eventually(lambda: not link.is_up)
    await link.wait_up(10)
    await link.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_options_may_come_from_a_function_asked_anew(broker: Broker):
    asked = 0

    def options() -> NatsOptions:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise RuntimeError("vault is down")
        return _options(broker)

    link = await NatsLink.open(options)
    before = asked
    broker.restart()
    await eventually(lambda: asked > before and link.is_up)
    await link.close()


async def test_leaving_under_load_loses_nothing(broker: Broker):
    """Two servers of one queue group take turns leaving and joining; every question is answered once."""
    servers = [await NatsLink.open(_options(broker)) for _ in range(2)]
    client = await NatsLink.open(_options(broker))
    answers = Inbox()
    client.subscribe("in.*", answers)

    def serve(link: NatsLink):
        return link.subscribe("tool", lambda _s, reply, _d, _h: link.send(reply, b"ok"), "crew")

    joined = [serve(link) for link in servers]
    for link in (*servers, client):
        await link.fence(5)
    asked = 0
    loading = True

    async def load() -> None:
        nonlocal asked
        while loading:
            for _ in range(32):
                client.send("tool", b"", f"in.{asked}")
                asked += 1
            await client.fence(5)

    loader = asyncio.get_running_loop().create_task(load())
    for turn in range(40):
        link = servers[turn % 2]
        await link.leave(joined[turn % 2], 5)
        joined[turn % 2] = serve(link)
        # Once for the broker to have it; once more for a message that it had matched before.
        await link.fence(5)
        await link.fence(5)
    loading = False
    await loader
    await answers.wait(asked)
    assert asked > 500
    assert len({subject for subject, *_ in answers.messages}) == asked
    assert [headers for *_, headers in answers.messages if headers] == []
    for link in (*servers, client):
        await link.close()


async def test_a_subscription_that_is_fenced_gives_no_503s(broker: Broker):
    link = await NatsLink.open(_options(broker))
    caller = await nats.connect(broker.url)
    refused = 0
    for number in range(300):
        link.subscribe(f"t.{number}", lambda _s, reply, _d, _h: link.send(reply, b"ok"))
        await link.fence(5)
        try:
            await caller.request(f"t.{number}", b"", timeout=5)
        except nats.errors.NoRespondersError:
            refused += 1
    assert refused == 0
    await caller.close()
    await link.close()


@contextlib.asynccontextmanager
async def _false_broker(last_words: bytes) -> AsyncIterator[tuple[str, list[int]]]:
    """Greets, says `last_words` and hangs up; yields its URL and a list with an entry per visit."""
    visits: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(len(visits))
        with contextlib.suppress(OSError):
            writer.write(b'INFO {"server_id":"x","max_payload":100,"headers":true}\r\n')
            while (line := await reader.readline()) and b"PING" not in line:
                pass
            writer.write(b"PONG\r\n" + last_words)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", visits
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), 30)


@pytest.mark.parametrize(("last_words", "reason"), [(b"", "eof"), (b"GARBAGE no such thing\r\n", "protocol")])
async def test_a_broker_that_drops_us_at_once_is_not_hammered(last_words: bytes, reason: str):
    async with _false_broker(last_words) as (url, visits):
        with pytest.raises(BrokerUnavailable, match=reason) as refused:
            await NatsLink.open(NatsOptions(urls=(url,)), timeout_s=1.0)
    assert url in str(refused.value)
    assert 2 <= len(visits) <= 8


async def test_lame_duck_is_said(broker: Broker, caplog: pytest.LogCaptureFixture):
    link = await NatsLink.open(_options(broker))
    broker.lame_duck()
    await eventually(lambda: "broker.lame_duck" in caplog.text)
    await link.close()
