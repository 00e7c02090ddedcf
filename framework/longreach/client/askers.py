"""The askers of one connection: its own, and one for each caller that it asks for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from longreach.client.asker import Asker, Shared
from longreach.errors import ConfigError
from longreach.wire.tokens import encode_optional

if TYPE_CHECKING:
    from longreach.policy.liveness import NodeId

Place = tuple[str, str]
"""(server, region), names."""
MAX_IDLE = 1000
"""Of more askers than this, those that nobody uses are closed, the one used longest ago first."""
IDLE_S = 120.0
"""An asker that nobody has used for so long is closed."""


class Askers:
    """Makes askers, and closes those that nobody uses.

    Args:
        shared: what they have in common.
        via: through whom all of them ask; None: nobody.
        caller: who asks where nobody else is named.
    """

    def __init__(self, shared: Shared, via: str | None, caller: str | None) -> None:
        self._shared = shared
        self._via = encode_optional(via)
        self._caller = caller
        self._others: OrderedDict[str, Asker] = OrderedDict()
        self._is_stopped = False
        self.home = Asker(shared, self._via, encode_optional(caller))
        shared.vigil.home = self.home.inbox.connection

    def __len__(self) -> int:
        return 1 + len(self._others)

    def __iter__(self) -> Iterator[Asker]:
        yield self.home
        yield from tuple(self._others.values())

    def open(self) -> None:
        """Hear answers."""
        self.home.open()

    def of(self, caller: str | None) -> Asker:
        """The asker of `caller`; made where there is none.

        Raises:
            ConfigError: no subject can name that caller.
        """
        if caller is None or caller == self._caller:
            return self.home
        asker = self._others.get(caller)
        if asker is None:
            asker = self._new(caller)
        else:
            self._others.move_to_end(caller)
        asker.used_at = self._shared.clock.monotonic()
        return asker

    def close_idle(self) -> None:
        """Close those that nobody has used for a while."""
        limit = self._shared.clock.monotonic() - IDLE_S
        for caller, asker in tuple(self._others.items()):
            if asker.used_at >= limit:
                return
            if not asker.in_use:
                self._drop(caller)

    def stop(self) -> None:
        """Send no more, and end what waits; who asks from now on is told at once."""
        self._is_stopped = True
        self._shared.vigil.close()
        for asker in self:
            asker.stop()

    def close(self) -> None:
        """Hear no more."""
        for asker in self:
            asker.close()
        self._others.clear()

    def moved(self, joined: Mapping[Place, set[NodeId]], left: Mapping[Place, set[NodeId]]) -> None:
        """The catalog has changed: which nodes offer a server in a region now, or no longer."""
        for place in {**joined, **left}:
            came, went = joined.get(place, set()), left.get(place, set())
            self._shared.vigil.liveness.moved(*place, came, went - came)

    def node_left(self, node: NodeId) -> None:
        """A node has left the catalog."""
        self._shared.vigil.liveness.node_left(node)

    def link_changed(self, is_up: bool, now: float) -> None:
        """The link came up, or went down."""
        liveness = self._shared.vigil.liveness
        if is_up:
            liveness.link_back(now)
            liveness.rtt(self._shared.link.rtt_s)
        else:
            liveness.link_lost(now)
            for asker in self:
                asker.sender.limit_all(now)
        self._shared.vigil.wake_now()

    def denied(self, subject: str) -> None:
        """The broker refused to publish on `subject`."""
        for asker in self:
            asker.sender.denied(subject)
        self._shared.vigil.denied(subject)

    def _new(self, caller: str) -> Asker:
        try:
            token = encode_optional(caller)
        except ValueError as error:
            raise ConfigError(f"a caller cannot be called {caller!r}: {error}") from error
        asker = Asker(self._shared, self._via, token)
        if self._is_stopped:
            asker.stop()
            return asker
        if len(self._others) >= MAX_IDLE:
            idle = next((name for name, asker in self._others.items() if not asker.in_use), None)
            if idle is not None:
                self._drop(idle)
        asker.open()
        self._others[caller] = asker
        return asker

    def _drop(self, caller: str) -> None:
        asker = self._others.pop(caller)
        asker.stop()
        asker.close()
