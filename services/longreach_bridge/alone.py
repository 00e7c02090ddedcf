"""Whether a bridge would share its queue group with others, which a server with a state must not.

Most foreign servers keep something between two calls: a session, files, what was asked before. Calls of one
caller would reach now the one and now the other. So a bridge is alone in its group, in its region, unless
it was started with ``--stateless``; who joins later refuses, and of two that start at once the same one
gives way on both sides.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from longreach.cli.neighbours import unheard
from longreach.client.connect import connect
from longreach.errors import BrokerUnavailable, LongreachError
from longreach.observe import event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from longreach.client.mesh import Mesh
    from longreach.node.node import Node
    from longreach.node.settings import NodeSettings
    from longreach.policy.catalog import Catalog, Instance

_log = logging.getLogger("longreach.bridge")
LABEL = "bridge"
SINGLE, REPLICA = "single", "replica"


class NotAlone(LongreachError, RuntimeError):
    """Another instance of the server is up, and this one or that one cannot be a replica."""


async def check_alone(settings: NodeSettings, server: str) -> None:
    """See to it that a bridge may join the group of `server`.

    Args:
        settings: of the bridge's node; the label says whether it may be a replica.
        server: its name.

    Raises:
        NotAlone: it may not.
    """
    async with _mesh(settings, server) as mesh:
        if mesh is not None:
            refusal = refuse(mesh.catalog, settings, server)
            if refusal is not None:
                raise NotAlone(refusal)


def refuse(catalog: Catalog, settings: NodeSettings, server: str) -> str | None:
    """Why a bridge may not join; None: it may."""
    others = sorted(_others(catalog, settings, server), key=_name)
    if not others:
        return None
    names = ", ".join(_name(other) for other in others)
    if dict(settings.labels).get(LABEL) == SINGLE:
        return (
            f"{server} is up already on {names}: a bridged server may keep state between calls, so a second "
            "instance is refused. Stop that one, give this one another --name, or start both with --stateless"
        )
    single = [_name(other) for other in others if dict(other.labels).get(LABEL) == SINGLE]
    if single:
        return f"{server} is up on {', '.join(single)}, which was not started with --stateless"
    return None


async def stay_alone(node: Node) -> None:
    """Watch the group of a bridge that is no replica, and drain the node where it has to give way.

    Two that started at once see each other here, and the one whose instance sorts last gives way.
    """
    server = node.servers[0].name
    async with _mesh(node.settings, server) as mesh:
        if mesh is None:
            return
        while True:
            if (first := _senior(mesh.catalog, node, server)) is not None:
                node.failed = f"{server} is up on {first} too, and this bridge is no replica (--stateless)"
                await node.drain(node.failed)
                return
            async for _ in mesh.watch():
                break
            else:
                return


def _senior(catalog: Catalog, node: Node, server: str) -> str | None:
    """The other instance to which `node` gives way; None: there is none."""
    others = [other for other in _others(catalog, node.settings, server) if other.instance != node.instance]
    return next((_name(other) for other in others if other.instance < node.instance), None)


def _others(catalog: Catalog, settings: NodeSettings, server: str) -> Iterator[Instance]:
    return (each for each in catalog.of_server(server) if each.region == settings.region)


def _name(instance: Instance) -> str:
    return f"{instance.identity}.{instance.instance}"


@asynccontextmanager
async def _mesh(settings: NodeSettings, server: str) -> AsyncIterator[Mesh | None]:
    """The mesh as a caller without a name sees it; None: there is none, or it may not be seen."""
    connection = msgspec.structs.replace(settings.connection, name=f"{settings.connection.name} neighbours")
    with unheard():
        connecting = connect(
            connection=connection,
            residency=[settings.region],
            namespace=settings.namespace,
            servers=[server],
        )
        try:
            mesh = await connecting
        except BrokerUnavailable:  # nobody is there, or the node waits for the broker
            yield None
            return
        except (LongreachError, OSError) as error:
            hint = "these credentials do not see whether another instance is up"
            event(_log, "group.unseen", logging.WARNING, server=server, reason=str(error), hint=hint)
            yield None
            return
        try:
            yield mesh
        finally:
            await mesh.close()
