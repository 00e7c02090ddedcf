"""`Fleet`: a node's share of what all nodes of a server may do together, by what they announce.

Nobody coordinates. Every node of a region hears the same announcements, its own among them, and computes the
same shares: half of the whole is split evenly, so that a node that had no traffic can take some at once, half
goes where the traffic was between each node's last two announcements. The shares add up to one, but for nodes
that have not heard of each other yet.
"""

from __future__ import annotations

FORGOTTEN_S = 30.0
"""A node that announces nothing for so long has no share; heartbeats are 12 s apart."""
_EVEN = 0.5
_MAX_PEERS = 10_000


class _Peer:
    __slots__ = ("calls", "heard_at", "rate_per_s")

    def __init__(self, heard_at: float) -> None:
        self.heard_at = heard_at
        self.calls: int | None = None
        self.rate_per_s: float | None = None


class Fleet:
    """The nodes of one server in one region.

    Args:
        me: this node; it counts from the start, heard or not.
        now: monotonic seconds.
    """

    def __init__(self, me: str, now: float) -> None:
        self._me = me
        self._peers: dict[str, _Peer] = {me: _Peer(now)}

    def __len__(self) -> int:
        return len(self._peers)

    def heard(self, node: str, now: float, calls: int | None = None) -> bool:
        """A node has announced itself, and how many calls have ended on it; whether it is a new one."""
        peer = self._peers.get(node)
        is_new = peer is None
        if peer is None:
            if len(self._peers) >= _MAX_PEERS:
                return False
            peer = self._peers[node] = _Peer(now)
        elif calls is not None and peer.calls is not None and now - peer.heard_at >= 1:
            peer.rate_per_s = max(0, calls - peer.calls) / (now - peer.heard_at)
        if calls is None or peer.calls is None or is_new or now - peer.heard_at >= 1:
            peer.calls = calls
            peer.heard_at = now
        return is_new

    def gone(self, node: str) -> None:
        """A node has said that it is down."""
        if node != self._me:
            _ = self._peers.pop(node, None)

    def share(self, now: float) -> float:
        """What is this node's, 0 to 1; who has not been heard of for long is forgotten."""
        for node in [each for each, peer in self._peers.items() if now - peer.heard_at > FORGOTTEN_S]:
            self.gone(node)
        rates = [peer.rate_per_s for peer in self._peers.values()]
        even = 1 / len(rates)
        mine = self._peers[self._me].rate_per_s
        if mine is None or None in rates:  # one of them is new, or does not say
            return even
        total = sum(rate for rate in rates if rate is not None)
        return even if total <= 0 else _EVEN * even + (1 - _EVEN) * mine / total
