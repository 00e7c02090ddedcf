"""What only the broker in memory has; what both links share is in the conformance tests."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.links import Inbox

from longreach.errors import BrokerUnavailable
from longreach.transport.link import LinkState
from longreach.transport.memory import MemoryBroker, matches


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a", "a", True),
        ("a", "b", False),
        ("a", "a.b", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("*.b", "a.b", True),
        ("a.>", "a", False),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        (">", "a", True),
        ("a*", "ab", False),
        ("*.>", "a", False),
        ("*.>", "a.b", True),
    ],
)
def test_matching(pattern: str, subject: str, expected: bool):
    assert matches(pattern, subject) is expected


_tokens = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=5)


@given(_tokens, st.data())
def test_a_subject_with_tokens_made_wild_still_matches(tokens: list[str], data: st.DataObject):
    subject = ".".join(tokens)
    wild = [data.draw(st.sampled_from([token, "*"])) for token in tokens]
    assert matches(".".join(wild), subject)
    cut = data.draw(st.integers(0, len(tokens) - 1))
    assert matches(".".join([*wild[:cut], ">"]), subject)
    assert not matches(".".join([*wild, ">"]), subject)
    assert not matches(".".join([*wild, "*"]), subject)


async def test_only_the_link_that_is_cut_is_down():
    broker = MemoryBroker()
    cut, other, inbox = broker.link(), broker.link(), Inbox()
    states: list[LinkState] = []
    cut.on_change(states.append)
    cut.subscribe("a", inbox)
    await cut.fence(1)
    broker.cut(cut, "cable")
    broker.cut(cut)
    other.send("a", b"unheard", "re.ply")
    await other.fence(1)
    broker.restore(cut)
    await cut.fence(1)
    other.send("a", b"heard")
    await other.fence(1)
    assert inbox.bodies == [b"heard"]
    assert states == [LinkState("down", "cable"), LinkState("up")]


async def test_what_is_on_its_way_when_the_link_is_cut_is_lost():
    broker = MemoryBroker()
    link, other, inbox = broker.link(), broker.link(), Inbox()
    other.subscribe("a", inbox)
    await other.fence(1)
    link.send("a", b"ghost")
    broker.cut(link)
    broker.restore(link)
    await link.fence(1)
    await other.fence(1)
    assert inbox.bodies == []


async def test_a_fence_fails_when_the_link_is_cut():
    broker = MemoryBroker()
    link = broker.link()
    fence = asyncio.get_running_loop().create_task(link.fence(5))
    await asyncio.sleep(0)
    broker.cut(link)
    with pytest.raises(BrokerUnavailable, match="cut"):
        await fence


async def test_dropping_messages_until_told_otherwise():
    broker = MemoryBroker()
    link, inbox = broker.link(), Inbox()
    link.subscribe("a", inbox)
    stop = broker.drop(lambda message: message.data == b"1")
    for body in (b"1", b"2"):
        link.send("a", body)
    await link.fence(1)
    stop()
    link.send("a", b"1")
    await link.fence(1)
    assert inbox.bodies == [b"2", b"1"]


async def test_a_dropped_request_gets_no_503():
    broker = MemoryBroker()
    link, inbox = broker.link(), Inbox()
    link.subscribe("in.*", inbox)
    broker.drop(lambda message: message.subject == "tool")
    link.send("tool", b"", "in.1")
    await link.fence(1)
    assert inbox.messages == []


async def test_round_robin_takes_turns():
    broker = MemoryBroker(balance="round_robin")
    link, inboxes = broker.link(), [Inbox(), Inbox()]
    for inbox in inboxes:
        link.subscribe("a", inbox, "q")
    for number in range(4):
        link.send("a", b"%d" % number)
    await link.fence(1)
    assert [inbox.bodies for inbox in inboxes] == [[b"0", b"2"], [b"1", b"3"]]


async def test_a_seed_makes_the_choice_repeatable():
    async def shares(seed: int) -> list[list[bytes]]:
        broker = MemoryBroker(seed=seed)
        link, inboxes = broker.link(), [Inbox(), Inbox()]
        for inbox in inboxes:
            link.subscribe("a", inbox, "q")
        for number in range(20):
            link.send("a", b"%d" % number)
        await link.fence(1)
        return [inbox.bodies for inbox in inboxes]

    assert await shares(7) == await shares(7)
    assert await shares(7) != await shares(8)


async def test_no_responders_is_told_to_the_sender_only():
    broker = MemoryBroker()
    sender, other, mine, theirs = broker.link(), broker.link(), Inbox(), Inbox()
    sender.subscribe("in.*", mine)
    other.subscribe("in.*", theirs)
    await other.fence(1)
    sender.send("nobody", b"", "in.1")
    await sender.fence(1)
    await other.fence(1)
    assert len(mine.messages) == 1
    assert theirs.messages == []
