"""`Operating`: where calls would go and why, and the shares of canaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from longreach.client.results import BAD_JSON
from longreach.client.view import View
from longreach.errors import NotFound, RemoteError
from longreach.policy.explaining import explain
from longreach.wire import frames

if TYPE_CHECKING:
    from longreach.policy.explaining import Considered
    from longreach.policy.instances import Instance

_ROUNDS = 10
_WHOLE = 100


class Explanation(NamedTuple):
    """Where a call would go.

    Attributes:
        name: what was asked about.
        missing: why nothing of that name is there, in words; None: it is.
        places: each place that was considered, in the order in which they would be asked.
    """

    name: str
    missing: str | None
    places: tuple[Considered, ...]

    @property
    def taken(self) -> tuple[Considered, ...]:
        """The places that first attempts go to."""
        return tuple(place for place in self.places if place.taken)


class Share(NamedTuple):
    """A server on a node, and its share of calls in percent; 100: it is no canary."""

    node: str
    region: str
    version: str
    weight: int


class Operating(View):
    """A view through which one sees where calls go, and changes it."""

    async def explain(self, name: str) -> Explanation:
        """Say where a call would go, and why not elsewhere, without making it.

        Args:
            name: ``"server.tool"``, or a server's name.

        Raises:
            BrokerUnavailable: nobody can be asked who is there.
        """
        await self._seen()
        server, _, tool = name.partition(".")
        catalog = await self.learn(server)
        health = self._session.health
        now = self._session.clock.monotonic()
        denied = {
            region: f"the broker's permissions refused it {now - at:.0f} s ago"
            for (target, region), at in health.denied.items()
            if target == name
        }
        wish = self._planner.wish()
        rows = explain(catalog, server, wish, tool=tool or None, denied=denied, health=health.of(server))
        missing = catalog.find(server, tool) if tool else catalog.find_server(server)
        return Explanation(name, missing.message or None, tuple(rows))

    async def canaries(self, server: str) -> list[Share]:
        """The nodes of a server, by version and name, and their shares of calls.

        Raises:
            NotFound: no node offers the server.
        """
        await self._session.discovery.refresh()
        catalog = self._session.discovery.catalog
        shares = [_share(instance) for instance in catalog.of_server(server)]
        if not shares:
            raise NotFound(catalog.find_server(server).message, reason="no_such_server")
        return sorted(shares, key=lambda share: (share.version, share.region, share.node))

    async def canary(
        self, server: str, version: str, weight: int | None, timeout_s: float = 2.0
    ) -> list[Share]:
        """Give a version of a server a share of its calls, on each of its nodes; an operator's right.

        Args:
            server: the server's name.
            version: the version, as its nodes say it.
            weight: in percent, 0 to 99; None: it is no canary, and takes part like all others.
            timeout_s: how long to wait for each node's answer.

        Returns:
            The nodes of that version, and the shares that they announce now.

        Raises:
            NotFound: no node has that version.
            CallTimeout: a node did not answer: permissions are missing, or its release has no canaries.
            RemoteError: a node answered something else.
        """
        shares = await self.canaries(server)
        if not any(share.version == version for share in shares):
            live = ", ".join(sorted({share.version for share in shares}))
            text = f"no node has version {version!r} of {server!r}; live: {live}"
            raise NotFound(text, reason="no_such_version")
        request = msgspec.json.encode(frames.CanaryRequest(server, version, weight))
        for instance in tuple(self._session.discovery.catalog.of_server(server)):
            if instance.version == version:
                await self._tell(instance, request, timeout_s)
        wanted = _WHOLE if weight is None else weight
        found: list[Share] = []
        for _ in range(_ROUNDS):  # they announce it when they are subscribed as it says
            found = [share for share in await self.canaries(server) if share.version == version]
            if all(share.weight == wanted for share in found):
                break
        return found

    async def _tell(self, instance: Instance, request: bytes, timeout_s: float) -> None:
        questions = self._session.home.questions
        node = f"{instance.identity}.{instance.instance}"
        subject = questions.node_subject(
            instance.region, instance.identity, instance.instance, "canary", "ops"
        )
        try:
            reply = frames.decode(await questions.ask(subject, request, timeout_s), frames.CanaryReply)
        except BAD_JSON as error:
            raise RemoteError(f"{node} did not answer with a canary's state: {error}") from error
        if not reply.known:
            raise RemoteError(f"{node} does not have that version any more; ask again")


def _share(instance: Instance) -> Share:
    weight = _WHOLE if instance.canary is None else instance.canary
    return Share(f"{instance.identity}.{instance.instance}", instance.region, instance.version, weight)
