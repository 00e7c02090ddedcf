"""One server on one node: its actors under their supervisor, its doors, its place in the group."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from longreach.actor.tree import ServerTree
from longreach.node.intake import Door
from longreach.node.membership import Membership
from longreach.node.methods import ServerMethods
from longreach.observe import event
from longreach.policy.lifecycle import in_group
from longreach.wire.mcp import SERVER_INFO_KEY
from longreach.wire.subjects import ROOT, instance_target, method_token
from longreach.wire.tokens import NONE, encode_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.actor.cell import ActorCell
    from longreach.actor.server import Server
    from longreach.clock import Clock
    from longreach.node.intake import Intake
    from longreach.tasks import TaskSet
    from longreach.transport.link import Headers, Link, Sink, Subscription

_log = logging.getLogger("longreach.node.hosting")
_CALL = method_token("tools/call")
_ORDINARY = frozenset(
    {("starting", "ready"), ("ready", "draining"), ("draining", "stopped"), ("ready", "stopped")}
)
"""What happens to every actor of every node; anything else is worth an operator's look."""


class Hosted:
    """A server as one node hosts it.

    Args:
        server: what is hosted.
        link: the connection.
        tasks: owns what happens in the background.
        intake: takes calls in.
        clock: the time.
        namespace: namespace token.
        region: region token.
        instance: the node's instance.
        place: (region, node name), as configured.
        on_tools: called when the tools have changed at run time.
    """

    def __init__(
        self,
        server: Server,
        link: Link,
        tasks: TaskSet,
        intake: Intake,
        clock: Clock,
        *,
        namespace: str,
        region: str,
        instance: str,
        place: tuple[str, str],
        on_tools: Callable[[Server], None],
    ) -> None:
        self.server = server
        self._link = link
        self._intake = intake
        self._on_tools = on_tools
        self.tree = ServerTree(server, clock=clock, region=place[0], node=place[1])
        self.tree.on_state(self._cell_changed)
        self.membership = Membership(
            link, tasks, namespace=namespace, region=region, server=server.name, version=server.version
        )
        self._result_meta = _result_meta(server, *place)
        self._methods = ServerMethods(
            server,
            intake.replies,
            self._result_meta,
            lambda: link.max_payload,
            lambda scope: intake.book.heard(scope, clock.monotonic()),
        )
        name = encode_token(server.name)
        self._direct = f"{ROOT}.{namespace}.{region}.req.{name}.{instance_target(instance)}.*.*.*.*"
        self._doors: dict[str, Sink] = {}
        self._owners: dict[str, ActorCell] = {}
        self._direct_subscription: Subscription | None = None
        self._stop_listening: Callable[[], None] | None = server.on_change(self._tools_changed)
        self._may_join = False

    async def start(self) -> None:
        """Start the actors. None joins the group before `join`: a node announces itself first.

        Who takes a call must be known to callers, or they would take the word of all others, "not here", for
        proof that nobody has it.
        """
        for method in self._methods.names:
            self._doors[f"{method_token(method)}.{NONE}"] = self._methods.sink(method)
        self._direct_subscription = self._link.subscribe(
            self._direct, self._direct_request, encode_token(self.server.name)
        )
        await self.tree.start()

    def join(self) -> None:
        """Let every actor that is ready join the group, and from now on each one when it becomes ready."""
        if self._stop_listening is None:  # it was stopped meanwhile
            return
        self._may_join = True
        for method in self._methods.names:
            address = f"{method_token(method)}.{NONE}"
            self.membership.join(method_token(method), NONE, self._doors[address])
        for address in self._owners:
            method, _, name = address.partition(".")
            self.membership.join(method, name, self._doors[address])

    async def leave(self) -> None:
        """Leave the group, behind a fence: when this returns nothing more arrives through it."""
        await self.membership.leave_all()

    async def drain(self, timeout_s: float) -> None:
        """Let the calls that are here end, at most `timeout_s`; cut off the rest."""
        await self.tree.drain(timeout_s)

    async def stop(self) -> None:
        """Stop the actors, and be gone; once more does nothing."""
        if self._stop_listening is not None:
            self._stop_listening()
            self._stop_listening = None
        await self.tree.stop()
        if self._direct_subscription is not None:
            self._link.unsubscribe(self._direct_subscription)
            self._direct_subscription = None

    def _cell_changed(self, cell: ActorCell, old: str, new: str) -> None:
        addresses = [(tool, f"{_CALL}.{encode_token(tool)}") for tool in cell.tools]
        quiet = (old, new) in _ORDINARY
        level = logging.DEBUG if quiet else logging.WARNING
        event(_log, "actor.changed", level, server=self.server.name, actor=cell.name, old=old, new=new)
        if in_group(new):
            for tool, address in addresses:
                spec = cell.tools[tool]
                door = Door(self._intake, spec, cell, self._result_meta)
                self._doors[address] = door
                self._owners[address] = cell
                if self._may_join:
                    self.membership.join(_CALL, encode_token(tool), door)
        else:
            # A tool may have been replaced while the old one still has calls: it leaves with its own only.
            mine = [address for _, address in addresses if self._owners.get(address) is cell]
            for address in mine:
                del self._owners[address]
            self.membership.leave(mine)

    def _direct_request(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        address = subject.split(".", 9)[9]
        door = self._doors.get(address, self._methods.unknown)
        door(subject, reply, data, headers)

    def _tools_changed(self, server: Server) -> None:
        gone = {
            address for address in self._doors
            if address.startswith(f"{_CALL}.") and address not in self._offered()
        }  # fmt: skip
        for address in gone:
            del self._doors[address]
            self._owners.pop(address, None)
        self.membership.leave(gone)
        self._on_tools(server)

    def _offered(self) -> set[str]:
        return {f"{_CALL}.{encode_token(tool)}" for tool in self.server.tools}


def _result_meta(server: Server, region: str, node: str) -> msgspec.Raw:
    """The `_meta` of this server's results: who it is, and where it ran."""
    who = {"name": server.name, "version": server.version}
    return msgspec.Raw(
        msgspec.json.encode({SERVER_INFO_KEY: who, "longreach/node": node, "longreach/region": region})
    )
