"""Two gateways, one session: exchanges are carried to the gateway that has it, and end when it does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.exchanges import LegacyHttp
from tests.support.faces import Asked, FaceDouble, text_result
from tests.support.links import eventually

from longreach.clock import FakeClock
from longreach_gateway.legacy.ids import GatewayAddress
from longreach_gateway.legacy.relay import forwarding, frames, hosting
from longreach_gateway.legacy.relay.forwarded import MAX_UNREAD, Forwarded, Owner
from longreach_gateway.legacy.relay.frames import Beat, Frame, Open


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "SECOND_BEAT_S", 0.005)
    monkeypatch.setattr(forwarding, "BEAT_EVERY_S", 0.02)


async def echo(asked: Asked) -> Any:
    return text_result(asked.params["arguments"]["text"])


async def session_at(owner: Any, other: Any, **options: Any) -> LegacyHttp:
    """A client that began at `owner` and goes on at `other`."""
    client = LegacyHttp(owner, **options)
    await client.initialize({"elicitation": {}})
    client.app = other
    return client


async def test_a_session_goes_on_at_another_gateway(gateways: Any) -> None:
    """binding.md M14.2."""
    face = FaceDouble(tools_call=echo)
    owner = await gateways.start("g1", face, region="eu")
    other = await gateways.start("g2", FaceDouble(), region="us")
    client = await session_at(owner, other, caller="alice")
    called = await client.result("tools/call", {"name": "t", "arguments": {"text": "ü" * 10}})
    assert called["content"][0]["text"] == "ü" * 10
    assert face.asked[-1].caller == "alice"
    assert (await client.post({"method": "notifications/initialized"}).done()).status == 202
    assert (await client.delete().done()).status == 200
    assert (await client.request("ping").done()).status == 404
    await eventually(lambda: (len(other.forwarder), len(owner.host)) == (0, 0))


async def test_a_question_and_its_answer_go_through_another_gateway(gateways: Any) -> None:
    async def asking(asked: Asked) -> Any:
        if "inputResponses" in asked.params:
            return text_result(asked.params["inputResponses"]["q"]["action"])
        question = {"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}}
        return {"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s"}

    owner = await gateways.start("g1", FaceDouble(tools_call=asking))
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    call = client.request("tools/call", {"name": "t"})
    await call.until(lambda: call.events)
    assert (
        await client.post({"id": call.events[0]["id"], "result": {"action": "accept"}}).done()
    ).status == 202
    await call.done()
    assert call.events[-1]["result"]["content"][0]["text"] == "accept"


async def test_a_stream_through_another_gateway_ends_with_either_side(gateways: Any) -> None:
    face = FaceDouble()
    owner = await gateways.start("g1", face)
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    await eventually(lambda: face.streams)
    face.tell("notifications/tools/list_changed")
    await stream.until(lambda: stream.events)
    stream.leave()
    await stream.done()
    await eventually(lambda: len(owner.host) == 0)
    again = client.get()
    await again.until(lambda: again.status == 200)
    await owner.close()
    await again.done()
    await eventually(lambda: len(other.forwarder) == 0)


async def test_large_bodies_go_in_parts_both_ways(gateways: Any) -> None:
    owner = await gateways.start("g1", FaceDouble(tools_call=echo))
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    text = "x" * 1_500_000
    called = await client.result("tools/call", {"name": "t", "arguments": {"text": text}})
    assert called["content"][0]["text"] == text


async def test_a_client_that_does_not_read_holds_up_its_own_stream_only(
    gateways: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """binding.md M14.4."""
    owner = await gateways.start("g1", FaceDouble(tools_call=echo))
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    call = client.request("tools/call", {"name": "t", "arguments": {"text": "y" * 2_000_000}})
    call.free.clear()
    await eventually(lambda: len(owner.host) == 1)
    hosted = next(iter(owner.host._hosted.values()))
    await eventually(lambda: hosted._sent >= frames.WINDOW_BYTES - other._channel.chunk)
    assert await client.result("ping") == {}
    assert hosted._sent <= frames.WINDOW_BYTES
    call.free.set()
    await call.done()
    assert len(call.events[-1]["result"]["content"][0]["text"]) == 2_000_000


async def test_an_owner_that_is_gone_is_a_session_that_is_not_found(gateways: Any) -> None:
    """binding.md M14.5."""
    owner = await gateways.start("g1")
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    await gateways.links[owner].close()
    answered = await client.request("tools/list").done()
    assert answered.status == 404
    assert "initialize" in answered.json["error"]["message"]
    assert len(other.forwarder) == 0


async def test_an_owner_that_dies_under_a_call_ends_it_with_an_error(gateways: Any) -> None:
    """binding.md M14.5."""

    async def hang(asked: Asked) -> Any:
        await asyncio.Event().wait()

    owner = await gateways.start("g1", FaceDouble(tools_call=hang))
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    call = client.request("tools/call", {"name": "t"})
    await call.until(lambda: call.ids)
    await gateways.links[owner].close()
    await call.done()
    error = call.events[-1]
    assert error["id"] == client._next_id
    assert error["error"]["data"] == {"reason": "session_lost", "delivered": "unknown"}


async def test_an_asker_that_dies_leaves_nothing_at_the_owner(gateways: Any) -> None:
    """binding.md M14.5."""
    clock = FakeClock()
    owner = await gateways.start("g1", clock=clock)
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    await gateways.links[other].close()
    clock.advance(hosting.SILENT_S + 1)
    owner.host.end_silent()
    await eventually(lambda: len(owner.host) == 0)
    assert len(owner.sessions) == 1
    await other.close()
    await stream.done()


async def test_beats_keep_a_quiet_stream(gateways: Any) -> None:
    clocks = FakeClock(), FakeClock()
    owner = await gateways.start("g1", clock=clocks[0])
    other = await gateways.start("g2", clock=clocks[1])
    client = await session_at(owner, other)
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    for _ in range(4):
        for clock in clocks:
            clock.advance(10)
        now = clocks[0].monotonic()
        await eventually(lambda now=now: owner.host._heard_of[other.address] >= now)  # type: ignore[misc]
        await eventually(lambda now=now: other.forwarder._owners[owner.address].heard >= now)  # type: ignore[misc]
        owner.host.end_silent()
    assert not stream.task.done()
    stream.leave()
    await stream.done()


async def test_an_owner_that_is_silent_is_given_up(gateways: Any) -> None:
    clock = FakeClock()
    owner = await gateways.start("g1")
    other = await gateways.start("g2", clock=clock)
    client = await session_at(owner, other)
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    owner._channel.forget(frames.BEAT)
    clock.advance(forwarding.SILENT_S + 1)
    await stream.done()


async def test_an_owner_that_does_not_take_a_request_is_not_waited_for(
    gateways: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "TAKEN_S", 0.02)
    owner = await gateways.start("g1")
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    owner._channel.forget(frames.OPEN)
    assert (await client.request("ping").done()).status == 503


async def test_exchanges_that_the_owner_does_not_have_end(gateways: Any) -> None:
    owner = await gateways.start("g1")
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    owner.host._hosted.clear()  # as if it had lost the frame that says so
    await stream.done()


async def test_a_lost_frame_ends_the_exchange(gateways: Any) -> None:
    """binding.md M14.3."""
    owner = await gateways.start("g1")
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    hosted = next(iter(owner.host._hosted.values()))
    hosted._seq += 1
    hosted.say("body", b"x")
    await stream.done()
    await eventually(lambda: len(owner.host) == 0)


async def test_residency_holds_between_gateways_too(gateways: Any) -> None:
    owner = await gateways.start("g1", region="us")
    other = await gateways.start("g2", region="eu", residency=frozenset({"eu"}))
    client = await session_at(owner, other)
    assert (await client.request("ping").done()).status == 404


async def test_a_broker_that_forbids_it_is_an_owner_that_is_not_there(gateways: Any) -> None:
    owner = await gateways.start("g1")
    other = await gateways.start("g2", publish=["nothing"])
    client = await session_at(owner, other)
    assert (await client.request("ping").done()).status == 404


async def test_without_a_broker_the_client_is_told_to_try_again(gateways: Any) -> None:
    owner = await gateways.start("g1")
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    gateways.broker.cut(gateways.links[other])
    assert (await client.request("ping").done()).status == 503


async def test_a_refused_message_ends_what_is_not_taken_and_nothing_else(
    gateways: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = FaceDouble()
    owner = await gateways.start("g1", face)
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    await eventually(lambda: face.streams)
    link, sent = other._channel._place.link, []
    send = link.send
    monkeypatch.setattr(link, "send", lambda subject, *rest: (sent.append(subject), send(subject, *rest)))
    monkeypatch.setattr(link, "_publish", ())
    assert (await client.request("ping").done()).status == 404
    assert len([subject for subject in sent if subject.endswith(".open")]) == 1
    monkeypatch.undo()
    face.tell("notifications/tools/list_changed")
    await stream.until(lambda: stream.events)
    assert await client.result("ping") == {}
    stream.leave()
    await stream.done()


def test_a_refusal_that_may_be_about_another_exchange_ends_none() -> None:
    address = GatewayAddress("g1", "local", "i1")
    owner = Owner(address, "beat-1", 0.0)
    taken, first, second = (Forwarded(address) for _ in range(3))
    owner.exchanges = {each.exchange: each for each in (taken, first, second)}
    taken.heard(frames.encode(Frame("taken", seq=1)))
    assert taken.came.get_nowait()[0].kind == "taken"
    owner.refused()
    assert [each.came.qsize() for each in (taken, first, second)] == [0, 0, 0]
    second.heard(frames.encode(Frame("taken", seq=1)))
    owner.settle()
    assert (taken.came.qsize(), first.came.get_nowait(), second.came.qsize()) == (0, "refused", 1)


async def test_a_gateway_that_is_closed_hears_of_no_refusal(gateways: Any) -> None:
    gateway = await gateways.start("g1")
    link = gateway._channel._place.link
    heard = len(link._listeners._denied)
    await gateway.close()
    assert len(link._listeners._denied) < heard


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]\n", b'{"exchange":"a.b"}', b'{"exchange":"a","sender":["*","b","c"]}']
)
def test_malformed_messages_are_refused(data: bytes) -> None:
    for kind in (Open, Frame, Beat):
        with pytest.raises(ValueError, match=r".*"):
            frames.decode(data, kind)


async def test_garbage_from_the_bus_does_no_harm(gateways: Any) -> None:
    owner = await gateways.start("g1")
    prefix = owner._channel.subject(owner.address, "")
    link = gateways.broker.link()
    for verb in ("open", "beat", "nonsense"):
        for data in (b"", b"\n", b"{}", b"\xff\xff", b"[" * 100_000):
            link.send(prefix + verb, data)
    await link.fence(1)
    assert len(owner.host) == 0
    await link.close()


@pytest.mark.parametrize("verb", ["open", "beat"])
async def test_an_exchange_takes_no_verb_away(gateways: Any, verb: str) -> None:
    owner = await gateways.start("g1")
    other = await gateways.start("g2")
    link = gateways.broker.link()
    opened = Open(verb, ("g3", "local", "i2"), "POST", "/mcp", [])
    link.send(owner._channel.subject(owner.address, "open"), frames.encode(opened))
    await link.fence(1)
    await eventually(lambda: len(owner.host) == 0)
    client = await session_at(owner, other)
    assert await client.result("ping") == {}
    await link.close()


@pytest.mark.parametrize(
    "pair", [["x", "\u0416"], ["x\r\ny", "z"], ["x", "y\r\nset-cookie: a=b"], ["x", "y\n"]]
)
def test_headers_that_http_has_not_are_refused(pair: list[str]) -> None:
    for kind, head in (
        (Frame, {"kind": "head"}),
        (Open, {"exchange": "e", "sender": ["a", "b", "c"], "method": "GET", "path": "/"}),
    ):
        data = json.dumps({**head, "headers": [pair]}).encode()
        with pytest.raises(ValueError, match=r"matching"):
            frames.decode(data, kind)


async def test_an_owner_that_never_stops_talking_is_given_up(gateways: Any) -> None:
    owner = await gateways.start("g1")
    other = await gateways.start("g2")
    client = await session_at(owner, other)
    stream = client.get()
    await stream.until(lambda: stream.status == 200)
    stream.free.clear()
    hosted = next(iter(owner.host._hosted.values()))
    forwarded = next(iter(next(iter(other.forwarder._owners.values())).exchanges.values()))
    for _ in range(20_000):
        hosted.say("body")
    await eventually(lambda: forwarded._seq > 1)
    assert forwarded.came.qsize() <= MAX_UNREAD + 1
    stream.free.set()
    await stream.done()


async def test_more_body_than_was_announced_is_not_kept(gateways: Any) -> None:
    owner = await gateways.start("g1")
    link = gateways.broker.link()
    opened = Open("e1", ("g2", "local", "i2"), "POST", "/mcp", [], size=1)
    link.send(owner._channel.subject(owner.address, "open"), frames.encode(opened, b"xx"))
    await link.fence(1)
    await eventually(lambda: len(owner.host) == 0 or next(iter(owner.host._hosted.values())).closed.is_set())
    too_large = Open("e2", ("g2", "local", "i2"), "POST", "/mcp", [], size=1 << 40)
    link.send(owner._channel.subject(owner.address, "open"), frames.encode(too_large))
    await link.fence(1)
    assert "e2" not in owner.host._hosted
    await link.close()


async def test_least_privilege_is_enough(gateways: Any) -> None:
    """docs/binding.md 14: what g1 may publish and hear."""
    prefix = "lr.v1.default.local.gw."
    owner = await gateways.start("g1", publish=[prefix + ">"], subscribe=[prefix + "g1.>"])
    other = await gateways.start("g2", publish=[prefix + ">"], subscribe=[prefix + "g2.>"])
    client = await session_at(owner, other)
    assert await client.result("ping") == {}


async def test_a_session_is_its_principals_through_another_gateway_too(gateways: Any) -> None:
    """binding.md M14.6."""
    owner = await gateways.start("g1")
    other = await gateways.start("g2")
    client = await session_at(owner, other, caller="alice")
    assert await client.result("ping") == {}
    for about in ({"caller": "mallory"}, {"caller": None}, {"caller": "alice", "server": "docs"}):
        client.about = about
        assert (await client.request("ping").done()).status == 404
