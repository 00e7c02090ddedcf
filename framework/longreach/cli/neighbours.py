"""Whether a node has joined others of its kind that are not like it."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from longreach.errors import LongreachError
from longreach.observe import event

if TYPE_CHECKING:
    from longreach.node.node import Node
    from longreach.policy.catalog import Catalog

_log = logging.getLogger("longreach.cli.run")
_ASKING = re.compile(r"\.(who|rep)\._\._(\.|$)|\.adv\.")
"""Where a caller without a name asks who is there, and hears of it."""


async def warn_of_others(node: Node) -> None:
    """Log a warning for each server that others offer under the same version and with another content.

    Callers cannot tell such nodes apart, and get the one or the other. The region's nodes are asked over a
    connection of its own; where credentials do not allow that, nothing is said.
    """
    from longreach.client.connect import connect

    settings = node.settings
    connection = msgspec.structs.replace(settings.connection, name=f"{settings.connection.name} neighbours")
    try:
        with unheard():
            async with connect(
                connection=connection, residency=[settings.region], namespace=settings.namespace
            ) as mesh:
                found = differing(mesh.catalog, node)
    except (LongreachError, OSError) as error:
        event(_log, "neighbours.unknown", logging.DEBUG, reason=str(error))
        return
    event(_log, "neighbours.asked", logging.DEBUG, differing=len(found))
    for server, version, others in found:
        event(
            _log, "group.differs", logging.WARNING, server=server, version=version, others=", ".join(others),
            hint="same version, other content: callers get the one or the other; raise the version",
        )  # fmt: skip


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Keep to ourselves that a node's credentials may not ask as a caller: least privilege is no fault."""
    logger = logging.getLogger("longreach.client.session")
    logger.addFilter(_is_no_denial)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_denial)


def _is_no_denial(record: logging.LogRecord) -> bool:
    subject = str(getattr(record, "event_fields", {}).get("subject", ""))
    return record.getMessage() != "permission.denied" or not _ASKING.search(subject)


def differing(catalog: Catalog, node: Node) -> list[tuple[str, str, list[str]]]:
    """(server, version, names of the nodes) where nodes of `catalog` offer something else than `node`."""
    found = []
    for server in node.servers:
        others = sorted(
            f"{instance.identity}.{instance.instance}"
            for instance in catalog.of_server(server.name)
            if instance.version == server.version
            and instance.region == node.region
            and instance.digest != node.digests.get(server.name)
            and instance.instance != node.instance
        )
        if others:
            found.append((server.name, server.version, others))
    return found
