"""The node's book of calls. Source: docs/binding.md M4.1, M6.2, M6.3, M7.1, M7.2, M7.4, M7.5."""

from __future__ import annotations

import pytest

from longreach.policy.calls import MAX_ENDED, CallBook

SCOPE = "_.alice.c1"
OTHER = "_.bob.c2"


def key(call: str, scope: str = SCOPE) -> str:
    return f"{scope}.{call}"


def arrive(book: CallBook, call: str, now: float = 0.0, *, scope: str = SCOPE, **more) -> str:
    return book.arrived(key(call, scope), scope, now, **{"frames": True, **more})


def test_a_call_is_new_once_while_it_runs_and_for_a_minute_after():  # M2.7
    book = CallBook()
    assert arrive(book, "a") == "new"
    assert arrive(book, "a") == "duplicate"
    book.ended(key("a"), 1.0)
    assert len(book) == 0
    assert arrive(book, "a", 60.9) == "duplicate"
    assert arrive(book, "a", 200.0) == "new"


def test_ending_what_is_not_here_is_nothing():
    book = CallBook()
    book.ended(key("a"), 0.0)
    assert arrive(book, "a") == "new"


def test_cancel_tells_what_is_here_and_leaves_tombstones_for_the_rest():
    book = CallBook()
    arrive(book, "a")
    arrive(book, "b")
    book.ended(key("b"), 0.1)
    assert book.cancel(SCOPE, ["a", "b", "c"], 0.2) == [key("a")]
    assert arrive(book, "c", 0.3) == "tombstoned"
    assert arrive(book, "c", 59.9) == "tombstoned"
    assert book.remembered == (1, 1)  # "b" ended: nothing to be refused


def test_nobody_touches_the_calls_of_another_connection():
    book = CallBook()
    arrive(book, "a")
    assert book.cancel(OTHER, ["a"], 0.0) == []
    assert book.whose(OTHER, ["a"], 0.0) == ([], [])
    assert book.alive(OTHER, ["a"], 0.0) == ["a"]
    assert book.alive(SCOPE, ["a"], 0.0) == []


def test_alive_names_what_is_gone():
    book = CallBook()
    arrive(book, "a")
    arrive(book, "b")
    book.ended(key("b"), 0.1)
    assert book.alive(SCOPE, ["a", "b", "c"], 0.2) == ["b", "c"]
    assert arrive(book, "c", 0.3) == "new"  # to be asked is no promise


def test_whose_tells_here_from_done_and_its_no_is_a_promise():
    book = CallBook()
    arrive(book, "a")
    arrive(book, "b")
    book.ended(key("b"), 0.1)
    assert book.whose(SCOPE, ["a", "b", "c"], 0.2) == (["a"], ["b"])
    assert arrive(book, "c", 0.3) == "tombstoned"


def test_memories_are_bounded_and_the_newest_are_kept():
    book = CallBook(max_remembered=10, max_ended=10)
    for number in range(1000):
        arrive(book, f"a{number}")
        book.ended(key(f"a{number}"), 0.0)
        book.cancel(SCOPE, [f"b{number}"], 0.0)
    assert all(size <= 20 for size in book.remembered)
    assert {arrive(book, f"a{number}") for number in range(990, 1000)} == {"duplicate"}
    assert {arrive(book, f"b{number}") for number in range(990, 1000)} == {"tombstoned"}


def test_accepted_is_due_once_after_250_ms_and_only_for_who_reads_frames():
    book = CallBook()
    arrive(book, "a", 0.0)
    arrive(book, "mute", 0.0, frames=False)
    arrive(book, "fast", 0.05)
    arrive(book, "late", 0.2)
    book.ended(key("fast"), 0.1)
    assert book.due_accepted(0.249) == []
    assert book.due_accepted(0.25) == [key("a")]
    assert book.due_accepted(0.3) == []
    assert book.next_due(0.3) == pytest.approx(0.45)
    assert book.due_accepted(0.45) == [key("late")]


def test_a_tick_at_the_time_that_was_named_finds_something():
    book = CallBook()
    for number in range(200):
        arrive(book, f"a{number}", 100 + number * 0.137)
        due = book.next_due(0.0)
        assert due is not None
        assert book.due_accepted(due) == [key(f"a{number}")]
        book.ended(key(f"a{number}"), due)
    assert book.next_due(0.0) is None


def test_a_silent_caller_loses_its_calls_once_but_not_those_that_keep_running():
    book = CallBook()
    arrive(book, "a", 0.0)
    arrive(book, "keep", 0.0, keep_running=True)
    book.due_accepted(1.0)
    assert book.next_due(1.0) == 16.0
    assert book.silent_calls(15.9) == []
    assert book.silent_calls(16.0) == [key("a")]
    assert book.silent_calls(17.0) == []
    assert book.next_due(17.0) is None


@pytest.mark.parametrize(
    "sign",
    [
        lambda book: book.heard(SCOPE, 10.0),
        lambda book: book.alive(SCOPE, [], 10.0),
        lambda book: book.whose(SCOPE, [], 10.0),
        lambda book: arrive(book, "b", 10.0),
    ],
    ids=["heard", "alive", "whose", "request"],
)
def test_any_sign_of_life_counts(sign):
    book = CallBook()
    arrive(book, "a", 0.0)
    book.due_accepted(1.0)
    sign(book)
    assert book.silent_calls(24.9) == []
    assert book.silent_calls(25.0) == [key("a")]


def test_a_caller_that_comes_back_is_watched_again():
    book = CallBook()
    arrive(book, "a", 0.0)
    book.due_accepted(1.0)
    assert book.silent_calls(16.0) == [key("a")]
    book.heard(SCOPE, 20.0)
    assert book.silent_calls(35.0) == [key("a")]


def test_one_connection_s_silence_is_not_another_s():
    book = CallBook()
    arrive(book, "a", 0.0)
    arrive(book, "a", 0.0, scope=OTHER)
    book.due_accepted(1.0)
    book.heard(OTHER, 10.0)
    assert book.silent_calls(16.0) == [key("a")]


def test_nothing_is_kept_of_connections_whose_calls_have_ended():
    book = CallBook()
    arrive(book, "a", 0.0)
    book.due_accepted(1.0)
    book.ended(key("a"), 2.0)
    assert book.next_due(2.0) is None
    assert book.silent_calls(100.0) == []


def test_one_asker_cannot_make_a_node_forget_what_it_promised_another():
    """M6.2: a "no" to one asker is a promise, whatever others ask meanwhile."""
    book = CallBook(max_remembered=100)
    assert book.whose("_.alice.c", ["1-0-f"], now=1.0) == ([], [])
    for number in range(50):
        book.whose("_.bob.c", [f"{number}x{each}-0-f" for each in range(100)], now=1.0)
    assert book.arrived("_.alice.c.1-0-f", "_.alice.c", 2.0, frames=True) == "tombstoned"


def test_tombstones_are_bounded_in_all_and_whoever_has_the_most_loses_its_oldest():
    """M6.2: each asker keeps its share of all, however many others come."""
    book = CallBook(max_tombstones=1000)
    book.whose("_.victim.c", [f"{number}-0-f" for number in range(10)], now=1.0)
    book.whose("_.greedy.c", [f"{number}-0-f" for number in range(5000)], now=1.0)
    for asker in range(90):
        book.whose(f"_.a{asker}.c", [f"{number}-0-f" for number in range(20)], now=1.0)
        assert book.remembered[1] <= 1000
    assert all(refuses(book, "_.victim.c", f"{number}-0-f") for number in range(10))
    assert refuses(book, "_.greedy.c", "4999-0-f")
    assert not refuses(book, "_.greedy.c", "0-0-f")


def refuses(book: CallBook, scope: str, call: str, now: float = 2.0) -> bool:
    verdict = book.arrived(key(call, scope), scope, now, frames=True)
    if verdict == "new":
        book.forget(key(call, scope))
    return verdict == "tombstoned"


def test_more_askers_than_tombstones_leave_those_that_were_promised_last():
    book = CallBook(max_tombstones=100)
    for asker in range(1000):
        book.whose(f"_.a{asker}.c", ["1-0-f"], now=1.0)
    assert book.remembered[1] == 100
    assert [asker for asker in range(1000) if refuses(book, f"_.a{asker}.c", "1-0-f")] == [*range(900, 1000)]


def test_promises_of_age_are_forgotten_though_their_asker_never_comes_back():
    book = CallBook()
    for asker in range(50):
        book.whose(f"_.a{asker}.c", ["1-0-f", "2-0-f"], now=1.0)
    for number in range(30):
        book.whose("_.late.c", [f"{number}-0-f"], now=500.0)
    assert book.remembered[1] == 30


def test_a_promise_that_is_made_again_is_kept_a_minute_from_then():
    book = CallBook()
    for now in (0.0, 30.0):
        book.whose(SCOPE, ["a"], now)
    assert book.remembered[1] == 1
    assert refuses(book, SCOPE, "a", 89.9)
    assert not refuses(book, SCOPE, "a", 90.1)


@pytest.mark.parametrize("rate", [100, 1_000, 12_000, 39_000])
def test_what_ended_within_five_seconds_is_remembered_at_any_rate(rate):
    """M7.5: at 12,000 calls a second 10,000 calls are less than one second."""
    book = CallBook()
    for number in range(12 * rate):
        now = number / rate
        arrive(book, f"a{number}", now)
        book.ended(key(f"a{number}"), now)
    end = 12.0
    for age_s in (0.1, 1.0, 1.9, 4.9):
        call = f"a{int((end - age_s) * rate)}"
        assert book.whose(SCOPE, [call], end) == ([], [call])
    remembers_s = book.remembers_s(end)
    assert remembers_s is None or remembers_s >= 5.0


def test_how_far_back_everything_is_remembered_is_never_more_than_is_true():
    """M7.5: beyond what fits, a node says since when it remembers."""
    book = CallBook(max_remembered=10, max_ended=100)
    ended: list[tuple[str, float]] = []
    shortest = float("inf")
    for number in range(3000):
        now = number * 0.001 if number < 1500 else number * 0.01
        arrive(book, f"a{number}", now)
        book.ended(key(f"a{number}"), now)
        ended.append((f"a{number}", now))
        remembers_s = book.remembers_s(now)
        if remembers_s is not None and number % 7 == 0:
            shortest = min(shortest, remembers_s)
            within = [call for call, at in ended if at >= now - remembers_s]
            assert CallBook.whose(book, SCOPE, within, now)[1] == within
    assert book.remembered[0] <= 200
    assert 0.09 <= shortest < 5.0


def test_the_calls_that_are_remembered_are_bounded_at_any_rate():
    book = CallBook()
    for number in range(2 * MAX_ENDED + 1000):
        book.arrived(f"_._.c.{number}", SCOPE, 0.0, frames=False)
        book.ended(f"_._.c.{number}", 0.0)
    assert MAX_ENDED <= book.remembered[0] <= 2 * MAX_ENDED
    assert book.remembers_s(0.5) == 0.5


def test_a_node_that_forgot_nothing_remembers_for_as_long_as_it_must():
    book = CallBook()
    assert book.remembers_s(0.0) is None
    for number in range(100):
        arrive(book, f"a{number}", number * 10.0)
        book.ended(key(f"a{number}"), number * 10.0)
        assert book.remembers_s(number * 10.0) is None
