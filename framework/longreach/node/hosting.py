"""One server on one node: its actors under their supervisor, its doors, its place in the group."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from longreach.actor.tree import ServerTree
from longreach.node.auditing import AuditedIntake
from longreach.node.canaries import targets_of
from longreach.node.claiming import ServerClaims, door_maker
from longreach.node.doors import CompletionDoor, ResourcesDoor, SharedDoor
from longreach.node.events import Events
from longreach.node.fleet import FleetWatch
from longreach.node.limiting import Limiting, has_fleet_limits
from longreach.node.membership import Membership
from longreach.node.methods import ServerMethods
from longreach.node.personal import PersonalMethods
from longreach.node.tally import Tally
from longreach.observe import event
from longreach.policy.lifecycle import in_group
from longreach.wire.mcp import SERVER_INFO_KEY
from longreach.wire.subjects import ROOT, instance_target, method_token
from longreach.wire.tokens import NONE, encode_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from longreach.actor.cell import ActorCell
    from longreach.actor.server import Server
    from longreach.actor.spec import HandlerSpec
    from longreach.actor.states import States
    from longreach.clock import Clock
    from longreach.node.auditing import Auditor
    from longreach.node.claiming import ClaimsCheck
    from longreach.node.intake import Intake
    from longreach.node.peers import Peers
    from longreach.policy.limits import Limiter
    from longreach.tasks import TaskSet
    from longreach.transport.link import Headers, Link, Sink, Subscription

_log = logging.getLogger("longreach.node.hosting")
_ORDINARY = frozenset(
    {
        ("starting", "ready"),
        ("ready", "draining"),
        ("draining", "stopped"),
        ("ready", "stopped"),
        ("ready", "restarting"),
        ("restarting", "starting"),
    }
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
        peers: the nodes of the server; heard from `start` on.
        on_offers: called when what is offered has changed at run time.
        states: seals what calls of several rounds must remember.
        limiter: what each caller may do on the node as a whole; None: anything.
        announce: announces the node again, to others that share a limit with it.
        targets: the target tokens that it takes calls for; None: any, and its major version.
        claims: checks the claims of users; None: nobody looks at them.
        auditor: tells the audit log of calls; None: there is none.
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
        peers: Peers,
        on_offers: Callable[[Server], None],
        states: States | None = None,
        limiter: Limiter | None = None,
        announce: Callable[[], object] = lambda: None,
        targets: tuple[str, ...] | None = None,
        claims: ClaimsCheck | None = None,
        auditor: Auditor | None = None,
    ) -> None:
        self.server = server
        self._link = link
        self._intake = intake
        self._auditor = auditor
        self._on_offers = on_offers
        self.peers = peers
        self.tree = ServerTree(server, clock=clock, region=place[0], node=place[1], states=states)
        self.tree.on_state(self._cell_changed)
        self.membership = Membership(
            link,
            tasks,
            namespace=namespace,
            region=region,
            server=server.name,
            targets=targets_of(server.version, None) if targets is None else targets,
        )
        self.tally = intake.tallies.setdefault(server.name, Tally())
        self._limiting = Limiting(server, intake, limiter)
        self._fleet = FleetWatch(
            peers,
            clock,
            me=f"{encode_token(place[1].rpartition('.')[0])}.{instance}",
            share=self._limiting.take_share,
            announce=announce,
        )
        self.events = Events(link, namespace=namespace, region=region, server=server.name)
        self._result_meta = _result_meta(server, *place)
        name = encode_token(server.name)
        of_server = None if claims is None else ServerClaims(claims, name)
        self._make = door_maker(of_server)
        methods: Callable[..., ServerMethods] = ServerMethods
        if self.tree.authorizer is not None:
            methods = partial(PersonalMethods, authorizer=self.tree.authorizer, claims=of_server, tasks=tasks)
        self._methods = methods(
            server,
            intake.replies,
            self._result_meta,
            lambda: link.max_payload,
            lambda scope: intake.book.heard(scope, clock.monotonic()),
        )
        self._direct = f"{ROOT}.{namespace}.{region}.req.{name}.{instance_target(instance)}.*.*.*.*"
        self._doors: dict[str, Sink] = {}
        shared = (ResourcesDoor, CompletionDoor)
        self._shared: dict[str, SharedDoor] = {
            f"{method_token(kind.method)}.{NONE}": kind(
                self._audited(self._limiting.intake_for_all(), kind.method, None),
                server,
                self._result_meta,
                self._make,
            )
            for kind in shared
        }
        self._addresses: dict[str, str] = {}
        self._owners: dict[str, ActorCell] = {}
        self._direct_subscription: Subscription | None = None
        self._stop_listening: Callable[[], None] | None = server.on_change(self._offers_changed)
        self._stop_telling = server.on_update(self.events.resource_updated)
        self._may_join = False

    async def start(self) -> None:
        """Start the actors. None joins the group before `join`: a node announces itself first.

        Who takes a call must be known to callers, or they would take the word of all others, "not here", for
        proof that nobody has it.
        """
        for method in self._methods.names:
            self._doors[f"{method_token(method)}.{NONE}"] = self._methods.sink(method)
        self._doors.update(self._shared)
        self.peers.start()
        if has_fleet_limits(self.server):
            self._fleet.start()
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
        for spec_id in self._owners:
            self._join(self.server.handlers[spec_id])

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
            self._stop_telling()
        self._fleet.close()
        self.peers.close()
        await self.tree.stop()
        if self._direct_subscription is not None:
            self._link.unsubscribe(self._direct_subscription)
            self._direct_subscription = None

    def _cell_changed(self, cell: ActorCell, old: str, new: str) -> None:
        level = logging.DEBUG if (old, new) in _ORDINARY else logging.WARNING
        event(_log, "actor.changed", level, server=self.server.name, actor=cell.name, old=old, new=new)
        if in_group(new):
            for spec in cell.specs.values():
                self._owners[spec.id] = cell
                self._open(spec, cell)
        else:
            # A handler may have been replaced while the old one still has calls: it leaves with its own only.
            mine = [spec for spec in cell.specs.values() if self._owners.get(spec.id) is cell]
            for spec in mine:
                del self._owners[spec.id]
            self._leave(spec.address for spec in mine)

    def _open(self, spec: HandlerSpec, cell: ActorCell) -> None:
        shared = self._shared.get(spec.address)
        intake = self._audited(self._limiting.intake_for(spec), spec.method, spec)
        if shared is not None:
            shared.open(spec, cell, intake)
        else:
            self._doors[spec.address] = self._make(intake, spec, cell, self._result_meta)
        self._addresses[spec.id] = spec.address
        if self._may_join:
            self._join(spec)

    def _audited(self, intake: Intake, method: str, spec: HandlerSpec | None) -> Intake:
        if self._auditor is None:
            return intake
        name = None if spec is None or spec.shares_subject else spec.name
        return AuditedIntake(intake, self._auditor, method, name)

    def _join(self, spec: HandlerSpec) -> None:
        method, _, name = spec.address.partition(".")
        self.membership.join(method, name, self._doors[spec.address])

    def _leave(self, addresses: Iterable[str]) -> None:
        """Leave the group with those of `addresses` that no handler which is ready shares."""
        still = {self._addresses[spec_id] for spec_id in self._owners}
        self.membership.leave({address for address in addresses if address not in still})

    def _direct_request(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        address = subject.split(".", 9)[9]
        door = self._doors.get(address, self._methods.unknown)
        door(subject, reply, data, headers)

    def _offers_changed(self, server: Server) -> None:
        gone = [spec_id for spec_id in self._addresses if spec_id not in server.handlers]
        left = [self._addresses.pop(spec_id) for spec_id in gone]
        for spec_id, address in zip(gone, left, strict=True):
            self._owners.pop(spec_id, None)
            shared = self._shared.get(address)
            if shared is not None:
                shared.close(spec_id)
            else:
                del self._doors[address]
        self._leave(left)
        self._limiting.keep(frozenset(server.handlers.values()))
        if has_fleet_limits(server):
            self._fleet.start()
        self._on_offers(server)


def _result_meta(server: Server, region: str, node: str) -> msgspec.Raw:
    """The `_meta` of this server's results: who it is, and where it ran."""
    who = {"name": server.name, "version": server.version}
    return msgspec.Raw(
        msgspec.json.encode({SERVER_INFO_KEY: who, "longreach/node": node, "longreach/region": region})
    )
