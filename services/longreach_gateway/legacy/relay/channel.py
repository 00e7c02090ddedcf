"""One gateway's ear for the others, and its voice: subjects ``gw.<gateway>.<instance>.<verb>``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from longreach.errors import LongreachError
from longreach.listeners import Listeners
from longreach.wire.subjects import Gw
from longreach_gateway.legacy.ids import GatewayAddress
from longreach_gateway.legacy.relay import frames

if TYPE_CHECKING:
    from longreach.client.view import Place
    from longreach.transport.link import Denied, Headers, Subscription

_HEAD_ROOM = 16 * 1024
"""Left of `max_payload` for the head of a message."""
_MAX_CHUNK = 128 * 1024

Sink = Callable[[bytes | None], None]
"""Takes a message; None where the broker says that nobody hears what was sent with this verb for a reply."""


class Channel:
    """Carries messages between gateways over the mesh's own connection.

    Args:
        place: the connection.
        address: of this gateway.
    """

    def __init__(self, place: Place, address: GatewayAddress) -> None:
        self.address = address
        self._place = place
        self._sinks: dict[str, Sink] = {}
        self._subscription: Subscription | None = None
        self._denied: Listeners[[str]] = Listeners("denied")
        self._stop_hearing_denials: Callable[[], None] | None = None

    def open(self) -> None:
        """Hear the others from now on."""
        subject = self.subject(self.address, "*")
        self._subscription = self._place.link.subscribe(subject, self._heard)
        self._stop_hearing_denials = self._place.link.on_denied(self._refused)

    def close(self) -> None:
        """Hear nothing any more."""
        if self._subscription is not None:
            self._place.link.unsubscribe(self._subscription)
            self._subscription = None
        if self._stop_hearing_denials is not None:
            self._stop_hearing_denials()
            self._stop_hearing_denials = None
        self._sinks.clear()

    @property
    def chunk(self) -> int:
        """How many bytes of a body go into one message."""
        return max(1, min(self._place.link.max_payload - _HEAD_ROOM, _MAX_CHUNK))

    def reaches(self, address: GatewayAddress) -> bool:
        """Whether residency lets messages go there."""
        allowed = self._place.residency
        return allowed is None or address.region in allowed

    def subject(self, to: GatewayAddress, verb: str) -> str:
        """Where a verb of a gateway is heard."""
        at = Gw(self._place.namespace, to.region, to.gateway, to.instance, "open").subject()
        return at.removesuffix("open") + verb

    def hear(self, verb: str, sink: Sink) -> None:
        """Give messages of a verb to `sink`, within the read loop."""
        self._sinks[verb] = sink

    def hears(self, verb: str) -> bool:
        """Whether messages of a verb are given to somebody."""
        return verb in self._sinks

    def forget(self, verb: str) -> None:
        """Hear a verb no more."""
        self._sinks.pop(verb, None)

    def on_refused(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Tell `listener` of each subject that the broker does not let us publish to; returns what ends that.

        The subject is in lower case, as the broker says it.
        """
        return self._denied.add(listener)

    def send(
        self,
        to: GatewayAddress,
        verb: str,
        head: frames.Open | frames.Frame | frames.Beat | frames.Beaten,
        payload: bytes | memoryview = b"",
        *,
        answer: str | None = None,
    ) -> bool:
        """Send a message; whether it is on its way.

        Args:
            to: whom.
            verb: what.
            head: the message.
            payload: at most `chunk` bytes.
            answer: our verb that hears if nobody is there.
        """
        reply = "" if answer is None else self.subject(self.address, answer)
        try:
            self._place.link.send(self.subject(to, verb), frames.encode(head, payload), reply)
        except LongreachError:
            return False
        return True

    def _heard(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        sink = self._sinks.get(subject.rpartition(".")[2])
        if sink is not None:
            sink(None if headers is not None and headers.get("Status") == "503" else data)

    def _refused(self, denied: Denied) -> None:
        if denied.kind == "publish":
            self._denied.tell(denied.subject.lower())
