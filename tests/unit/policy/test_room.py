from __future__ import annotations

from longreach.policy.room import MOST_BODIES, RESTING_S, Room


def test_each_asker_has_its_room_and_all_have_theirs():
    """M16.7"""
    room = Room(of_one=10, of_all=15)
    assert room.take("1", "a", 10, 0.0) == []
    assert room.take("2", "a", 1, 0.0) is None
    assert room.take("3", "b", 5, 0.0) == []
    assert room.take("4", "b", 6, 0.0) is None
    assert (room.used, room.held_by("a"), room.held_by("b")) == (15, 10, 5)
    assert room.give("1")
    assert not room.give("1")
    assert room.take("5", "a", 9, 0.0) == []
    for key in ("5", "3"):
        assert room.give(key)
    assert (room.used, len(room)) == (0, 0)


def test_two_who_fetch_nothing_give_way_to_those_who_hold_less():
    """M16.7"""
    room = Room(of_one=128, of_all=256)
    for number in range(4):
        assert room.take(f"idle{number}", "ab"[number // 2], 64, number) == []
    assert room.take("c", "c", 64, 3.0) == ["idle0"]
    assert room.take("d", "d", 64, 3.0) == ["idle2"]
    assert room.take("e", "e", 64, 3.0) is None  # a fifth body as large as all others
    assert room.take("f", "e", 51, 3.0) == ["idle1"]  # its fair share


def test_what_got_on_lately_goes_last_and_only_for_a_fair_share():
    """M16.7"""
    room = Room(of_one=100, of_all=100)
    room.take("old", "a", 30, 0.0)
    room.take("new", "a", 30, 1.0)
    room.take("mid", "a", 30, 2.0)
    room.moved("old", 3.0)
    assert room.rests_since("old") == 3.0
    assert room.take("1", "b", 55, 3.0) is None  # more than half
    assert room.take("2", "b", 45, 3.0) == ["new", "mid"]
    assert room.take("3", "c", 25, 3.0) == []
    room = Room(of_one=100, of_all=100)
    room.take("old", "a", 90, 0.0)
    assert room.take("1", "b", 55, RESTING_S) == ["old"]


def test_a_body_may_turn_out_smaller():
    room = Room(of_one=100, of_all=100)
    room.take("1", "a", 100, 0.0)
    room.shrink("1", 40)
    room.shrink("1", 90)
    assert room.used == 40
    room.give("1")
    assert room.used == 0


def test_there_are_so_many_bodies_at_most_however_small():
    room = Room(of_one=MOST_BODIES * 500, of_all=MOST_BODIES * 1000)
    taken = [room.take(str(number), "a", 1, 0.0) is not None for number in range(MOST_BODIES)]
    assert taken.count(True) == MOST_BODIES // 2
    assert room.take("b", "b", 1, 0.0) == []
