"""Real brokers, nodes and faults, for tests of what runs on a mesh.

Everything here is a real process or socket on this machine, and ends with the process that started it.

    async with Broker() as broker, NodeProcess("app:docs", nats=broker.url) as node:
        async with longreach.connect(broker.url) as mesh:
            node.kill()
            ...

Brokers and nodes can be entered with ``with`` too; `Proxy`, and what has one, with ``async with`` only.
Fixtures for pytest are in `longreach.testing.pytest`. docs/testing.md says more.
"""

from __future__ import annotations

from longreach.testing.broker import Broker
from longreach.testing.cluster import Cluster
from longreach.testing.leaf import Leaf
from longreach.testing.node import NodeProcess
from longreach.testing.ports import free_port
from longreach.testing.proxy import Proxy
from longreach.testing.regions import Region, Regions

__all__ = ["Broker", "Cluster", "Leaf", "NodeProcess", "Proxy", "Region", "Regions", "free_port"]
