"""The seam between longreach and a broker: everything above it uses `Link` and nothing else.

A link is one supervised connection. It never keeps a message for later: while it is down, `send` raises,
and what was not yet on the wire when it went down is gone. Subscriptions outlive connections. Sending and
subscribing are synchronous, because they only append to the outgoing buffer; what is written, the broker
handles in that order, and `fence` tells when it has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

Headers = dict[str, str]
"""Message headers. The broker's own "no responders" arrives as ``{"Status": "503"}``."""

Sink = Callable[[str, str, bytes, Headers | None], None]
"""Takes (subject, reply, data, headers) of each message, within the read loop: it must not wait. What it
raises is logged by the link and ends nothing."""

Status = Literal["connecting", "up", "down", "closed"]

MAX_SUBJECT_BYTES = 1024
"""Of a subject, and of a reply. Two of them fit the broker's default `max_control_line` of 4096."""

MAX_UNFLUSHED_BYTES = 8 * 1024 * 1024
"""What may wait for the broker to read it; more is refused as busy. Without a bound a hung broker would
fill memory with calls that run as ghosts once it wakes up."""

HIGH_WATER_BYTES = 1024 * 1024
"""Above it what is large and can wait should wait (`Link.has_room`), so that what is small and cannot
(answers to questions, "accepted") is not seconds behind it on a thin link."""
LOW_WATER_BYTES = 256 * 1024
"""`Link.when_room` calls back here: what is written then keeps the link busy without a pause."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """What became of a link.

    `reason` says why it is not up: ``"silent"`` (a hung broker), ``"eof"``, ``"credentials"``, or the
    broker's or system's own words.
    """

    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Denied:
    """The broker's permissions forbid a subject; what was published to it went nowhere."""

    kind: Literal["publish", "subscribe"]
    subject: str
    queue: str = ""

    @property
    def sort(self) -> tuple[str, ...]:
        """What it has in common with others: ``lr.v1.<ns>.<region>.<space>.<server>`` of the subject."""
        return (self.kind, *self.subject.split(".", 6)[:6])


class Subscription:
    """One subscription of one link; it outlives reconnects until it is unsubscribed.

    `active` turns False with `Link.unsubscribe`; `sink` may be called a little longer.
    """

    __slots__ = ("active", "queue", "sid", "sink", "subject")

    def __init__(self, sid: int, subject: str, queue: str, sink: Sink) -> None:
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.sink = sink
        self.active = True

    def __repr__(self) -> str:
        return f"Subscription({self.subject!r}, queue={self.queue!r}, active={self.active})"


class Link(Protocol):
    """One supervised connection to a broker. All methods belong to the event loop that opened it."""

    @property
    def is_up(self) -> bool:
        """Whether `send` reaches a broker now, as far as is known."""
        ...

    @property
    def url(self) -> str | None:
        """The broker connected to, without credentials; None while there is none."""
        ...

    @property
    def max_payload(self) -> int:
        """The broker's limit for headers and data together, in bytes."""
        ...

    @property
    def rtt_s(self) -> float:
        """The smoothed round trip to the broker, in seconds; 0.0 until it is known."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether it is up and no more than `HIGH_WATER_BYTES` wait for the broker to read them."""
        ...

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, as soon as `has_room` holds, but never from within this call.

        After more than `HIGH_WATER_BYTES` that is when no more than `LOW_WATER_BYTES` wait; while the link is
        down, when it is up again. A link that is closed calls nobody.
        """
        ...

    def send(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        """Publish; returns once the message is in the outgoing buffer.

        Args:
            subject: where to; at most `MAX_SUBJECT_BYTES`.
            data: the body; with the encoded headers at most `max_payload` bytes.
            reply: where the receiver answers. With it, the broker reports that nobody listens.
            headers: keys are HTTP tokens; line breaks in values become spaces.

        Raises:
            BrokerUnavailable: the link is not up. Nothing is kept for later.
            TooLarge: the message or a subject is over its limit.
            NotStarted: more than `MAX_UNFLUSHED_BYTES` wait for the broker (reason ``"busy"``).
        """
        ...

    def subscribe(self, subject: str, sink: Sink, queue: str = "") -> Subscription:
        """Hear `subject` from now on, in the queue group `queue` if there is one.

        While the link is down the subscription waits for it. `fence` tells when the broker has it.
        """
        ...

    def unsubscribe(self, subscription: Subscription) -> None:
        """Hear no more of it; messages that are already on their way still reach the sink."""
        ...

    async def leave(self, subscription: Subscription, timeout_s: float) -> None:
        """Unsubscribe without losing a message: returns when the last one has reached the sink.

        A link that goes down meanwhile ends the wait: nothing comes through a lost connection.

        Raises:
            BrokerUnavailable: the broker did not confirm in time; the sink stays until it does.
        """
        ...

    async def fence(self, timeout_s: float) -> None:
        """Wait until the broker has handled everything written so far.

        What it had sent us before that has then reached its sinks.

        Raises:
            BrokerUnavailable: the link is down, went down meanwhile, or got no answer in time.
        """
        ...

    def on_change(self, listener: Callable[[LinkState], None]) -> Callable[[], None]:
        """Tell `listener` of each change, synchronously; returns what ends that.

        "up" comes after subscriptions are written.
        """
        ...

    def on_denied(self, listener: Callable[[Denied], None]) -> Callable[[], None]:
        """Tell `listener` what the broker's permissions refuse; returns what ends that.

        The broker names the subject in lower case; for subscriptions the link knows better.
        """
        ...

    async def wait_up(self, timeout_s: float | None) -> None:
        """Wait until the link is up.

        Raises:
            BrokerUnavailable: it is not within `timeout_s`, or is closed.
        """
        ...

    async def close(self, timeout_s: float = 5.0) -> None:
        """Let the broker have what is written, at most `timeout_s`, and close for good."""
        ...
