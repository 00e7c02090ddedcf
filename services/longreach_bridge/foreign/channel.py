"""The seam between JSON-RPC and what carries it: a process's pipes, or HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from longreach.errors import LongreachError
from longreach.wire.jsonrpc import RequestId


class Lost(LongreachError, ConnectionError):
    """The foreign server is gone, or was never there.

    Args:
        message: why, for people; holds no credentials.
        sent: whether what was to be sent may have reached it.
        hopeless: the same would happen again: no such program, or it rejects the credentials.
    """

    def __init__(self, message: str, *, sent: bool = False, hopeless: bool = False) -> None:
        super().__init__(message, delivered="unknown" if sent else "no")
        self.sent = sent
        self.hopeless = hopeless


class Outgoing(NamedTuple):
    """A message on its way out.

    Attributes:
        data: JSON-RPC.
        method: of the request or notification; None: it is an answer to the foreign server.
        id: of the request; None: it is none.
        version: the protocol version that was agreed on; None: none yet.
        headers: further ones, where the channel has such.
    """

    data: bytes
    method: str | None = None
    id: RequestId | None = None
    version: str | None = None
    headers: Mapping[str, str] = {}


class Arrived(NamedTuple):
    """A message that came in.

    Attributes:
        data: JSON-RPC.
        origin: the id of the request on whose stream it came; None: not known, or of none.
        lost: it is no answer of the foreign server, but says that there will be none.
    """

    data: bytes
    origin: RequestId | None = None
    lost: Lost | None = None


class Channel(Protocol):
    """Carries messages to one foreign server and back; opened once, closed once.

    Attributes:
        knows_origin: whether `Arrived.origin` tells to which request a message belongs.
        mirrors_headers: whether requests need headers that repeat what their body says.
    """

    knows_origin: bool
    mirrors_headers: bool

    async def open(self) -> None:
        """Start the process, or get ready to send.

        Raises:
            Lost: it cannot be.
        """
        ...

    async def send(self, message: Outgoing) -> None:
        """Send one message.

        Raises:
            Lost: it is gone; `sent` says whether this message may have reached it.
        """
        ...

    async def receive(self) -> Arrived:
        """The next message that came in.

        Raises:
            Lost: it is gone; nothing comes any more.
        """
        ...

    async def close(self) -> None:
        """End it, and what it started; bounded, and once more does nothing."""
        ...
