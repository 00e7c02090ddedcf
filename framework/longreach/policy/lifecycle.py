"""The states of actors and nodes: tables, and one function that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from longreach.errors import LongreachError

ActorState = Literal["starting", "ready", "crashed", "restarting", "quarantined", "draining", "stopped"]
ActorEvent = Literal[
    "started", "start_failed", "crash", "restart", "quarantine", "suspend", "retry", "drain", "stop"
]
NodeState = Literal["starting", "serving", "draining", "stopped"]
NodeEvent = Literal["started", "drain", "stop"]

Table = Mapping[tuple[str, str], str]

ACTOR: Table = {
    ("starting", "started"): "ready",
    ("starting", "start_failed"): "stopped",
    ("starting", "suspend"): "restarting",
    ("starting", "drain"): "draining",
    ("starting", "stop"): "stopped",
    ("ready", "crash"): "crashed",
    ("ready", "suspend"): "restarting",
    ("ready", "drain"): "draining",
    ("ready", "stop"): "stopped",
    ("crashed", "restart"): "restarting",
    ("crashed", "quarantine"): "quarantined",
    ("crashed", "drain"): "draining",
    ("crashed", "stop"): "stopped",
    ("restarting", "retry"): "starting",
    ("restarting", "drain"): "draining",
    ("restarting", "stop"): "stopped",
    ("quarantined", "retry"): "starting",
    ("quarantined", "drain"): "draining",
    ("quarantined", "stop"): "stopped",
    ("draining", "drain"): "draining",
    ("draining", "crash"): "draining",
    ("draining", "stop"): "stopped",
    ("stopped", "stop"): "stopped",
}
"""(state, event) -> state, of an actor. What is not here cannot happen."""

NODE: Table = {
    ("starting", "started"): "serving",
    ("starting", "drain"): "draining",
    ("starting", "stop"): "stopped",
    ("serving", "drain"): "draining",
    ("serving", "stop"): "stopped",
    ("draining", "drain"): "draining",
    ("draining", "stop"): "stopped",
    ("stopped", "stop"): "stopped",
}
"""(state, event) -> state, of a node."""


class IllegalTransition(LongreachError, RuntimeError):
    """An event that the state does not know: a bug of longreach."""


def step(table: Table, state: str, event: str) -> str:
    """The state after `event`.

    Raises:
        IllegalTransition: the table has no such line.
    """
    try:
        return table[state, event]
    except KeyError:
        raise IllegalTransition(f"{event!r} cannot happen in state {state!r}") from None


def in_group(state: str) -> bool:
    """Whether an actor in this state belongs to its queue group."""
    return state == "ready"
