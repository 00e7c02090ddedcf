"""What is special about ``ws://`` and ``wss://``; what every link promises is in test_conformance.py."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.support.links import Inbox, eventually
from tests.support.timing import allowed
from websockets.frames import Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from longreach.errors import BrokerUnavailable, CredentialsRejected, NotStarted
from longreach.testing import Broker, Cluster, free_port
from longreach.transport.link import LinkState
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions

_QUICK = {"ping_interval_s": 0.2, "max_silence_s": 0.6, "connect_timeout_s": 0.5}


class Place:
    """A broker with a WebSocket listener, and how to reach it."""

    def __init__(self, broker: Broker, url: str, ca: str | None) -> None:
        self.broker, self.url, self.ca = broker, url, ca

    def options(self, **changes: object) -> NatsOptions:
        return NatsOptions(urls=(self.url,), tls_ca=self.ca, **{**_QUICK, **changes})


@pytest.fixture(params=["ws", "wss"])
def place(request: pytest.FixtureRequest, certificates: Path) -> Iterator[Place]:
    port = free_port()
    secure = request.param == "wss"
    files = f'cert_file: "{certificates}/cert.pem", key_file: "{certificates}/key.pem"'
    how = f"tls {{ {files} }}" if secure else "no_tls: true"
    with Broker(f'websocket {{ listen: "127.0.0.1:{port}", {how} }}') as broker:
        ca = str(certificates / "ca.pem") if secure else None
        yield Place(broker, f"{request.param}://127.0.0.1:{port}", ca)


async def test_large_bodies_come_through_both_ways(place: Place):
    link, inbox = await NatsLink.open(place.options()), Inbox()
    link.subscribe("a", inbox)
    await link.fence(5)
    bodies = [bytes([number]) * (50_000 * number) for number in range(1, 19)]
    for body in bodies:
        link.send("a", body)
        await link.fence(10)
    assert inbox.bodies == bodies
    await link.close()


@pytest.mark.timed
async def test_a_broker_that_hangs_is_given_up_and_what_waits_for_it_is_bounded(place: Place):
    link, states = await NatsLink.open(place.options()), list[LinkState]()
    link.on_change(states.append)
    link.max_unflushed_bytes = 1_000_000
    place.broker.stop()
    began = time.monotonic()
    refused = None
    with contextlib.suppress(BrokerUnavailable):
        for _ in range(200):
            try:
                link.send("big", b"x" * 100_000)
            except NotStarted as error:
                refused = error
                break
            await asyncio.sleep(0)
    assert refused is not None
    await eventually(lambda: states)
    assert time.monotonic() - began < allowed(2.0)
    assert states[0] == LinkState("down", "silent")
    place.broker.cont()
    await link.wait_up(10)
    await link.fence(5)
    await link.close()


async def test_wrong_credentials_are_an_error_at_once(place: Place):
    place.broker.configure(f'{place.broker.config}\nauthorization {{ token: "right" }}')
    await place.broker.restart()
    with pytest.raises(CredentialsRejected):
        await NatsLink.open(place.options(token="wrong"))
    link = await NatsLink.open(place.options(token="right"))
    await link.fence(5)
    await link.close()
    link = await NatsLink.open(NatsOptions(urls=(place.url.replace("//", "//right@"),), tls_ca=place.ca))
    assert link.url == place.url
    await link.close()


@pytest.mark.parametrize("place", ["wss"], indirect=True)
async def test_a_broker_that_cannot_prove_itself_is_not_trusted(place: Place):
    with pytest.raises(BrokerUnavailable, match="TLS"):
        await NatsLink.open(NatsOptions(urls=(place.url,)), timeout_s=0.5)


async def test_what_is_no_websocket_is_said_to_be_none():
    with Broker() as broker:
        url = broker.url.replace("nats:", "ws:")
        with pytest.raises(BrokerUnavailable, match="websocket"):
            await NatsLink.open(NatsOptions(urls=(url,), **_QUICK), timeout_s=0.5)


async def test_a_lame_duck_is_left_for_the_one_beside_it_that_listens_for_websockets_too():
    ports = [free_port(), free_port()]
    cluster = Cluster(2)
    for broker, port in zip(cluster.brokers, ports, strict=True):
        broker.configure(f'{broker.config}\nwebsocket {{ listen: "127.0.0.1:{port}", no_tls: true }}')
    async with cluster:
        link = await NatsLink.open(NatsOptions(urls=(f"ws://127.0.0.1:{ports[0]}",), **_QUICK))
        states: list[LinkState] = []
        link.on_change(states.append)
        cluster.brokers[0].lame_duck()
        await eventually(lambda: link.url == f"ws://127.0.0.1:{ports[1]}")
        await link.fence(5)
        assert states == []
        await link.close()


@contextlib.asynccontextmanager
async def _false_broker(*, then: bytes | None) -> AsyncIterator[tuple[str, list[str]]]:
    """Greets over WebSocket; answers pings, or `then`, as it is, once the link is up."""
    ends: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol, asked = ServerProtocol(max_size=None), 0
        try:
            while data := await reader.read(65536):
                protocol.receive_data(data)
                for event in protocol.events_received():
                    if isinstance(event, Request):
                        protocol.send_response(protocol.accept(event))
                        protocol.send_binary(
                            b'INFO {"server_id":"x","max_payload":1048576,"headers":true}\r\n'
                        )
                    elif event.opcode is Opcode.BINARY and b"PING" in event.data:
                        asked += 1
                        if asked > 1 and then is not None:
                            writer.write(then)
                            _ = await reader.read(-1)
                            return
                        protocol.send_ping(b"are you there")
                        protocol.send_binary(b"PONG\r\n")
                    elif event.opcode is Opcode.PONG:
                        ends.append("pong")
                for answer in protocol.data_to_send():
                    if answer:
                        writer.write(answer)
        except ConnectionResetError:
            ends.append("reset")
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", ends
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), 30)


async def test_a_broker_that_is_given_up_gets_a_reset():
    """The frames `then` begin a message that never ends."""
    async with _false_broker(then=b"\x82\x7e\xff\xffMSG") as (url, ends):
        link = await NatsLink.open(NatsOptions(urls=(url,), **_QUICK))
        await eventually(lambda: "reset" in ends)
        await link.close(0.2)


async def test_pings_of_the_websocket_are_answered():
    async with _false_broker(then=None) as (url, ends):
        link = await NatsLink.open(NatsOptions(urls=(url,), **_QUICK))
        await eventually(lambda: "pong" in ends)
        await link.close(0.5)


@pytest.mark.parametrize(
    "frames",
    [b"\xff\xff\xff\xff", b"\x81\x02hi", b"\x82\x05MSG\r\n", b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"],
    ids=["no frame", "text", "no protocol", "too long"],
)
async def test_garbage_ends_the_connection_and_not_the_link(frames: bytes):
    async with _false_broker(then=frames) as (url, _):
        states: list[LinkState] = []
        link = await NatsLink.open(NatsOptions(urls=(url,), **_QUICK))
        link.on_change(states.append)
        await eventually(lambda: [state for state in states if state.status == "down"])
        await link.close(0.2)
