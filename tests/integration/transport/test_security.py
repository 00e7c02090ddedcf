"""TLS and NKeys, with files made for the test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import nkeys
import pytest
from tests.support.broker import Broker
from tests.support.links import Inbox, eventually, wait_for_down

from longreach.errors import BrokerUnavailable, CredentialsRejected
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions


@pytest.fixture
def tls_broker(certificates: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    first = getattr(request, "param", False)
    files = f'cert_file: "{certificates}/cert.pem", key_file: "{certificates}/key.pem"'
    config = f'tls {{ {files}, ca_file: "{certificates}/ca.pem", verify: true'
    with Broker(config + (", handshake_first: auto }" if first else " }")) as broker:
        yield broker


def _tls(broker: Broker, certificates: Path, **changes: object) -> NatsOptions:
    return NatsOptions(
        urls=(broker.url.replace("nats:", "tls:"),),
        tls_ca=str(certificates / "ca.pem"),
        tls_cert=str(certificates / "cert.pem"),
        tls_key=str(certificates / "key.pem"),
        ping_interval_s=0.2,
        max_silence_s=0.6,
        **changes,
    )


@pytest.mark.parametrize("tls_broker", [False, True], indirect=True)
async def test_tls_with_certificates_on_both_sides(
    tls_broker: Broker, certificates: Path, request: pytest.FixtureRequest
):
    first = request.node.callspec.params["tls_broker"]
    link, inbox = await NatsLink.open(_tls(tls_broker, certificates, tls_handshake_first=first)), Inbox()
    link.subscribe("a", inbox)
    for _ in range(20):
        link.send("a", b"x" * 200_000)
    await link.fence(10)
    assert len(inbox.messages) == 20
    tls_broker.restart()
    await wait_for_down(link)
    await link.wait_up(10)
    link.send("a", b"again")
    await link.fence(10)
    assert inbox.bodies[-1] == b"again"
    await link.close()


async def test_a_hung_broker_is_given_up_under_tls_too(tls_broker: Broker, certificates: Path):
    link, states = await NatsLink.open(_tls(tls_broker, certificates)), []
    link.on_change(states.append)
    tls_broker.stop()
    for _ in range(40):
        link.send("a", b"x" * 200_000)
    await eventually(lambda: states)
    assert states[0].reason == "silent"
    tls_broker.cont()
    await link.wait_up(10)
    await link.close()


async def test_a_broker_that_cannot_prove_itself_is_not_trusted(tls_broker: Broker, certificates: Path):
    with pytest.raises(BrokerUnavailable, match="TLS"):
        await NatsLink.open(NatsOptions(urls=(tls_broker.url.replace("nats:", "tls:"),)), timeout_s=0.3)


async def test_nkeys_are_read_from_a_file_anew(tmp_path: Path):
    def user() -> tuple[str, str]:
        seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        return seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode()

    (seed, public), (other_seed, other_public) = user(), user()
    file = tmp_path / "seed"
    with Broker(f"authorization {{ users: [ {{ nkey: {public} }} ] }}") as broker:
        file.write_text(seed)
        link = await NatsLink.open(NatsOptions(urls=(broker.url,), nkey_seed_file=str(file)))
        await link.fence(5)
        with pytest.raises(CredentialsRejected):
            await NatsLink.open(NatsOptions(urls=(broker.url,), nkey_seed=other_seed))
        broker.configure(f"authorization {{ users: [ {{ nkey: {other_public} }} ] }}")
        file.write_text(other_seed)
        broker.restart()
        await wait_for_down(link)
        await link.wait_up(10)
        await link.fence(5)
        await link.close()
