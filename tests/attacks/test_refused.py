"""Attacks that permissions do not see: nodes, clients and TLS refuse each; without the check it works.

In each test the guard is removed by patching the very check that holds it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import nats
import nats.errors
import pytest
import trustme
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tests.support.estate import DESCRIPTION, EU, Estate, Heard, call, deploy, estate, eventually
from tests.support.topologies import Deployment

from longreach.actor import states
from longreach.cli.topology import accounts, jwts
from longreach.client.discovery import Vouching
from longreach.errors import CredentialsRejected
from longreach.node.doors import Door
from longreach.node.replies import Replies, ReplyRoute
from longreach.node.results import LargeResults
from longreach.policy import sealing
from longreach.policy.calls import CallBook
from longreach.policy.room import Room
from longreach.policy.states import Saved
from longreach.transport.natslink import NatsLink

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("guarded"), is_open=False) as deployed:
        yield deployed


@pytest.fixture
async def made(deployed: Deployment) -> AsyncIterator[Estate]:
    async with estate(deployed) as made:
        yield made


async def answer_to(made: Estate, key: str, name: str, **params: Any) -> dict[str, Any]:
    """What `key` is answered, sent bare."""
    nc = await made.raw(key)
    reply = made.reply(key)
    heard = await made.hears(nc, reply)
    subject = params.pop("subject", name)
    await nc.publish(f"{EU}.req.docs._._.{key}.tools-call.{subject}", call(name, **params), reply=reply)
    assert await eventually(lambda: any(not message.headers for message in heard))
    answer: dict[str, Any] = json.loads(next(message for message in heard if not message.headers).data)
    return answer


async def test_a_reply_subject_aimed_at_somebody(made: Estate, monkeypatch: Patch) -> None:
    """M3.1"""
    heard = await made.hears(await made.raw("alice"), f"{EU}.rep._.alice.cafe.*")
    mallory = await made.raw("mallory")

    async def aim() -> None:
        body = call("echo", {"text": "x"})
        await made.say(
            mallory, f"{EU}.req.docs._._.mallory.tools-call.echo", body, made.reply("alice", "cafe")
        )

    await aim()
    assert heard == []
    route = Replies.route

    def as_it_came(self: Replies, reply: str, via: str, caller: str) -> ReplyRoute | None:
        made = route(self, reply, via, caller)
        return (
            None
            if made is None
            else ReplyRoute(reply, *(getattr(made, f) for f in made.__struct_fields__[1:]))
        )

    monkeypatch.setattr(Replies, "route", as_it_came)
    await aim()
    assert await eventually(lambda: heard)


async def test_cancelling_a_call_of_another(made: Estate, monkeypatch: Patch) -> None:
    """M6.3: under the attacker's own name, with the connection and the call of the victim."""
    alice, reply = await made.raw("alice"), made.reply("alice")
    await alice.publish(f"{EU}.req.docs._._.alice.tools-call.slow", call("slow", {"text": "a"}), reply=reply)
    await alice.flush()
    assert await eventually(lambda: made.has_run("a"))
    mallory = await made.raw("mallory")
    body = b'{"calls":["%s"]}' % reply.rpartition(".")[2].encode()

    async def cancel() -> None:
        await made.say(mallory, f"{EU}.all.docs._.mallory.cancel", body, made.reply("mallory"))

    await cancel()
    assert made.cancelled == []

    def of_anybody(self: CallBook, _: str, calls: list[str], __: float) -> list[str]:
        return [key for key in self._here if key.rpartition(".")[2] in calls]

    monkeypatch.setattr(CallBook, "cancel", of_anybody)
    await cancel()
    assert await eventually(lambda: made.cancelled == ["a"])


async def test_pulling_parts_of_the_result_of_another(made: Estate, monkeypatch: Patch) -> None:
    """docs/binding.md 16"""
    alice, reply = await made.raw("alice"), made.reply("alice", "c0ffee-p")
    offers = await made.hears(alice, reply)
    await alice.publish(f"{EU}.req.docs._._.alice.tools-call.large", call("large"), reply=reply)
    assert await eventually(lambda: any((message.headers or {}).get("Lr") == "parts" for message in offers))
    mallory = await made.raw("mallory")
    body = json.dumps({"call": reply.rpartition(".")[2], "at": 0, "bytes": 1000}).encode() + b"\n"
    node = made.nodes["n-eu"].instance

    async def pull() -> Heard:
        answer = made.reply("mallory", "c0ffee-p")
        heard = await made.hears(mallory, answer)
        await made.say(mallory, f"{EU}.node.n-eu.{node}._.mallory.part", body, answer)
        return heard

    assert all(b"secret" not in message.data for message in await pull())
    give = LargeResults.give

    def to_anybody(self: LargeResults, route: ReplyRoute, data: bytes) -> None:
        (key,) = self._held
        self._held[f"{route.scope}.{key.rpartition('.')[2]}"] = self._held[key]
        give(self, route, data)

    monkeypatch.setattr(LargeResults, "give", to_anybody)
    monkeypatch.setattr(Room, "moved", lambda *_: None)  # it knows nothing of a result that is nobody's
    heard = await pull()
    assert await eventually(lambda: any(b"secret" in message.data for message in heard))


async def test_a_body_that_disagrees_with_the_subject(made: Estate, monkeypatch: Patch) -> None:
    """M1.4: bob may call echo, and asks there for what he may not."""
    answer = await answer_to(made, "bob", "slow", subject="echo", arguments={"text": "x"})
    assert answer["error"]["code"] == -32020
    monkeypatch.setattr(Door, "_mismatch", lambda *_: None)
    assert "result" in await answer_to(made, "bob", "slow", subject="echo", arguments={"text": "x"})


async def paying(made: Estate) -> dict[str, Any]:
    """What alice sends in the second round of a payment of 10."""
    first = (await answer_to(made, "alice", "pay"))["result"]
    (question,) = first["inputRequests"]
    answers = {question: {"action": "accept", "content": {"value": True}}}
    return {"inputResponses": answers, "requestState": first["requestState"]}


async def test_a_request_state_of_another(made: Estate, monkeypatch: Patch) -> None:
    second = await paying(made)
    refused = await answer_to(made, "mallory", "pay", **second)
    assert "another caller" in refused["error"]["message"]
    decode = states.decode_saved
    monkeypatch.setattr(states, "decode_saved", lambda data, _, now_ms: decode(data, _bound(data), now_ms))
    taken = await answer_to(made, "mallory", "pay", **second)
    assert taken["result"]["content"][0]["text"] == "paid price:10"


def _bound(data: bytes) -> Any:
    return msgspec.msgpack.decode(data, type=Saved).bound


async def test_an_altered_request_state(made: Estate, monkeypatch: Patch) -> None:
    """The bit that makes 10 a 90 is flipped in what was sealed, without the key."""
    second = await paying(made)
    head, _, text = second["requestState"].rpartition(".")
    sealed = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    sealed[-16 - len('10"')] ^= ord("1") ^ ord("9")
    second["requestState"] = f"{head}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"
    refused = await answer_to(made, "alice", "pay", **second)
    assert "not as it was sent" in refused["error"]["message"]
    make = sealing._cipher

    def unchecked(key: sealing.Key, salt: bytes) -> Any:
        made = make(key, salt)
        secret = sealing.hashlib.blake2b(
            salt, key=key.secret, person=sealing._PURPOSE, digest_size=32
        ).digest()

        def decrypt(nonce: bytes, data: bytes, _: bytes) -> bytes:
            counter = modes.CTR(nonce + (2).to_bytes(4, "big"))
            return Cipher(algorithms.AES(secret), counter).decryptor().update(data[:-16])

        made.decrypt = decrypt  # type: ignore[method-assign]
        return made

    monkeypatch.setattr(sealing, "_cipher", unchecked)
    taken = await answer_to(made, "alice", "pay", **second)
    assert taken["result"]["content"][0]["text"] == "paid price:90"


async def test_answering_who_for_the_server_of_another(made: Estate, monkeypatch: Patch) -> None:
    """M8.9: `m-eu` may write to everybody's reply space, as each node may."""
    evil = await made.raw("m-eu")
    about = {"server": "docs", "version": "6.6.6", "digest": "x" * 22, "region": "eu", "identity": "m-eu"}
    lie = {**about, "instance": "i1", "state": "up", "seq": 2**53 - 1, "clockMs": 0}

    async def answer(message: Any) -> None:
        await evil.publish(
            message.reply.replace(".us.", ".eu."), json.dumps({"announcements": [lie]}).encode()
        )

    for region in ("eu", "_"):
        await evil.subscribe(f"lr.v1.acme.{region}.who.*.*", cb=answer)
    await evil.flush()
    alice = await made.mesh("alice")
    assert {each.identity for each in alice.catalog.instances.values()} >= {"n-eu"}
    assert "m-eu" not in {each.identity for each in alice.catalog.instances.values()}
    monkeypatch.setattr(Vouching, "hear", lambda self, announcement, _: self._believe(announcement))
    other = await made.mesh("alice")
    assert "m-eu" in {each.identity for each in other.catalog.instances.values()}


async def test_a_message_that_is_too_large(made: Estate) -> None:
    nc = await made.raw("mallory")
    nc._max_payload = 1 << 30  # the attacker's library refuses nothing
    body = call("echo", {"text": "x" * 2_000_000})

    async def send(nc: nats.NATS) -> None:
        await nc.publish(f"{EU}.req.docs._._.mallory.tools-call.echo", body, reply=made.reply("mallory"))
        await nc.flush(3)

    await send(nc)
    assert await eventually(lambda: not nc.is_connected)
    await made.honest()
    assert not made.has_run("x" * 50)
    broker = made.deployed.brokers["eu-1"]
    config = broker.folder / "nats.conf"
    before = config.read_text()
    config.write_text(before + "\nmax_payload: 8MB\n")
    broker.reload()
    try:
        again = await made.raw("mallory")
        await send(again)
        assert await eventually(lambda: made.has_run("x" * 50))
    finally:
        config.write_text(before)
        broker.reload()


def greeting(port: int) -> bytes:
    """What a broker says to somebody who speaks plain text."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        plain.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        said = b""
        with contextlib.suppress(ConnectionError):
            while b"-ERR" not in said and (data := plain.recv(4096)):
                said += data
    return said


def test_plain_text(deployed: Deployment, tmp_path: Path) -> None:
    assert b'"tls_required":true' in greeting(deployed.brokers["eu-1"].port)
    assert not {b"PONG", b"-ERR"} & set(greeting(deployed.brokers["eu-1"].port).split())  # it hangs up
    with deploy(tmp_path, is_open=True) as wide_open:
        assert b"Authorization" in greeting(
            wide_open.brokers["eu-1"].port
        )  # it listens: only a key is missing


async def test_a_broker_with_a_certificate_of_another_authority(made: Estate, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    options = made.deployed.options("alice")
    wrong = msgspec.structs.replace(options, tls_ca=str(tmp_path / "ca.pem"))
    with pytest.raises(Exception, match=r"(?i)certificate|tls"):
        await NatsLink.open(wrong, wait=False, timeout_s=3)
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert (await made.raw("alice", context=context)).is_connected


async def test_a_jwt_that_has_expired(tmp_path: Path, monkeypatch: Patch) -> None:
    """The guard is its end: the same user's JWT without one is let in."""
    sign = jwts.user_token

    def expired(**about: Any) -> str:
        return sign(**{**about, "expires_at": int(time.time()) - 60})

    text = DESCRIPTION.replace('"nkeys"', '"jwt"').format(tls="off")
    monkeypatch.setattr(accounts.jwts, "user_token", expired)
    with Deployment(text, tmp_path) as deployed:
        options = deployed.options("mallory")
        with pytest.raises(CredentialsRejected):
            await NatsLink.open(options, wait=False, timeout_s=3)
        monkeypatch.setattr(accounts.jwts, "user_token", sign)
        deployed.apply(text)
        link = await NatsLink.open(options, wait=False, timeout_s=3)
        assert link.is_up
        await link.close()
