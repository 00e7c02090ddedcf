"""Regions as NATS has them: clusters that gateways join, so that a region is lost and cut off as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Self

from longreach.testing.cluster import Cluster
from longreach.testing.ports import HOST, free_port
from longreach.testing.proxy import Proxy, Tap

_MEET_TIMEOUT_S = 30.0
_POLL_S = 0.05


class Region(Cluster):
    """A cluster with gateways; the others reach each of its brokers through a door of that broker's own.

    Args:
        name: of the region.
        size: how many brokers.
        config: more configuration of each.
    """

    def __init__(self, name: str, size: int, config: str = "") -> None:
        super().__init__(size, config, name=name, leafnodes=False)
        self.gateway_ports = tuple(free_port() for _ in range(size))
        self.doors: tuple[Proxy, ...] = ()
        """What brokers of other regions connect to, where their traffic is to be seen or cut."""

    def open_doors(self, tap: Tap | None) -> tuple[Proxy, ...]:
        """Put a proxy in front of each broker's gateway; the caller enters them."""
        self.doors = tuple(Proxy(f"{HOST}:{port}", tap=tap) for port in self.gateway_ports)
        return self.doors

    def addresses(self) -> list[str]:
        """Where other regions reach this one's brokers."""
        if self.doors:
            return [f"{HOST}:{door.port}" for door in self.doors]
        return [f"{HOST}:{port}" for port in self.gateway_ports]

    def join(self, others: Mapping[str, Region]) -> None:
        """Configure the gateways to `others`."""
        remotes = ", ".join(
            '{{ name: "{}", urls: [{}] }}'.format(
                name, ", ".join(f'"nats://{address}"' for address in other.addresses())
            )
            for name, other in others.items()
        )
        for broker, port, address in zip(self.brokers, self.gateway_ports, self.addresses(), strict=True):
            broker.configure(
                f'{broker.config}\ngateway {{ name: "{self.name}", listen: "{HOST}:{port}", '
                f'advertise: "{address}", gateways: [{remotes}] }}'
            )

    def sees(self, others: Mapping[str, Region]) -> bool:
        """Whether each running broker here has a connection to each region of `others` that runs."""
        wanted = {name for name, other in others.items() if any(b.running for b in other.brokers)}
        running = [broker for broker in self.brokers if broker.running]
        try:
            return all(
                wanted <= set(broker.ask_monitor("gatewayz")["outbound_gateways"]) for broker in running
            )
        except OSError:  # one has just ended
            return False


class Regions:
    """Clusters joined by gateways.

    Args:
        sizes: how many brokers each region has, such as ``{"eu": 3, "us": 3}``.
        config: more configuration of each broker.
        doors: let everything between regions pass proxies, so that a region can be `cut` off.
        tap: told every byte between regions; with it there are doors.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        config: str = "",
        *,
        doors: bool = False,
        tap: Tap | None = None,
    ) -> None:
        self._all = {name: Region(name, size, config) for name, size in sizes.items()}
        self._doors = doors or tap is not None
        self._tap = tap
        self._stack = AsyncExitStack()

    def __getitem__(self, name: str) -> Region:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._doors:
                for region in self._all.values():
                    for door in region.open_doors(self._tap):
                        await stack.enter_async_context(door)
            for name, region in self._all.items():
                region.join(self._others(name))
                await stack.enter_async_context(region)
            await self.met()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def urls(self) -> tuple[str, ...]:
        """Every broker's, in the order of the regions."""
        return tuple(url for region in self._all.values() for url in region.urls)

    async def met(self) -> None:
        """Wait until every running broker reaches every region that runs.

        Raises:
            RuntimeError: that takes too long.
        """
        await asyncio.to_thread(self._await_met)

    def cut(self) -> None:
        """Cut all regions off from each other, as a cable would: nothing is closed, nothing comes through.

        Raises:
            RuntimeError: they have no doors.
        """
        for door in self._every_door():
            door.cut()

    def heal(self) -> None:
        """End what `cut` did."""
        for door in self._every_door():
            door.heal()

    def _every_door(self) -> list[Proxy]:
        if not self._doors:
            raise RuntimeError("regions are cut off at their doors: make them with Regions(..., doors=True)")
        return [door for region in self._all.values() for door in region.doors]

    def _others(self, name: str) -> dict[str, Region]:
        return {other: region for other, region in self._all.items() if other != name}

    def _await_met(self) -> None:
        give_up_at = time.monotonic() + _MEET_TIMEOUT_S
        while not all(region.sees(self._others(name)) for name, region in self._all.items()):
            if time.monotonic() > give_up_at:
                raise RuntimeError("the regions do not find each other")
            time.sleep(_POLL_S)
