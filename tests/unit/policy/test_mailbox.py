"""Calls that wait take turns by caller, and the flood is what overflows."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from longreach.policy.mailbox import Mailbox


class Item(NamedTuple):
    key: str
    deadline: float = 100.0


def fill(mailbox: Mailbox[Item], owner: str, count: int) -> None:
    for number in range(count):
        assert mailbox.put(owner, Item(f"{owner}{number}")) is None


def taken(mailbox: Mailbox[Item]) -> list[str]:
    return [mailbox.take().key for _ in range(len(mailbox))]


def test_callers_take_turns_and_each_one_s_calls_keep_their_order():
    mailbox: Mailbox[Item] = Mailbox(10)
    fill(mailbox, "a", 4)
    fill(mailbox, "b", 2)
    fill(mailbox, "c", 1)
    assert taken(mailbox) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_who_comes_back_is_behind_those_who_wait():
    mailbox: Mailbox[Item] = Mailbox(10)
    fill(mailbox, "a", 3)
    fill(mailbox, "b", 1)
    assert [mailbox.take().key, mailbox.take().key] == ["a0", "b0"]
    mailbox.put("b", Item("b1"))
    assert taken(mailbox) == ["a1", "b1", "a2"]


def test_the_newest_of_the_longest_queue_gives_way():
    mailbox: Mailbox[Item] = Mailbox(4)
    fill(mailbox, "flood", 4)
    refused = mailbox.put("b", Item("b0"))
    assert refused is not None
    assert refused.key == "flood3"
    refused = mailbox.put("b", Item("b1"))
    assert refused is not None
    assert refused.key == "flood2"
    refused = mailbox.put("b", Item("b2"))
    assert refused is not None
    assert refused.key == "b2"  # flood1 in its place would be no fairer
    assert taken(mailbox) == ["flood0", "b0", "flood1", "b1"]


def test_a_flood_is_refused_by_its_own_queue():
    mailbox: Mailbox[Item] = Mailbox(4)
    fill(mailbox, "a", 1)
    fill(mailbox, "flood", 3)
    more = Item("more")
    assert mailbox.put("flood", more) is more
    assert taken(mailbox) == ["a0", "flood0", "flood1", "flood2"]


def test_without_room_for_anybody_everybody_is_refused():
    mailbox: Mailbox[Item] = Mailbox(0)
    item = Item("x")
    assert mailbox.is_full
    assert mailbox.put("a", item) is item


def test_what_is_taken_out_loses_its_place():
    mailbox: Mailbox[Item] = Mailbox(4)
    fill(mailbox, "a", 2)
    removed = mailbox.remove("a0")
    assert removed is not None
    assert mailbox.remove("a0") is None
    assert taken(mailbox) == ["a1"]
    assert not mailbox.owners


def test_who_has_waited_longest_is_known_for_each_caller():
    mailbox: Mailbox[Item] = Mailbox(4)
    fill(mailbox, "a", 2)
    assert mailbox.oldest("a") == Item("a0")
    assert mailbox.oldest("b") is None


def test_what_has_expired_is_dropped_and_only_that():
    mailbox: Mailbox[Item] = Mailbox(4)
    for number, deadline in enumerate((5.0, 1.0, 9.0)):
        mailbox.put("a", Item(f"a{number}", deadline))
    assert mailbox.drop_expired(0.5) == []
    assert [item.key for item in mailbox.drop_expired(5.0)] == ["a0", "a1"]
    assert mailbox.drop_expired(6.0) == []
    assert taken(mailbox) == ["a2"]


@pytest.mark.parametrize(
    ("owner", "ahead"),
    [("new", 2), ("few", 4), ("many", 6)],  # its turn; its second turn; all of them
)
def test_how_many_come_before_a_further_one(owner: str, ahead: int):
    mailbox: Mailbox[Item] = Mailbox(10)
    fill(mailbox, "many", 5)
    fill(mailbox, "few", 1)
    assert mailbox.ahead(owner) == ahead


def test_who_had_half_of_the_turns_lately_waits_for_as_many_of_others():
    mailbox: Mailbox[Item] = Mailbox(100)
    fill(mailbox, "flood", 50)
    for number in range(10):
        mailbox.put("polite", Item(f"p{number}"))
        assert {mailbox.take().key[0], mailbox.take().key[0]} == {"f", "p"}
    assert len(mailbox) == 40
    assert mailbox.ahead("flood") == 81
    assert mailbox.ahead("polite") == 1
