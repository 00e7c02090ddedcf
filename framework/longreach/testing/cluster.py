"""Brokers that are one: a cluster with full routes, each member a process of its own."""

from __future__ import annotations

import asyncio
import time
from typing import Self

from longreach.testing.broker import Broker
from longreach.testing.ports import HOST, free_port

_JOIN_TIMEOUT_S = 20.0
_POLL_S = 0.02


class Cluster:
    """So many brokers in one cluster.

    A member is a `Broker`, in `brokers`; what the cluster does, all of them do.

    Args:
        size: how many.
        config: more configuration of each.
        name: of the cluster; its members are ``name-1`` and so on.
        leafnodes: whether leaf nodes may join them.
    """

    def __init__(
        self, size: int = 3, config: str = "", *, name: str = "cluster", leafnodes: bool = True
    ) -> None:
        self.name = name
        route_ports = [free_port() for _ in range(size)]
        routes = ", ".join(f'"nats-route://{HOST}:{port}"' for port in route_ports)
        self.brokers = tuple(
            Broker(
                f'cluster {{ name: "{name}", listen: "{HOST}:{port}", routes: [{routes}] }}\n{config}',
                name=f"{name}-{number}",
                leafnodes=leafnodes,
            )
            for number, port in enumerate(route_ports, 1)
        )

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.launch)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.dispose)

    def __enter__(self) -> Self:
        self.launch()
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    @property
    def url(self) -> str:
        """The first member's."""
        return self.brokers[0].url

    @property
    def urls(self) -> tuple[str, ...]:
        """Every member's, the first one's first."""
        return tuple(broker.url for broker in self.brokers)

    def launch(self) -> None:
        """Start all that do not run, and wait until each knows the others.

        Raises:
            RuntimeError: one does not start, or they do not find each other.
        """
        try:
            for broker in self.brokers:
                if not broker.running:
                    broker.launch()
            self.await_joined()
        except BaseException:
            self.dispose()
            raise

    def dispose(self) -> None:
        """Kill all, and remove their folders."""
        for broker in self.brokers:
            broker.dispose()

    def kill(self) -> None:
        """SIGKILL, all of them."""
        for broker in self.brokers:
            broker.kill()

    def stop(self) -> None:
        """SIGSTOP, all of them."""
        for broker in self.brokers:
            broker.stop()

    def cont(self) -> None:
        """SIGCONT, all of them."""
        for broker in self.brokers:
            broker.cont()

    def lame_duck(self) -> None:
        """SIGUSR2, all of them at once; one after the other is `rolling`."""
        for broker in self.brokers:
            broker.lame_duck()

    async def restart(self) -> None:
        """Kill those that run, and start all again on their ports."""
        await asyncio.to_thread(self._relaunch)

    async def joined(self) -> None:
        """Wait until every running member has routes to all the others that run.

        Raises:
            RuntimeError: that takes too long.
        """
        await asyncio.to_thread(self.await_joined)

    async def rolling(self, timeout_s: float = 60.0) -> None:
        """Restart all, one after the other, each as an operator does: lame duck, end, start, joined.

        Args:
            timeout_s: how long one may take until its clients have gone.
        """
        for broker in self.brokers:
            broker.lame_duck()
            await broker.ended(timeout_s)
            await broker.restart()
            await self.joined()

    def _relaunch(self) -> None:
        for broker in self.brokers:
            broker.end()
        self.launch()

    def await_joined(self) -> None:
        """`joined`, for code that may block."""
        give_up_at = time.monotonic() + _JOIN_TIMEOUT_S
        while not self.is_joined():
            if time.monotonic() > give_up_at:
                raise RuntimeError(f"the brokers of {self.name} do not find each other")
            time.sleep(_POLL_S)

    def is_joined(self) -> bool:
        """Whether every running member has routes to all the others that run."""
        running = [broker for broker in self.brokers if broker.running]
        names = {broker.name for broker in running}
        for broker in running:
            try:
                routes = broker.ask_monitor("routez")["routes"]
            except OSError:  # it has just ended
                return False
            if not names <= {route["remote_name"] for route in routes} | {broker.name}:
                return False
        return True
