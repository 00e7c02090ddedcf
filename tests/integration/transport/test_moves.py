"""A link that moves from one connection to another: nothing lost, nothing doubled, nothing told."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from tests.support.links import Inbox, eventually
from tests.support.operators import Operator, replace
from tests.support.timing import allowed

from longreach.errors import BrokerUnavailable
from longreach.testing import Broker, Cluster, free_port
from longreach.transport.link import LinkState
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions

_QUICK = {
    "ping_interval_s": 0.2,
    "max_silence_s": 0.8,
    "connect_timeout_s": 1.0,
    "failback_s": 0.4,
    "renew_every_s": 0.1,
}


def _options(*urls: str, **changes: object) -> NatsOptions:
    return NatsOptions(urls=urls, **{**_QUICK, **changes})


class Load:
    """Questions and answers through a link that moves, and others that stay, numbered.

    The moving link serves a queue group alone, hears everything on a plain subject, and asks.
    """

    def __init__(self, moving: NatsLink, staying: NatsLink) -> None:
        self.moving, self.staying = moving, staying
        self.states: list[LinkState] = []
        self.answers, self.heard, self.replies = Inbox(), Inbox(), Inbox()
        self.sent = 0
        self._task: asyncio.Task[None] | None = None
        self._on = True

    async def __aenter__(self) -> Load:
        moving, staying = self.moving, self.staying
        moving.on_change(self.states.append)
        moving.subscribe("tool", lambda _s, reply, data, _h: moving.send(reply, data), "crew")
        moving.subscribe("news", self.heard)
        moving.subscribe("rep.>", self.replies)
        staying.subscribe("in.>", self.answers)
        staying.subscribe("other", lambda _s, reply, data, _h: staying.send(reply, data), "crew")
        await moving.fence(5)
        await staying.fence(5)
        await asyncio.sleep(0.3)  # a cluster spreads interest without saying when it has
        self._task = asyncio.get_running_loop().create_task(self._ask())
        return self

    async def _ask(self) -> None:
        while self._on:
            for _ in range(8):
                number = b"%d" % self.sent
                self.staying.send("tool", number, f"in.{self.sent}")
                self.staying.send("news", number)
                self.moving.send("other", number, f"rep.{self.sent}")
                self.sent += 1
            await asyncio.sleep(0.002)

    async def __aexit__(self, *_: object) -> None:
        self._on = False
        assert self._task is not None
        await self._task

    async def check(self) -> None:
        """Everything came once, in order, and nobody was told of anything."""
        await self.__aexit__()
        assert self.sent > 100
        for inbox in (self.answers, self.heard, self.replies):
            await inbox.wait(self.sent)
        await self.staying.fence(5)
        await self.moving.fence(5)
        for inbox in (self.answers, self.replies):
            refused = [subject for subject, _, _, headers in inbox.messages if headers]
            assert refused == []
        for inbox in (self.answers, self.heard, self.replies):
            assert [body for body, times in Counter(inbox.bodies).items() if times > 1] == []
            assert len(inbox.messages) == self.sent
        assert self.heard.bodies == [b"%d" % number for number in range(self.sent)]
        assert self.states == []


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with Cluster(2) as running:
        yield running


async def _both(cluster: Cluster, **changes: object) -> tuple[NatsLink, NatsLink]:
    """A link whose home is the first broker, and one at the second that stays there."""
    moving = await NatsLink.open(_options(*cluster.urls, **changes))
    return moving, await NatsLink.open(_options(cluster.urls[1]))


async def test_a_lame_duck_is_left_before_it_goes(cluster: Cluster):
    moving, staying = await _both(cluster, failback_s=None)
    async with Load(moving, staying) as load:
        cluster.brokers[0].lame_duck()
        await eventually(lambda: moving.url == cluster.urls[1])
        await asyncio.sleep(1.0)
        await load.check()
    await moving.close()
    await staying.close()


async def test_home_is_returned_to_when_it_is_back(cluster: Cluster):
    home, away = cluster.brokers
    home.kill()
    moving, staying = await _both(cluster)
    assert moving.url == away.url
    async with Load(moving, staying) as load:
        await home.restart()
        await eventually(lambda: moving.url == home.url, 20)
        await asyncio.sleep(1.0)
        await load.check()
    await moving.close()
    await staying.close()


async def test_a_home_that_hears_nothing_of_the_mesh_is_not_returned_to(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "longreach.transport")
    async with Broker() as home, Broker() as away:
        home.kill()
        moving = await NatsLink.open(_options(home.url, away.url))
        staying = await NatsLink.open(_options(away.url))
        async with Load(moving, staying) as load:
            await home.restart()
            await eventually(lambda: caplog.text.count("link.move_failed") >= 2, 20)
            assert moving.url == away.url
            await load.check()
        await moving.close()
        await staying.close()


async def test_a_home_that_has_not_joined_its_cluster_is_not_returned_to(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
):
    """Nothing is sent, so that nothing is missed: what brokers tell of each other is all there is."""
    caplog.set_level(logging.DEBUG, "longreach.transport")
    home, away = cluster.brokers
    joining = home.config
    home.kill()
    link = await NatsLink.open(_options(home.url, away.url))
    home.configure(f'cluster {{ name: "cluster", listen: "127.0.0.1:{free_port()}" }}')
    await home.restart()
    await eventually(lambda: caplog.text.count("link.move_failed") >= 2, 20)
    assert link.url == away.url
    home.configure(joining)
    await home.restart()
    await eventually(lambda: link.url == home.url, 20)
    await link.close()


async def test_a_link_that_is_told_of_the_brokers_beside_its_own_uses_them(cluster: Cluster):
    link = await NatsLink.open(_options(cluster.urls[0]))
    cluster.brokers[0].kill()
    await eventually(lambda: link.url == cluster.urls[1])
    await link.close()


async def test_a_link_that_must_not_follow_does_not(cluster: Cluster):
    link = await NatsLink.open(_options(cluster.urls[0], follow_discovered=False))
    cluster.brokers[0].kill()
    await eventually(lambda: not link.is_up)
    with pytest.raises(BrokerUnavailable):
        await link.wait_up(1.0)
    await cluster.brokers[0].restart()
    await link.wait_up(10)
    assert link.url == cluster.urls[0]
    await link.close()


async def test_a_broker_that_hangs_costs_no_time_limit(cluster: Cluster):
    cluster.brokers[0].stop()
    async with asyncio.timeout(min(allowed(1.0), 4.0)):
        link = await NatsLink.open(_options(*cluster.urls, connect_timeout_s=5.0))
    assert link.url == cluster.urls[1]
    cluster.brokers[0].cont()
    await link.close()


async def test_jwts_that_expire_are_renewed_ahead(tmp_path: Path):
    operator = Operator()
    creds = tmp_path / "user.creds"
    creds.write_text(operator.creds(3))
    async with Broker(operator.config) as broker:
        moving = await NatsLink.open(_options(broker.url, creds_file=str(creds)))
        staying = await NatsLink.open(_options(broker.url, creds=operator.creds()))
        async with Load(moving, staying) as load:
            for _ in range(4):
                await asyncio.sleep(1.5)
                replace(creds, operator.creds(3))
            await load.check()
        await moving.close()
        await staying.close()


async def test_a_jwt_that_ran_out_is_replaced_as_soon_as_there_is_another(tmp_path: Path):
    operator = Operator()
    creds = tmp_path / "user.creds"
    creds.write_text(operator.creds(2))
    states: list[LinkState] = []
    async with Broker(operator.config) as broker:
        link = await NatsLink.open(_options(broker.url, creds_file=str(creds)))
        link.on_change(states.append)
        await eventually(lambda: LinkState("down", "credentials") in states)
        await asyncio.sleep(0.3)
        replace(creds, operator.creds())
        async with asyncio.timeout(allowed(2.0)):
            await link.wait_up(None)
        await link.close()


async def test_a_function_brings_other_credentials():
    operator = Operator()
    given = [operator.creds()]
    async with Broker(operator.config) as broker:
        moving = await NatsLink.open(lambda: _options(broker.url, creds=given[-1]))
        staying = await NatsLink.open(_options(broker.url, creds=operator.creds()))
        async with Load(moving, staying) as load:
            before = (await broker.monitor("connz"))["connections"]
            given.append(operator.creds())
            kept = {connection["cid"] for connection in before}

            async def replaced() -> None:
                while kept <= {c["cid"] for c in (await broker.monitor("connz"))["connections"]}:
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(replaced(), 30)
            await load.check()
        await moving.close()
        await staying.close()


@pytest.mark.parametrize("text", ["", "no credentials", "-----BEGIN NATS USER JWT-----\nhalf"])
async def test_a_file_that_is_half_written_is_waited_for(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
):
    operator = Operator()
    creds = tmp_path / "user.creds"
    creds.write_text(operator.creds())
    async with Broker(operator.config) as broker:
        link, states = await NatsLink.open(_options(broker.url, creds_file=str(creds))), list[LinkState]()
        link.on_change(states.append)
        creds.write_text(text)
        await eventually(lambda: "link.move_failed" in caplog.text)
        caplog.set_level(logging.INFO, "longreach.transport")
        creds.write_text(operator.creds())
        await eventually(lambda: "link.moved" in caplog.text)
        assert states == []
        await link.close()


async def test_a_password_is_rotated_while_the_broker_knows_both(tmp_path: Path):
    secret = tmp_path / "password"
    secret.write_text("one")
    users = '{ user: "one", password: "one" }, { user: "two", password: "two" }'
    given = ["one"]
    async with Broker(f"authorization {{ users: [ {users} ] }}") as broker:
        moving = await NatsLink.open(
            lambda: (
                _options(broker.url, user=given[-1], password_file=str(tmp_path / given[-1]))
                if len(given) > 1
                else _options(broker.url, user="one", password_file=str(secret))
            )
        )
        staying = await NatsLink.open(_options(broker.url, user="two", password="two"))
        async with Load(moving, staying) as load:
            (tmp_path / "two").write_text("two")
            given.append("two")

            async def moved() -> None:
                while True:
                    seen = (await broker.monitor("connz?auth=1"))["connections"]
                    if [each.get("authorized_user") for each in seen] == ["two", "two"]:
                        return
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(moved(), 30)
            broker.configure('authorization { users: [ { user: "two", password: "two" } ] }')
            broker.reload()
            await asyncio.sleep(0.3)
            await load.check()
        await moving.close()
        await staying.close()


async def test_certificates_are_rotated(tmp_path: Path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("broker", "client"):
        made = authority.issue_cert("127.0.0.1")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
    files = f'cert_file: "{tmp_path}/broker.pem", key_file: "{tmp_path}/broker.key"'
    tls = {
        "tls_ca": str(tmp_path / "ca.pem"),
        "tls_cert": str(tmp_path / "client.pem"),
        "tls_key": str(tmp_path / "client.key"),
    }
    async with Broker(f'tls {{ {files}, ca_file: "{tmp_path}/ca.pem", verify: true }}') as broker:
        url = broker.url.replace("nats:", "tls:")
        moving = await NatsLink.open(_options(url, **tls))
        staying = await NatsLink.open(_options(url, **tls, renew_every_s=60.0))
        async with Load(moving, staying) as load:
            first = (await broker.monitor("connz"))["total"]
            renewed = authority.issue_cert("127.0.0.1")
            replace(tmp_path / "client.pem", renewed.cert_chain_pems[0].bytes().decode())  # not its key yet
            await asyncio.sleep(0.4)
            replace(tmp_path / "client.key", renewed.private_key_pem.bytes().decode())

            async def moved() -> None:
                while (await broker.monitor("varz"))["total_connections"] <= first + 1:
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(moved(), 10)
            await asyncio.sleep(0.5)
            await load.check()
        await moving.close()
        await staying.close()


async def test_a_link_that_moves_leaves_no_task_and_no_connection(cluster: Cluster):
    before = asyncio.all_tasks()
    moving, staying = await _both(cluster, failback_s=None)
    async with Load(moving, staying):
        cluster.brokers[0].lame_duck()
        await eventually(lambda: moving.url == cluster.urls[1])
        await moving.close()
    await staying.close()
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_whatever_happens_meanwhile_one_connection_is_left_and_works():
    """Brokers are killed, stopped and made lame while links move; in the end each link is whole."""
    chance = random.Random(int(os.environ.get("LONGREACH_SEED", "20261125")))
    before = asyncio.all_tasks()
    async with Cluster(3) as cluster:
        urls = cluster.urls
        links = [await NatsLink.open(_options(*urls[n:], *urls[:n]), timeout_s=10) for n in (0, 1, 2, 0)]
        inboxes = [Inbox() for _ in links]
        for link, inbox in zip(links, inboxes, strict=True):
            link.subscribe("all", inbox)
            link.subscribe("job", inbox, "crew")
        for _ in range(int(os.environ.get("LONGREACH_ROUNDS", "4"))):
            broker = chance.choice(cluster.brokers)
            fault = chance.choice((broker.kill, broker.lame_duck, broker.stop))
            fault()
            await asyncio.sleep(chance.uniform(0.0, 1.2))
            if fault == broker.stop:
                broker.cont()
            else:
                broker.end()
                await broker.restart()
                await cluster.joined()
            await asyncio.sleep(chance.uniform(0.0, 0.9))
        await eventually(lambda: [link.url for link in links] == [*urls, urls[0]], 20)
        for link in links:
            await link.fence(5)
        await asyncio.sleep(1.5)  # the last move's old connection is left
        for inbox in inboxes:
            inbox.messages.clear()
        for number in range(100):
            links[number % 4].send("all", b"%d" % number)
            links[number % 4].send("job", b"job")
        await eventually(lambda: sum(len(inbox.messages) for inbox in inboxes) >= 500)
        for link in links:
            await link.fence(5)
        for inbox in inboxes:
            assert Counter(body for body in inbox.bodies if body != b"job") == Counter(
                b"%d" % number for number in range(100)
            )
        assert sum(inbox.bodies.count(b"job") for inbox in inboxes) == 100
        seen = [len((await broker.monitor("connz"))["connections"]) for broker in cluster.brokers]
        assert sum(seen) == 4
        for link in links:
            await link.close()
    await eventually(lambda: asyncio.all_tasks() == before)


async def test_subscriptions_come_and_go_while_a_link_moves(cluster: Cluster):
    moving, staying = await _both(cluster, failback_s=None)
    async with Load(moving, staying) as load:
        cluster.brokers[0].lame_duck()
        inboxes = []
        while moving.url != cluster.urls[1] or len(inboxes) < 60:
            inbox = Inbox()
            inboxes.append(inbox)
            own = moving.subscribe(f"own.{len(inboxes)}", inbox)
            await moving.fence(5)
            for _ in range(5):
                moving.send(own.subject, b"x")
            await moving.fence(5)
            await moving.leave(own, 5)
            moving.send(own.subject, b"late")
            await asyncio.sleep(0.005)
        await asyncio.sleep(1.0)
        assert {len(inbox.messages) for inbox in inboxes} == {5}
        await load.check()
    await moving.close()
    await staying.close()
