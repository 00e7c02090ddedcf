"""A leaf node at the edge: a broker of its own, joined to a hub by one link that can be cut."""

from __future__ import annotations

import asyncio
import time
from typing import Self

from longreach.testing.broker import Broker
from longreach.testing.cluster import Cluster
from longreach.testing.proxy import Proxy

_JOIN_TIMEOUT_S = 20.0
_POLL_S = 0.02


class Leaf(Broker):
    """A broker whose link to the hub is `link`, a `Proxy`.

    Args:
        hub: a broker, or a cluster, of which the first member is taken.
        config: more of the leaf's own configuration.
        remote: more of the configuration of its link, such as ``deny_exports: ["edge.>"]``.
        name: what it calls itself.
    """

    def __init__(
        self, hub: Broker | Cluster, config: str = "", *, remote: str = "", name: str | None = None
    ) -> None:
        broker = hub.brokers[0] if isinstance(hub, Cluster) else hub
        super().__init__("", name=name, leafnodes=False)
        self.link = Proxy(broker.leaf_url)
        self._more = config
        self._remote = remote

    async def __aenter__(self) -> Self:
        await self.link.open()
        try:
            self.configure(
                f'leafnodes {{ reconnect: 1, remotes: [{{ url: "{self.link.url}", {self._remote} }}] }}\n'
                f"{self._more}"
            )
            await super().__aenter__()
            await self.joined()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self.link.close()

    def __enter__(self) -> Self:
        raise RuntimeError("a leaf has a proxy: enter it with `async with`")

    async def joined(self) -> None:
        """Wait until the link to the hub stands.

        Raises:
            RuntimeError: that takes too long.
        """
        give_up_at = time.monotonic() + _JOIN_TIMEOUT_S
        while not (await self.monitor("leafz"))["leafnodes"]:
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"{self.name} does not reach its hub:\n{self.log}")
            await asyncio.sleep(_POLL_S)
