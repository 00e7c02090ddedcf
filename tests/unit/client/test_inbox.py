from __future__ import annotations

import asyncio

import pytest

from longreach.client.inbox import Answer, Inbox
from longreach.errors import BrokerUnavailable
from longreach.transport.memory import MemoryBroker
from longreach.wire.callid import parse_call


@pytest.fixture
async def inbox(broker: MemoryBroker) -> Inbox:
    inbox = Inbox(broker.link(), "ns", "_", "alice", ["*"])
    inbox.open()
    await inbox._link.fence(1)
    return inbox


async def send(
    broker: MemoryBroker, inbox: Inbox, token: str, data: bytes, region: str = "eu", **headers: str
):
    link = broker.link()
    link.send(inbox.reply_subject(region, token), data, headers=headers or None)
    await link.fence(1)
    await inbox._link.fence(1)
    await link.close()


async def test_tokens_are_the_bindings_and_never_the_same(inbox: Inbox):
    """M2.2, M2.3: at least 128 random bits in the connection; an id of its own for each."""
    tokens = [inbox.new_token(deadline) for deadline in (0, 1, 1_800_000_000_000)]
    parsed = [parse_call(token) for token in tokens]
    assert [token is not None and token.deadline_ms for token in parsed] == [0, 1, 1_800_000_000_000]
    assert all(token is not None and token.frames for token in parsed)
    assert len({token.id for token in parsed if token is not None}) == 3
    assert len(inbox.connection) >= 32


async def test_one_answer_from_any_region_reaches_its_waiter(broker: MemoryBroker, inbox: Inbox):
    token = inbox.new_token(0)
    waiter = inbox.expect(token)
    await send(broker, inbox, token, b"first", "us")
    await send(broker, inbox, token, b"second")
    assert await waiter.future == b"first"
    assert len(inbox) == 0


async def test_the_brokers_503_is_no_answer_but_an_empty_body_is_one(broker: MemoryBroker, inbox: Inbox):
    for headers, expected in [({"Status": "503"}, None), ({"Other": "x"}, b""), ({}, b"")]:
        token = inbox.new_token(0)
        waiter = inbox.expect(token)
        await send(broker, inbox, token, b"", **headers)
        assert await waiter.future == expected


async def test_frames_do_not_answer(broker: MemoryBroker, inbox: Inbox):
    """M4.3"""
    token = inbox.new_token(0)
    waiter = inbox.expect(token)
    await send(broker, inbox, token, b"{}", Lr="accepted")
    await send(broker, inbox, token, b"{}", Lr="later", Status="503")
    assert not waiter.future.done()
    assert len(inbox) == 1


async def test_a_gathering_gets_every_answer_until_it_is_forgotten(broker: MemoryBroker, inbox: Inbox):
    got: list[Answer] = []
    token = inbox.new_token(0)
    inbox.gather(token, got.append)
    await send(broker, inbox, token, b"1")
    await send(broker, inbox, token, b"", Status="503")
    await send(broker, inbox, token, b"x", Lr="note")
    inbox.forget(token)
    await send(broker, inbox, token, b"2")
    assert got == [b"1", None]


async def test_a_gathering_that_raises_gets_the_next_answer_all_the_same(broker: MemoryBroker, inbox: Inbox):
    got: list[Answer] = []

    def take(answer: Answer) -> None:
        got.append(answer)
        raise RuntimeError("mine")

    token = inbox.new_token(0)
    inbox.gather(token, take)
    for _ in range(2):
        await send(broker, inbox, token, b"x")
    assert len(got) == 2


async def test_answers_to_nobody_and_to_cancelled_waiters_hurt_nobody(broker: MemoryBroker, inbox: Inbox):
    token = inbox.new_token(0)
    waiter = inbox.expect(token)
    waiter.future.cancel()
    await send(broker, inbox, token, b"x")
    await send(broker, inbox, "nobody", b"x")
    assert len(inbox) == 0


async def test_closing_gives_up_what_waits_and_hears_no_more(broker: MemoryBroker, inbox: Inbox):
    waiter, late = inbox.expect("1-0-f"), inbox.expect("2-0-f")
    late.future.set_result(b"came in time")
    inbox.gather("3-0-f", pytest.fail)
    inbox.close()
    with pytest.raises(BrokerUnavailable):
        await waiter.future
    assert await late.future == b"came in time"
    await send(broker, inbox, "3-0-f", b"x")


async def test_answers_are_heard_in_the_regions_it_may_use_only(broker: MemoryBroker):
    inbox = Inbox(broker.link(), "ns", "_", "alice", ["eu", "us"])
    inbox.open()
    await inbox._link.fence(1)
    for region, heard in (("eu", True), ("us", True), ("ap", False)):
        token = inbox.new_token(0)
        waiter = inbox.expect(token)
        await send(broker, inbox, token, b"x", region)
        await asyncio.sleep(0)
        assert waiter.future.done() is heard
