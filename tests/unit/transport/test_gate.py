from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.links import Inbox

from longreach.clock import FakeClock
from longreach.transport import _gate
from longreach.transport._gate import Gate
from longreach.transport.link import Headers, Sink, Subscription
from longreach.turns import BUDGET_S, Drain


@pytest.fixture(autouse=True, scope="module")
def a_clock_that_stands_still() -> Iterator[None]:
    """So that no slice ends where a test has no event loop to come back through."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_gate, "Drain", lambda step: Drain(step, FakeClock().monotonic))
        yield


def _gated(queue: str = "") -> tuple[Gate, Inbox, Sink, Sink]:
    inbox = Inbox()
    gate = Gate(lambda: None)
    return gate, inbox, *gate.behind(Subscription(1, "a", queue, inbox))


def test_what_comes_through_both_is_delivered_once_whichever_was_first():
    gate, inbox, old, new = _gated()
    old("a", "", b"1", None)
    new("a", "", b"1", None)
    new("a", "", b"2", None)
    old("a", "", b"2", None)
    gate.open()
    assert inbox.bodies == [b"1", b"2"]


def test_what_only_the_new_one_was_sent_waits_for_the_old_ones_last():
    gate, inbox, old, new = _gated()
    new("a", "", b"2", None)
    assert inbox.bodies == []
    old("a", "", b"1", None)
    gate.open()
    new("a", "", b"3", None)
    assert inbox.bodies == [b"1", b"2", b"3"]


def test_equal_messages_are_counted():
    gate, inbox, old, new = _gated()
    for _ in range(3):
        old("a", "", b"same", None)
    for _ in range(4):
        new("a", "", b"same", None)
    gate.open()
    assert inbox.bodies == [b"same"] * 4


def test_a_copy_that_comes_after_the_old_ones_last_is_dropped():
    gate, inbox, old, new = _gated()
    gate.turn()
    old("a", "", b"1", None)
    gate.open()
    new("a", "", b"1", None)
    new("a", "", b"1", None)
    assert inbox.bodies == [b"1", b"1"]


def test_what_the_broker_says_to_one_connection_passes():
    _, inbox, old, new = _gated()
    new("a", "", b"", {"Status": "503"})
    old("a", "", b"", {"Status": "503"})
    assert len(inbox.messages) == 2


def test_headers_and_replies_tell_messages_apart():
    gate, inbox, old, new = _gated()
    old("a", "", b"1", {"Lr": "one"})
    new("a", "", b"1", {"Lr": "two"})
    new("a", "r", b"1", {"Lr": "one"})
    gate.open()
    assert len(inbox.messages) == 3


def test_queue_groups_pass():
    _, inbox, old, new = _gated("crew")
    old("a", "", b"1", None)
    new("a", "", b"1", None)
    assert inbox.bodies == [b"1", b"1"]


def test_one_subscription_can_be_handed_over_alone():
    gate, first, _, new = _gated()
    second = Inbox()
    _, other = gate.behind(Subscription(2, "b", "", second))
    new("a", "", b"1", None)
    other("b", "", b"2", None)
    gate.hand_over(1, lambda: None)
    assert (first.bodies, second.bodies) == ([b"1"], [])
    gate.open()
    assert (first.bodies, second.bodies) == ([b"1"], [b"2"])


def test_what_the_new_one_missed_is_counted_by_generation():
    gate, _, old, new = _gated()
    old("a", "", b"before", None)
    gate.turn()
    old("a", "", b"1", None)
    old("a", "", b"2", None)
    new("a", "", b"1", None)
    gate.turn()
    old("a", "", b"fresh", None)
    assert gate.missed(1) == 1
    new("a", "", b"2", None)
    assert gate.missed(1) == 0


@pytest.mark.parametrize("through_old", [True, False])
def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch, through_old: bool):
    monkeypatch.setattr(_gate, "MAX_HELD_BYTES", 10_000)
    monkeypatch.setattr(_gate, "MAX_SEEN", 30)
    told: list[bool] = []
    gate = Gate(lambda: told.append(True))
    old, new = gate.behind(Subscription(1, "a", "", Inbox()))
    for number in range(100):
        (old if through_old else new)("a", "", b"%d" % number, None)
    assert told == [True]


@given(st.lists(st.sampled_from([b"1", b"2", b"3"]), max_size=12), st.data())
def test_nothing_is_lost_doubled_or_reordered(bodies: list[bytes], data: st.DataObject):
    """One publisher's messages: the old connection brings all but the last, the new one all but the first."""
    size = len(bodies)
    starts = data.draw(st.integers(0, size))
    ends = data.draw(st.integers(starts, size))
    gate, inbox, old, new = _gated()
    through_old, through_new = bodies[:ends], bodies[starts:]
    while through_old or through_new:
        from_old = through_old and (not through_new or data.draw(st.booleans()))
        if from_old:
            old("a", "", through_old.pop(0), None)
            if not through_old:
                gate.open()
        else:
            new("a", "", through_new.pop(0), None)
    if not ends:
        gate.open()
    before = set(bodies[:starts]) & set(bodies[ends:])
    if not before:  # equal ones before the first and after the last copy cannot be told from copies
        assert inbox.bodies == bodies


async def test_what_is_held_is_handed_over_in_slices_and_what_comes_meanwhile_goes_behind_it(
    monkeypatch: pytest.MonkeyPatch,
):
    clock = FakeClock()
    monkeypatch.setattr(_gate, "Drain", lambda step: Drain(step, clock.monotonic))
    inbox = Inbox()

    def slow(subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        clock.advance(BUDGET_S / 2)
        inbox(subject, reply, data, headers)

    gate = Gate(lambda: None)
    _, new = gate.behind(Subscription(1, "a", "", slow))
    for number in range(10):
        new("a", "", b"%d" % number, None)
    gate.open()
    assert inbox.bodies == [b"0", b"1"]
    new("a", "", b"late", None)
    assert inbox.bodies == [b"0", b"1", b"2"]
    await gate.opened()
    new("a", "", b"last", None)
    assert inbox.bodies == [*(b"%d" % number for number in range(10)), b"late", b"last"]


async def test_a_subscription_that_ends_gets_what_is_held_in_slices_before_it_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
):
    clock = FakeClock()
    monkeypatch.setattr(_gate, "Drain", lambda step: Drain(step, clock.monotonic))
    log: list[bytes] = []

    def slow(subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        clock.advance(BUDGET_S / 2)
        log.append(data)

    gate = Gate(lambda: None)
    _, new = gate.behind(Subscription(1, "a", "", slow))
    for number in range(6):
        new("a", "", b"%d" % number, None)
    gate.hand_over(1, lambda: log.append(b"forgotten"))
    assert log == [b"0", b"1"]
    await gate.opened()
    assert log == [*(b"%d" % number for number in range(6)), b"forgotten"]


async def test_a_move_that_is_broken_off_hands_over_at_once():
    gate, inbox, _, new = _gated()
    for number in range(1000):
        new("a", "", b"%d" % number, None)
    gate.open_at_once()
    assert inbox.bodies == [b"%d" % number for number in range(1000)]
