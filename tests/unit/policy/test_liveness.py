"""The rules of silence, one by one. Source: design idea 4; docs/binding.md M7.1 to M7.3."""

from __future__ import annotations

import pytest

from longreach.policy.liveness import AskAlive, AskWhose, Config, Liveness, Lost, NodeId
from longreach.wire.frames import MAX_CALLS_PER_ASK

A, B = NodeId("eu", "n", "a"), NodeId("eu", "n", "b")
BOTH = frozenset({A, B})
WHOSE_AT = 0.35
"""250 ms, and the slack."""


def new(*nodes: NodeId) -> Liveness:
    liveness = Liveness()
    liveness.instances("docs", "eu", frozenset(nodes))
    return liveness


def send(liveness: Liveness, *calls: str, now: float = 0.0) -> None:
    for call in calls:
        liveness.sent(call, "docs", "eu", now)


def accepted(liveness: Liveness, *calls: str, node: NodeId = A) -> None:
    send(liveness, *calls)
    for call in calls:
        liveness.accepted(call, node, 0.25)


def until(liveness: Liveness, end: float, now: float = 0.0) -> list[tuple[float, object]]:
    """Tick when it is asked for, answer nothing, until `end`; what came of it and when."""
    found: list[tuple[float, object]] = []
    while (due := liveness.next_tick(now)) is not None and due <= end:
        now = max(due, now)
        found += [(round(now, 6), action) for action in liveness.tick(now)]
    return found


def probes(actions: list, node: NodeId) -> list[int]:
    return [action.probe for action in actions if isinstance(action, AskAlive) and action.node == node]


def losses(actions: list) -> list[tuple[str, str, str]]:
    return [(a.call, a.delivered, a.reason) for a in actions if isinstance(a, Lost) and a.call]


# Young calls


def test_nothing_to_watch_needs_no_tick():
    assert new(A).next_tick(0.0) is None


def test_fast_calls_cost_no_question():
    liveness = new(A)
    send(liveness, "x", "y")
    assert liveness.next_tick(0.0) == pytest.approx(WHOSE_AT)
    liveness.ended("x")
    liveness.ended("y")
    assert len(liveness) == 0
    assert liveness.next_tick(0.1) is None
    assert liveness.tick(0.4) == []


def test_next_tick_is_that_of_the_oldest_call_that_is_left():
    liveness = new(A)
    send(liveness, "x")
    send(liveness, "y", now=0.2)
    liveness.ended("x")
    assert liveness.next_tick(0.2) == pytest.approx(0.2 + WHOSE_AT)


# Calls that a node has accepted


def test_their_node_is_asked_every_half_second_in_one_message():
    liveness = new(A)
    accepted(liveness, "x", "y")
    for turn in (0.75, 1.25, 1.75):
        assert liveness.next_tick(0.3) == pytest.approx(turn)
        (question,) = liveness.tick(turn)
        assert question == AskAlive(question.probe, A, ("x", "y"))
        liveness.alive_reply(A, [], turn, probe=question.probe)


def test_a_message_names_no_more_calls_than_a_node_reads():
    liveness = new(A)
    accepted(liveness, *(f"c{number}" for number in range(MAX_CALLS_PER_ASK + 1)))
    assert [len(question.calls) for question in liveness.tick(0.75)] == [MAX_CALLS_PER_ASK, 1]


def test_what_is_gone_is_waited_for_half_a_second_and_lost_and_nothing_else():
    """The answer may come behind that word; so it is with "done", too."""
    liveness = new(A)
    accepted(liveness, "x", "y", "z")
    (question,) = liveness.tick(0.75)
    liveness.alive_reply(A, ["x", "x", "z", "never-heard-of"], 0.76, probe=question.probe)
    assert losses(liveness.tick(0.76)) == []
    liveness.ended("z")
    (question,) = liveness.tick(1.25)
    liveness.alive_reply(A, ["x"], 1.255, probe=question.probe)
    assert liveness.next_tick(1.255) == 1.26
    assert losses(liveness.tick(1.26)) == [("x", "unknown", "gone")]
    assert len(liveness) == 1


def test_a_pause_of_our_own_link_begins_the_wait_for_what_is_gone_anew():
    liveness = new(A)
    accepted(liveness, "x")
    liveness.alive_reply(A, ["x"], 0.76, probe=1)
    liveness.link_lost(0.8)
    liveness.link_back(9.0)
    assert losses(liveness.tick(9.0)) == []
    assert losses(liveness.tick(9.5)) == [("x", "unknown", "gone")]


def test_a_call_that_is_accepted_again_is_not_gone():
    liveness = new(A)
    accepted(liveness, "x")
    liveness.alive_reply(A, ["x"], 0.76, probe=1)
    liveness.accepted("x", A, 0.9)
    assert losses(liveness.tick(1.3)) == []


def test_a_node_cannot_give_up_the_calls_of_another():
    liveness = new(A, B)
    accepted(liveness, "x")
    liveness.alive_reply(B, ["x"], 0.3, probe=99)
    assert liveness.tick(0.3) == []


def test_an_answer_that_comes_before_the_loss_is_told_wins():
    liveness = new(A)
    accepted(liveness, "x")
    (question,) = liveness.tick(0.75)
    liveness.alive_reply(A, ["x"], 0.76, probe=question.probe)
    liveness.ended("x")
    assert liveness.tick(0.77) == []


def test_a_late_accepted_of_a_call_that_has_ended_is_nothing():
    liveness = new(A)
    send(liveness, "x")
    liveness.ended("x")
    liveness.accepted("x", A, 0.3)
    assert liveness.next_tick(0.3) is None


# Death


def test_two_503_apart_are_death_found_within_300_ms_of_the_first():
    liveness = new(A)
    accepted(liveness, "x", "y")
    (first,) = probes(liveness.tick(0.75), A)
    liveness.no_responders(first, 0.751)
    assert liveness.next_tick(0.751) == pytest.approx(1.051)
    (second,) = probes(liveness.tick(1.051), A)
    liveness.no_responders(second, 1.052)
    actions = liveness.tick(1.052)
    assert losses(actions) == [("x", "unknown", "node_died"), ("y", "unknown", "node_died")]
    assert Lost("", "unknown", "node_died", A) in actions
    assert liveness.next_tick(1.06) is None


def test_one_503_and_an_answer_is_a_reconnect():
    liveness = new(A)
    accepted(liveness, "x")
    for turn in (0.75, 1.55, 2.35):
        liveness.no_responders(probes(liveness.tick(turn), A)[0], turn)
        (question,) = probes(liveness.tick(turn + 0.3), A)
        liveness.alive_reply(A, [], turn + 0.3, probe=question)
    assert losses(liveness.tick(2.66)) == []


def test_two_503_at_the_same_moment_are_one():
    liveness = new(A)
    accepted(liveness, *(f"c{number}" for number in range(MAX_CALLS_PER_ASK + 1)))
    for probe in probes(liveness.tick(0.75), A):
        liveness.no_responders(probe, 0.751)
    assert liveness.tick(0.76) == []


def test_questions_that_waited_in_a_buffer_are_answered_together_and_prove_nothing():
    liveness = new(A)
    accepted(liveness, "x")
    first, second = probes(liveness.tick(0.75), A), probes(liveness.tick(1.25), A)
    for probe in first + second:
        liveness.no_responders(probe, 1.3)
    assert losses(liveness.tick(1.31)) == []


def test_a_question_that_died_with_its_node_does_not_make_it_look_stuck():
    """The node took the first question with it, and we ask the next one late: it is still found dead."""
    liveness = new(A)
    accepted(liveness, "x")
    assert len(probes(liveness.tick(0.75), A)) == 1
    (second,) = probes(liveness.tick(1.45), A)
    liveness.no_responders(second, 1.46)
    (third,) = probes(liveness.tick(1.77), A)
    liveness.no_responders(third, 1.78)
    assert losses(liveness.tick(1.78)) == [("x", "unknown", "node_died")]


def test_a_503_for_a_question_that_nobody_asked_is_ignored():
    liveness = new(A)
    accepted(liveness, "x")
    liveness.no_responders(12345, 0.3)
    liveness.no_responders(12345, 0.9)
    assert losses(liveness.tick(0.9)) == []


# Stuck


def test_a_silent_node_is_waited_for_and_no_longer():
    liveness = new(A)
    accepted(liveness, "x")
    found = until(liveness, 60.0)
    assert losses([action for _, action in found]) == [("x", "unknown", "node_stuck")]
    assert found[-1][0] == pytest.approx(5.25)  # last heard at 0.25


def test_a_503_after_silence_shortens_nothing():
    liveness = new(A)
    accepted(liveness, "x")
    now, lost_at = 0.0, None
    while lost_at is None:
        now = liveness.next_tick(now)
        for action in liveness.tick(now):
            if isinstance(action, Lost) and action.call:
                assert action.reason == "node_stuck"
                lost_at = now
            elif isinstance(action, AskAlive) and now > 2.0:
                liveness.no_responders(action.probe, now)  # the broker has given up on it
    assert lost_at == pytest.approx(5.25)


def test_a_node_that_wakes_up_in_time_keeps_its_calls():
    liveness = new(A)
    accepted(liveness, "x")
    until(liveness, 5.0)
    liveness.heard(A, 5.1)
    assert losses([action for _, action in until(liveness, 10.0, 5.1)]) == []


# Calls that nobody has accepted


def test_all_instances_are_asked_together_and_who_is_quiet_is_asked_for_life():
    liveness = new(A, B)
    send(liveness, "x", "y")
    liveness.tick(WHOSE_AT - 0.001)
    whose, *alive = liveness.tick(WHOSE_AT)
    assert whose == AskWhose(whose.probe, "docs", "eu", ("x", "y"))
    assert {(question.node, question.calls) for question in alive} == {(A, ()), (B, ())}


def test_who_answers_whose_is_not_asked_for_life_too():
    liveness = new(A)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    liveness.heard(A, WHOSE_AT)
    found = [action for _, action in until(liveness, 0.84, WHOSE_AT)]
    assert probes(found, A) == []


def test_however_many_calls_are_searched_for_the_questions_are_few():
    liveness = new(A)
    asked = []
    for step in range(300):
        now = step * 0.01
        send(liveness, f"c{step}", now=now)
        asked += [now for action in liveness.tick(now) if isinstance(action, AskWhose)]
        liveness.heard(A, now)
        if step % 50 == 49:  # nobody searches for these any more, and for others soon
            for earlier in range(step + 1):
                liveness.ended(f"c{earlier}")
    assert 5 <= len(asked) <= 36  # a full round each 0.5 s, those that joined since each 0.1 s


def test_have_is_as_good_as_accepted():
    liveness = new(A, B)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    liveness.whose_reply(A, ["x"], [], ["x"], 0.36)
    liveness.whose_reply(B, [], [], ["x"], 0.36)
    found = [action for _, action in until(liveness, 0.9, 0.36)]
    assert [action for action in found if not isinstance(action, AskAlive)] == []
    assert AskAlive(probes(found, A)[-1], A, ("x",)) in found


def test_everybody_says_no_where_joins_are_not_heard():
    """M7.7: somebody who joined since the last question may have it."""
    liveness = Liveness(Config(hears_joins=False))
    liveness.instances("docs", "eu", BOTH)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    for node in (A, B):
        liveness.whose_reply(node, [], [], ["x"], 0.36)
    assert losses(liveness.tick(0.37)) == [("x", "unknown", "nobody_has_it")]


@pytest.mark.parametrize(
    ("places", "ending"),
    [
        ([("docs", "eu")], ("unknown", "nobody_has_it")),
        ([("docs", "us"), ("other", "eu")], ("no", "not_here")),
        ([(f"s{number}", "eu") for number in range(1001)], ("unknown", "nobody_has_it")),
    ],
)
def test_everybody_says_no_where_an_announcement_was_ignored(
    places: list[tuple[str, str]], ending: tuple[str, str]
):
    """M7.7: its node may have the call, and is never asked."""
    liveness = new(A, B)
    for place in places:
        liveness.partly_known(*place)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    for node in (A, B):
        liveness.whose_reply(node, [], [], ["x"], 0.36)
    assert losses(liveness.tick(0.37)) == [("x", *ending)]


def test_everybody_says_no():
    liveness = new(A, B)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 0.36)
    assert losses(liveness.tick(0.36)) == []
    liveness.whose_reply(B, [], [], ["x"], 0.37)
    assert liveness.next_tick(0.37) == 0.37
    assert losses(liveness.tick(0.37)) == [("x", "no", "not_here")]


def test_no_about_an_old_call_is_no_proof():
    """Nodes remember ended calls in bounded memory."""
    liveness = new(A)
    send(liveness, "x")
    liveness.link_lost(0.1)
    liveness.link_back(30.0)
    liveness.tick(30.0)
    liveness.whose_reply(A, [], [], ["x"], 30.01)
    assert losses(liveness.tick(30.01)) == [("x", "unknown", "gone")]


@pytest.mark.parametrize(("remembers_s", "delivered"), [(0.3, "unknown"), (0.4, "no")])
def test_no_about_a_call_older_than_the_node_s_memory_is_no_proof(remembers_s: float, delivered: str):
    """M7.5: a node that ends very many calls says how far back it remembers them."""
    liveness = new(A, B)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 0.36, remembers_s=remembers_s)
    liveness.whose_reply(B, [], [], ["x"], 0.36)
    assert [(call, how) for call, how, _ in losses(liveness.tick(0.36))] == [("x", delivered)]


def test_a_no_that_was_a_proof_stays_one_when_the_node_is_asked_again():
    """It has promised by then; what it forgets later is no matter."""
    liveness = new(A, B)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 0.36, remembers_s=5.0)
    liveness.whose_reply(A, [], [], ["x"], 0.9, remembers_s=0.1)
    liveness.whose_reply(B, [], [], ["x"], 0.9)
    assert losses(liveness.tick(0.9)) == [("x", "no", "not_here")]


def test_done_is_waited_for_half_a_second():
    liveness = new(A)
    send(liveness, "x", "y")
    liveness.tick(WHOSE_AT)
    liveness.whose_reply(A, [], ["x", "y"], ["x", "y"], 0.36)
    liveness.ended("y")
    found = until(liveness, 2.0, 0.36)
    assert losses([action for _, action in found]) == [("x", "unknown", "gone")]
    assert 0.86 <= next(at for at, action in found if isinstance(action, Lost)) <= 1.36


def test_no_and_a_death_after_the_call_was_sent_is_unknown():
    liveness = new(A, B)
    send(liveness, "x")
    actions = liveness.tick(WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 0.36)
    liveness.no_responders(probes(actions, B)[0], 0.36)
    (second,) = probes(liveness.tick(0.66), B)
    liveness.no_responders(second, 0.67)
    assert losses(liveness.tick(0.67)) == [("x", "unknown", "node_died")]


def die(liveness: Liveness, node: NodeId, now: float) -> None:
    for at in (now, now + 0.3):
        (probe,) = probes(liveness.tick(at), node)
        liveness.no_responders(probe, at)


def test_a_death_before_the_call_was_sent_does_not_matter():
    liveness = new(A, B)
    liveness.accepted("z", B, 0.0)
    send(liveness, "z")
    liveness.accepted("z", B, 0.0)
    die(liveness, B, 0.5)
    liveness.instances("docs", "eu", frozenset({A}))
    liveness.tick(0.9)
    send(liveness, "x", now=1.0)
    liveness.tick(1.0 + WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 1.36)
    assert losses(liveness.tick(1.36)) == [("x", "no", "not_here")]


def test_a_node_that_died_and_is_heard_again_may_have_calls():
    liveness = new(A, B)
    send(liveness, "z")
    liveness.accepted("z", B, 0.0)
    die(liveness, B, 0.5)
    liveness.tick(0.9)
    liveness.heard(B, 0.95)
    send(liveness, "x", now=1.0)
    liveness.tick(1.0 + WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 1.36)
    assert losses(liveness.tick(1.36)) == []


def test_a_no_and_a_stuck_node_is_unknown_and_takes_as_long_as_stuck():
    liveness = new(A, B)
    send(liveness, "x")
    now, lost = 0.0, []
    while not lost:
        now = liveness.next_tick(now)
        for action in liveness.tick(now):
            if isinstance(action, AskWhose):
                liveness.whose_reply(A, [], [], action.calls, now)
            elif isinstance(action, Lost):
                lost.append(action)
    assert lost == [Lost("x", "unknown", "node_stuck", B)]
    assert now == pytest.approx(WHOSE_AT + 5.0, abs=0.51)


def test_nobody_known_is_lost_after_two_rounds_of_its_own():
    liveness = new()
    send(liveness, "x")
    found = until(liveness, 1.0)
    send(liveness, "y", now=1.0)
    found += until(liveness, 9.0, 1.0)
    lost = [(at, action.call) for at, action in found if isinstance(action, Lost)]
    assert [call for _, call in lost] == ["x", "y"]
    assert lost[0][0] == pytest.approx(1.35)  # asked at 0.35 and 0.85
    assert lost[1][0] >= 2.35  # no shorter, though the round of "x" was running
    assert {action.reason for _, action in found if isinstance(action, Lost)} == {"nobody_has_it"}


def test_one_that_joined_later_counts_once_it_was_asked():
    liveness = new(A)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    liveness.instances("docs", "eu", BOTH)
    liveness.whose_reply(A, [], [], ["x"], 0.36)
    assert losses(liveness.tick(0.36)) == []
    assert any(isinstance(action, AskWhose) for action in liveness.tick(0.85))
    liveness.whose_reply(B, [], [], ["x"], 0.86)
    assert losses(liveness.tick(0.86)) == [("x", "no", "not_here")]


# Nodes that leave the catalog


def test_one_that_left_without_a_word_may_still_have_the_call():
    """A stuck node expires from the catalog, and wakes up later with the call in its socket."""
    liveness = new(A, B)
    send(liveness, "x")
    liveness.tick(WHOSE_AT)
    liveness.instances("docs", "eu", frozenset({A}))
    liveness.whose_reply(A, [], [], ["x"], 0.36)
    found = [action for _, action in until(liveness, 9.0, 0.36)]
    assert losses(found) == [("x", "unknown", "node_stuck")]


def test_one_that_left_may_even_get_calls_that_are_sent_later():
    liveness = new(A, B)
    liveness.instances("docs", "eu", frozenset({A}))
    send(liveness, "x", now=1.0)
    liveness.tick(1.0 + WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 1.36)
    assert losses(liveness.tick(1.36)) == []


def test_one_that_left_and_is_shown_to_be_gone_gets_no_more_calls():
    liveness = new(A, B)
    liveness.heard(B, 0.0)
    liveness.instances("docs", "eu", frozenset({A}))
    die(liveness, B, 0.1)
    liveness.tick(0.5)
    send(liveness, "x", now=1.0)
    liveness.tick(1.0 + WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 1.36)
    assert losses(liveness.tick(1.36)) == [("x", "no", "not_here")]


def test_one_that_left_but_answers_keeps_its_calls():
    liveness = new(A)
    accepted(liveness, "x")
    liveness.instances("docs", "eu", frozenset())
    liveness.node_left(A)
    (question,) = liveness.tick(0.3)
    assert question == AskAlive(question.probe, A, ("x",))
    liveness.alive_reply(A, [], 0.31, probe=question.probe)
    assert losses(liveness.tick(0.31)) == []
    assert len(liveness) == 1


def test_to_be_told_of_an_unknown_node_that_left_costs_nothing():
    liveness = new(A)
    liveness.node_left(B)
    assert liveness.next_tick(0.0) is None


# Our own link, our own pauses


def test_while_our_link_is_down_nobody_is_asked_and_nothing_is_lost():
    liveness = new(A)
    accepted(liveness, "x")
    send(liveness, "y")
    liveness.link_lost(0.3)
    assert liveness.next_tick(0.3) is None
    assert liveness.tick(30.0) == []
    liveness.link_back(30.0)
    assert liveness.next_tick(30.0) == 30.0
    alive, whose = sorted(liveness.tick(30.0), key=lambda action: type(action).__name__)
    assert (alive.calls, whose.calls) == (("x",), ("y",))
    found = [action for _, action in until(liveness, 34.9, 30.0)]
    assert losses(found) == []


def test_a_503_from_before_our_link_went_down_does_not_count():
    liveness = new(A)
    accepted(liveness, "x")
    (first,) = probes(liveness.tick(0.75), A)
    liveness.no_responders(first, 0.751)
    liveness.link_lost(0.8)
    liveness.link_back(2.0)
    (second,) = probes(liveness.tick(2.0), A)
    liveness.no_responders(second, 2.001)
    assert losses(liveness.tick(2.01)) == []


def test_our_own_standstill_is_not_the_silence_of_nodes():
    liveness = new(A)
    accepted(liveness, "x")
    assert liveness.next_tick(0.3) is not None
    actions = liveness.tick(20.0)  # a debugger, a laptop asleep: the answers are still in the socket
    assert losses(actions) == []
    assert len(probes(actions, A)) == 1
    found = [(at, action) for at, action in until(liveness, 60.0, 20.0) if isinstance(action, Lost)]
    assert [at for at, _ in found] == [25.0]


def test_a_longer_round_trip_gives_more_time():
    liveness = new(A)
    liveness.rtt(0.4)
    send(liveness, "x")
    assert liveness.next_tick(0.0) == pytest.approx(WHOSE_AT + 0.4)


# Upkeep


def test_nothing_is_kept_when_all_calls_have_ended():
    liveness = new(A, B)
    accepted(liveness, "x")
    send(liveness, "y", now=0.3)
    until(liveness, 2.0)
    liveness.ended("x")
    liveness.ended("y")
    assert until(liveness, 60.0, 2.0) == []
    assert liveness.next_tick(60.0) is None
    assert len(liveness) == 0


def test_servers_are_searched_apart():
    liveness = new(A)
    liveness.instances("mail", "eu", frozenset({B}))
    send(liveness, "x")
    liveness.sent("m", "mail", "eu", 0.0)
    liveness.tick(WHOSE_AT)
    liveness.whose_reply(A, [], [], ["x"], 0.36)
    assert losses(liveness.tick(0.36)) == [("x", "no", "not_here")]


def test_a_round_that_our_link_took_with_it_does_not_count():
    liveness = new()
    send(liveness, "x")
    assert len(liveness.tick(WHOSE_AT)) == 1
    liveness.link_lost(0.36)
    liveness.link_back(5.0)
    lost_at = [at for at, action in until(liveness, 20.0, 5.0) if isinstance(action, Lost)]
    assert lost_at == [pytest.approx(6.0, abs=0.11)]  # asked at 5.0 and 5.5


# Nodes that are known to be stuck


def test_a_node_counts_as_stuck_from_the_loss_of_its_calls_until_it_is_heard_of():
    liveness = new(A, B)
    accepted(liveness, "x")
    until(liveness, 5.2)
    assert not liveness.stuck
    assert losses([action for _, action in until(liveness, 5.3, 5.2)]) == [("x", "unknown", "node_stuck")]
    assert set(liveness.stuck) == {A}
    liveness.heard(A, 6.0)
    assert not liveness.stuck


def test_all_that_are_silent_count_as_stuck_when_a_search_is_given_up():
    liveness = new(A, B)
    send(liveness, "x")
    until(liveness, 6.0)
    assert set(liveness.stuck) == BOTH


def test_a_node_that_nobody_hears_of_does_not_count_as_stuck_for_ever():
    liveness = new(A, B)
    accepted(liveness, "x")
    until(liveness, 6.0)
    assert set(liveness.stuck) == {A}
    liveness.tick(40.0)
    assert not liveness.stuck


# Many nodes, and many askers


def named(number: int) -> NodeId:
    return NodeId("eu", "n", f"i{number}")


def run(
    liveness: Liveness, end: float, now: float, *, silent: frozenset[NodeId] = frozenset()
) -> list[tuple[float, AskAlive]]:
    """Tick when it is asked for, and let every node that is not `silent` answer at once; what was asked."""
    asked: list[tuple[float, AskAlive]] = []
    while (due := liveness.next_tick(now)) is not None and due <= end:
        now = max(due, now)
        for action in liveness.tick(now):
            if isinstance(action, AskAlive):
                asked.append((now, action))
                if action.node not in silent:
                    liveness.alive_reply(action.node, [], now, probe=action.probe)
    return asked


def spread(nodes: int, askers: int = 1) -> Liveness:
    """A call of each asker on each node."""
    liveness = new(*map(named, range(nodes)))
    for node in range(nodes):
        for asker in range(askers):
            call = f"c{node}-{asker}"
            liveness.sent(call, "docs", "eu", 0.0, f"asker{asker}")
            liveness.accepted(call, named(node), 0.25)
    return liveness


@pytest.mark.parametrize(
    ("nodes", "askers", "per_s"),
    [(1, 1, 2), (50, 1, 100), (400, 1, 800), (2000, 1, 800), (8000, 1, 1600), (20, 20, 800), (20, 100, 800)],
)
def test_questions_a_second_are_linear_and_bounded_to_800_up_to_4000_nodes(
    nodes: int, askers: int, per_s: float
):
    """M7.1, M7.4: each asker asks each node where it has calls, at least every 5 s."""
    liveness = spread(nodes, askers)
    run(liveness, 20.0, 0.25)
    asked = run(liveness, 40.0, 20.0)
    assert len(asked) / 20 == pytest.approx(per_s, rel=0.1)
    times: dict[tuple[NodeId, str], list[float]] = {}
    for at, question in asked:
        times.setdefault((question.node, question.asker), []).append(at)
    assert len(times) == nodes * askers
    assert max(later - before for each in times.values() for before, later in pairs(each)) <= 5.0 + 1e-6


def pairs(times: list[float]) -> list[tuple[float, float]]:
    return list(zip([20.0, *times], [*times, 40.0], strict=True))


def test_each_asker_is_asked_for_by_itself_and_only_about_its_calls():
    """M6.3: another's answer does not show that a call is there."""
    liveness = new(A)
    for call, asker in (("x", "alice"), ("y", "bob"), ("z", "alice")):
        liveness.sent(call, "docs", "eu", 0.0, asker)
        liveness.accepted(call, A, 0.25)
    asked = {question.asker: question for _, question in run(liveness, 0.8, 0.25)}
    assert {asker: question.calls for asker, question in asked.items()} == {
        "alice": ("x", "z"),
        "bob": ("y",),
    }
    liveness.ended("y")
    assert {question.asker for _, question in run(liveness, 1.3, 0.8)} == {"alice"}


def test_an_answer_to_one_asker_shows_all_that_the_node_lives():
    liveness = new(A)
    for call, asker in (("x", "alice"), ("y", "bob")):
        liveness.sent(call, "docs", "eu", 0.0, asker)
        liveness.accepted(call, A, 0.25)
    now = 0.25
    while (due := liveness.next_tick(now)) is not None and due <= 30.0:
        now = max(due, now)
        for action in liveness.tick(now):
            assert not isinstance(action, Lost)
            if isinstance(action, AskAlive) and action.asker == "alice":
                liveness.alive_reply(A, [], now, probe=action.probe)


def test_the_death_of_a_node_ends_the_calls_of_all_askers_and_is_told_once():
    liveness = new(A)
    for call, asker in (("x", "alice"), ("y", "bob")):
        liveness.sent(call, "docs", "eu", 0.0, asker)
        liveness.accepted(call, A, 0.25)
    found: list[object] = []
    now = 0.25
    while (due := liveness.next_tick(now)) is not None and due <= 5.0:
        now = max(due, now)
        for action in liveness.tick(now):
            if isinstance(action, AskAlive):
                liveness.no_responders(action.probe, now)
            else:
                found.append(action)
    assert now <= 1.25 + 1e-6
    assert sorted(found) == [
        Lost("", "unknown", "node_died", A),
        Lost("x", "unknown", "node_died", A, "alice"),
        Lost("y", "unknown", "node_died", A, "bob"),
    ]


@pytest.mark.parametrize(("nodes", "within_s"), [(1, 0.85), (400, 0.85), (2000, 2.85), (8000, 5.35)])
def test_a_death_is_found_one_interval_and_300_ms_later(nodes: int, within_s: float):
    liveness = spread(nodes)
    run(liveness, 20.0, 0.25)
    dead, now, lost_at = named(nodes // 2), 20.0, None
    while lost_at is None:
        now = max(now, liveness.next_tick(now) or now)
        for action in liveness.tick(now):
            if isinstance(action, AskAlive):
                if action.node == dead:
                    liveness.no_responders(action.probe, now)
                else:
                    liveness.alive_reply(action.node, [], now, probe=action.probe)
            elif isinstance(action, Lost) and action.call:
                assert (action.reason, action.node) == ("node_died", dead)
                lost_at = now
    assert lost_at <= 20.0 + within_s


@pytest.mark.parametrize(("nodes", "within_s"), [(1, 5.01), (400, 5.01), (2000, 7.01), (8000, 9.6)])
def test_a_stuck_node_is_waited_for_five_seconds_and_what_the_interval_is_longer(nodes: int, within_s: float):
    liveness = spread(nodes)
    run(liveness, 20.0, 0.25)
    stuck, now, lost_at = named(nodes // 2), 20.0, None
    while lost_at is None:
        now = max(now, liveness.next_tick(now) or now)
        for action in liveness.tick(now):
            if isinstance(action, AskAlive):
                if action.node != stuck:
                    liveness.alive_reply(action.node, [], now, probe=action.probe)
            elif isinstance(action, Lost):
                assert (action.reason, action.node) == ("node_stuck", stuck)
                lost_at = now
    assert 24.4 <= lost_at <= 20.0 + within_s


def test_no_tick_asks_more_than_a_few_hundred_questions():
    """They are encoded and sent in one turn of the loop."""
    liveness = spread(3000)
    liveness.link_lost(1.0)
    liveness.link_back(2.0)
    now, sizes = 2.0, []
    while (due := liveness.next_tick(now)) is not None and due <= 2.1:
        now = max(due, now)
        actions = liveness.tick(now)
        sizes.append(len(actions))
        for action in actions:
            liveness.alive_reply(action.node, [], now, probe=action.probe)
    assert sum(sizes) == 3000
    assert max(sizes) <= 256


def test_more_deaths_than_are_kept_for_long_are_all_remembered_while_calls_are_young():
    """A call that was sent before them may have been on any of the nodes that died."""
    dying = [named(number) for number in range(100)]
    liveness = new(A, *dying)
    for node in dying:
        liveness.sent(f"at {node}", "docs", "eu", 0.0)
        liveness.accepted(f"at {node}", node, 0.0)
    liveness.sent("x", "docs", "eu", 0.4)
    found: list[object] = []
    now = 0.0
    while (due := liveness.next_tick(now)) is not None and due <= 2.0:
        now = max(due, now)
        for action in liveness.tick(now):
            if isinstance(action, AskAlive) and action.node in dying:
                liveness.no_responders(action.probe, now)
            elif isinstance(action, AskAlive):
                liveness.alive_reply(action.node, [], now, probe=action.probe)
            elif isinstance(action, AskWhose):
                liveness.whose_reply(A, [], [], action.calls, now)
            else:
                found.append(action)
    assert [lost[1:3] for lost in found if lost[0] == "x"] == [("unknown", "node_died")]


def test_a_search_among_many_costs_few_questions():
    """Every node answers every round: where there are many, the rounds are further apart."""
    nodes = [named(number) for number in range(2000)]
    liveness = new(*nodes)
    send(liveness, "x")
    asked, now = 0, 0.0
    while (due := liveness.next_tick(now)) is not None and due <= 5.0:
        now = max(due, now)
        for action in liveness.tick(now):
            if isinstance(action, AskWhose):
                asked += 1
                for node in nodes[1:]:
                    liveness.whose_reply(node, [], [], action.calls, now)
            elif isinstance(action, AskAlive) and action.node != nodes[0]:
                liveness.alive_reply(action.node, [], now, probe=action.probe)
    assert 1 <= asked <= 3
    assert losses([action for _, action in until(liveness, 12.0, 5.0)]) == [("x", "unknown", "node_stuck")]


def test_a_node_is_looked_for_in_vain_no_longer_than_anybody_waits():
    liveness = spread(1000, 2)
    for node in range(1000):
        for asker in range(2):
            liveness.ended(f"c{node}-{asker}")
    assert liveness.next_tick(0.5) is None
    assert len(liveness) == 0
