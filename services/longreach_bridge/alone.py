"""Whether a bridge would share its queue group with others, which a server with a state must not.

Most foreign servers keep something between two calls: a session, files, what was asked before. Calls of one
caller would reach now the one and now the other. So a bridge is alone in its group, in its region, unless
it was started with ``--stateless``; who joins later refuses, and of two that start at once the same one
gives way on both sides.

A bridge hears of others as a node does, by their announcements (`longreach.node.peers`), and within a node's
permissions.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from longreach.errors import BrokerUnavailable, LongreachError
from longreach.node.peers import encode_question
from longreach.observe import event
from longreach.threads import CHORES, in_thread
from longreach.transport.embedded import find_running
from longreach.transport.natslink import NatsLink
from longreach.wire import frames
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from longreach.node.node import Node
    from longreach.node.settings import NodeSettings
    from longreach.transport.link import Denied, Headers, Link

_log = logging.getLogger("longreach.bridge")
LABEL = "bridge"
SINGLE, REPLICA = "single", "replica"
_WAIT_FOR_BROKER_S = 2.0
_FENCE_S = 2.0
_HEAR_S = 0.6
"""How long answers are waited for: nodes answer within 0.25 s."""


class NotAlone(LongreachError, RuntimeError):
    """Another instance of the server is up, and this one or that one cannot be a replica."""


async def check_alone(settings: NodeSettings, server: str) -> None:
    """Check that a bridge may join the group of `server`, by asking who is in it.

    Args:
        settings: of the bridge's node; the label says whether it may be a replica.
        server: its name.

    Raises:
        NotAlone: it may not.
    """
    try:
        link = await _open(settings)
    except BrokerUnavailable:  # nobody is there, or the node waits for the broker
        return
    except (LongreachError, OSError) as error:
        _unseen(server, str(error))
        return
    if link is None:
        return
    try:
        others = await _ask(link, settings, server)
    except LongreachError as error:
        _unseen(server, str(error))
        return
    finally:
        await link.close()
    refusal = refuse(others, settings, server)
    if refusal is not None:
        raise NotAlone(refusal)


def refuse(others: Iterable[frames.Announcement], settings: NodeSettings, server: str) -> str | None:
    """Return why a bridge may not join `others`; None if it may."""
    there = sorted(others, key=_name)
    if not there:
        return None
    names = ", ".join(map(_name, there))
    if dict(settings.labels).get(LABEL) == SINGLE:
        return (
            f"{server} is up already on {names}: a bridged server may keep state between calls, so a second "
            "instance is refused. Stop that one, give this one another --name, or start both with --stateless"
        )
    single = [_name(other) for other in there if other.labels.get(LABEL) == SINGLE]
    if single:
        return f"{server} is up on {', '.join(single)}, which was not started with --stateless"
    return None


async def stay_alone(node: Node) -> None:
    """Hear the group of a bridge that is no replica, and drain the node where it has to give way.

    Two that started at once hear each other here, and the one whose instance sorts last gives way.
    """
    server = node.servers[0].name
    senior: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def heard(said: frames.Announcement) -> None:
        if said.state == "up" and said.instance < node.instance and not senior.done():
            senior.set_result(_name(said))

    stop = node.listen_to_peers(server, heard)
    try:
        first = await senior
    finally:
        stop()
    node.failed = f"{server} is up on {first} too, and this bridge is no replica (--stateless)"
    await node.drain(node.failed)


async def _open(settings: NodeSettings) -> Link | None:
    """Connect with the node's own credentials; None: there is no embedded broker yet, so nobody is there."""
    options = msgspec.structs.replace(settings.connection, name=f"{settings.connection.name} alone")
    if not options.urls:
        found = await in_thread(CHORES, find_running)
        if found is None:
            return None
        options = msgspec.structs.replace(options, urls=(found.url,), token=found.token)
    return await NatsLink.open(options, timeout_s=_WAIT_FOR_BROKER_S)


async def _ask(link: Link, settings: NodeSettings, server: str) -> list[frames.Announcement]:
    """Ask who is in the group of `server` in the node's region, and hear for `_HEAR_S` (M8.10)."""
    namespace, region, name = map(encode_token, (settings.namespace, settings.region, server))
    root = f"{ROOT}.{namespace}.{region}.adv.{name}"
    instance, question = encode_question(server, settings.region, settings.identity)
    found: dict[tuple[str, str], frames.Announcement] = {}

    def heard(subject: str, _: str, data: bytes, __: Headers | None) -> None:
        try:
            said = frames.decode(data, frames.Announcement)
        except msgspec.DecodeError:  # the nodes of the group say so
            return
        node = (said.identity, said.instance)
        if subject == f"{root}.{encode_token(said.identity)}.{encode_token(said.instance)}":
            if said.state == "up":
                found[node] = said
            else:
                found.pop(node, None)

    def denied(what: Denied) -> None:
        _unseen(server, f"the broker's permissions forbid to {what.kind}: {what.subject}")

    link.on_denied(denied)
    link.subscribe(f"{root}.*.*", heard)
    link.send(f"{root}.{encode_token(settings.identity)}.{instance}", question)
    await link.fence(_FENCE_S)
    await asyncio.sleep(_HEAR_S)
    return list(found.values())


def _unseen(server: str, reason: str) -> None:
    hint = "these credentials do not see whether another instance is up"
    event(_log, "group.unseen", logging.WARNING, server=server, reason=reason, hint=hint)


def _name(said: frames.Announcement) -> str:
    return f"{said.identity}.{said.instance}"
