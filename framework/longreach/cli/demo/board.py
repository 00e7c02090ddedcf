"""What the demo shows of itself at any moment: plain data, filled by the play, drawn by the display."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from longreach.cli.demo.tally import Tally
from longreach.clock import SYSTEM_CLOCK, Clock

NodeState = Literal["starting", "serving", "draining", "drained", "killed"]
Weight = Literal["plain", "good", "bad", "loud"]


@dataclass
class NodeRow:
    """A node, as it is shown."""

    identity: str
    region: str
    pid: int
    state: NodeState = "starting"
    name: str = ""
    in_flight: int = 0


@dataclass(frozen=True)
class Moment:
    """Something that happened, and when."""

    at_s: float
    text: str
    weight: Weight = "plain"


@dataclass
class Board:
    """The state of the play.

    Attributes:
        broker_url: where the broker is.
        tally: the calls.
        nodes: in the order in which they were started.
        moments: what has happened, oldest first.
        now_playing: what goes on, in a few words.
        clock: the time.
    """

    broker_url: str
    tally: Tally = field(default_factory=Tally)
    nodes: dict[str, NodeRow] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    now_playing: str = ""
    clock: Clock = SYSTEM_CLOCK

    def __post_init__(self) -> None:
        self._started_at = self.clock.monotonic()

    @property
    def now_s(self) -> float:
        """Seconds since the demo began."""
        return self.clock.monotonic() - self._started_at

    def say(self, text: str, weight: Weight = "plain") -> None:
        """Something happened just now."""
        self.moments.append(Moment(self.now_s, text, weight))
