from __future__ import annotations

from typing import get_args

import pytest

from longreach.policy.lifecycle import (
    ACTOR,
    NODE,
    ActorEvent,
    ActorState,
    IllegalTransition,
    NodeEvent,
    NodeState,
    in_group,
    step,
)

TABLES = pytest.mark.parametrize(
    ("table", "states", "events"),
    [(ACTOR, get_args(ActorState), get_args(ActorEvent)), (NODE, get_args(NodeState), get_args(NodeEvent))],
    ids=["actor", "node"],
)


@TABLES
def test_tables_speak_of_known_states_and_events_only(table, states, events):
    assert {state for state, _ in table} | set(table.values()) == set(states)
    assert {event for _, event in table} == set(events)


@TABLES
def test_stopped_is_final_and_reached_from_everywhere(table, states, events):
    assert {step(table, "stopped", event) for event in events if ("stopped", event) in table} == {"stopped"}
    assert {step(table, state, "stop") for state in states} == {"stopped"}


@TABLES
def test_every_state_is_reached_from_starting(table, states, events):
    reached, last = {"starting"}, set()
    while reached != last:
        last = set(reached)
        reached |= {after for (before, _), after in table.items() if before in last}
    assert reached == set(states)


@TABLES
def test_draining_never_leads_back_into_service(table, states, events):
    after = {table[before, event] for before, event in table if before == "draining"}
    assert after == {"draining", "stopped"}


def test_only_a_ready_actor_is_in_its_group():
    assert [state for state in get_args(ActorState) if in_group(state)] == ["ready"]


def test_a_crashed_actor_comes_back_by_way_of_starting():
    state = "ready"
    for event in ("crash", "quarantine", "retry", "started"):
        state = step(ACTOR, state, event)
    assert state == "ready"


def test_what_is_not_in_the_table_is_refused():
    with pytest.raises(IllegalTransition, match="'crash' cannot happen in state 'stopped'"):
        step(ACTOR, "stopped", "crash")
