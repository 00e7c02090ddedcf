"""The parts of a node, put together on one link: who answers what, and on which subjects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from longreach.actor.states import States
from longreach.audit import AuditLog, check_target
from longreach.node.announcer import Announcer
from longreach.node.auditing import Auditor
from longreach.node.canaries import WHOLE, Canary, changer, targets_of
from longreach.node.carrier import Carrier
from longreach.node.claiming import ClaimsCheck
from longreach.node.control import Control
from longreach.node.hosting import Hosted
from longreach.node.intake import Intake
from longreach.node.large import LargeBodies
from longreach.node.peers import Peers
from longreach.node.replies import Replies
from longreach.node.results import CompressingReplies
from longreach.node.watch import SlowCalls
from longreach.policy.calls import CallBook
from longreach.policy.limits import Limiter
from longreach.wire import frames
from longreach.wire.parts import PART, PUT
from longreach.wire.subjects import ROOT
from longreach.wire.tokens import encode_token

if TYPE_CHECKING:
    from longreach.actor.server import Server
    from longreach.actor.states import KeySource
    from longreach.clock import Clock
    from longreach.node.settings import NodeSettings
    from longreach.tasks import TaskSet
    from longreach.transport.link import Link

_NODE_VERBS = frozenset({"alive", "cancel", "blobs", PART, PUT})
_ALL_VERBS = frozenset({"whose", "cancel"})
_OPS_VERBS = frozenset({"drain", "info", "canary"})
_WHO_VERBS = frozenset({"who"})


class Hooks(NamedTuple):
    """What the parts ask of their node."""

    info: Callable[[], frames.InfoReply]
    drain: Callable[[str], None]
    offers_changed: Callable[[Server], None]
    server_failed: Callable[[str], None]


class Parts(NamedTuple):
    """The parts of a node."""

    replies: Replies
    intake: Intake
    slow: SlowCalls
    announcer: Announcer
    hosted: tuple[Hosted, ...]
    canaries: Mapping[str, Canary]
    large: LargeBodies
    audit: AuditLog | None


def check_files(settings: NodeSettings, clock: Clock) -> None:
    """Check the files that settings name, as `assemble` will open them.

    Raises:
        ConfigError: one cannot be used.
    """
    if settings.claims_keys_file is not None:
        ClaimsCheck(settings.claims_keys_file, encode_token(settings.namespace), clock)
    if settings.audit is not None:
        check_target(settings.audit)


def assemble(
    link: Link,
    servers: Sequence[Server],
    settings: NodeSettings,
    hooks: Hooks,
    clock: Clock,
    tasks: TaskSet,
    *,
    instance: str,
    bare_inboxes: bool,
    keys: KeySource,
) -> Parts:
    """Put a node together, and subscribe to what is asked of it; its actors are not started yet.

    Args:
        link: the connection.
        servers: what is hosted.
        settings: of the node.
        hooks: into the node.
        clock: the time.
        tasks: own what happens in the background.
        instance: the node's instance.
        bare_inboxes: whether ``_INBOX.`` replies are honoured.
        keys: seal request states.
    """
    namespace, region = encode_token(settings.namespace), encode_token(settings.region)
    book = CallBook(caller_silence_s=settings.caller_silence_s)
    kind = CompressingReplies if settings.compress else Replies
    replies = kind(link, namespace, region, clock, book=book, bare_inboxes=bare_inboxes)
    accepted = frames.Accepted(settings.identity, instance, settings.region)
    slow = SlowCalls(book, replies, clock, msgspec.json.encode(accepted))
    intake = Intake(replies, book, clock, slow.wake, f"{settings.identity}.{instance}")
    slow.watch(intake)
    carrier = Carrier(
        replies,
        book,
        clock,
        tasks,
        me=(settings.identity, instance, settings.region),
        max_payload=lambda: link.max_payload,
        max_body=settings.max_body_bytes,
    )
    intake.large = large = LargeBodies(carrier, compress=settings.compress)
    replies.large = large.results.offer
    announcer = Announcer(
        link,
        replies,
        clock,
        namespace=namespace,
        region=settings.region,
        identity=settings.identity,
        instance=instance,
        labels=settings.labels,
        every_s=settings.announce_every_s,
    )
    announcer.tallies = intake.tallies
    canaries: dict[str, Canary] = {}
    weight = None if settings.canary == WHOLE else settings.canary
    control = Control(
        replies,
        book,
        intake,
        announcer,
        clock,
        tasks,
        me=(settings.identity, instance, settings.region),
        info=hooks.info,
        drain=lambda: hooks.drain("an operator asked for it"),
        canary=changer(canaries),
    )
    for subject, asker_at, verbs in _control_subjects(settings, servers, instance):
        link.subscribe(subject, control.sink(asker_at, verbs))
    limiter = None if settings.limits.limits_nothing else Limiter(settings.limits)
    claims = None
    if settings.claims_keys_file is not None:
        claims = ClaimsCheck(settings.claims_keys_file, namespace, clock)
    audit = None if settings.audit is None else AuditLog(settings.audit)
    place = (settings.region, f"{settings.identity}.{instance}")

    def auditor_of(server: str) -> Auditor | None:
        return None if audit is None else Auditor(audit, server, place, arguments=settings.audit_arguments)

    hosted = []
    for server in servers:
        peers = Peers(
            link,
            namespace=namespace,
            region=settings.region,
            server=server.name,
            version=server.version,
            me=(settings.identity, instance),
            labels=dict(settings.labels),
            digest=partial(announcer.digest_of, server.name),
            announce=partial(announcer.announce, server.name),
        )
        one = Hosted(
            server,
            link,
            tasks,
            intake,
            clock,
            namespace=namespace,
            region=region,
            instance=instance,
            place=place,
            peers=peers,
            on_offers=hooks.offers_changed,
            states=States(keys, clock, namespace=settings.namespace, ttl_s=server.state_ttl_s),
            limiter=limiter,
            announce=announcer.announce,
            targets=targets_of(server.version, weight),
            claims=claims,
            auditor=auditor_of(server.name),
        )
        canaries[server.name] = Canary(
            link,
            tasks,
            announcer,
            one.membership,
            one.tally,
            server=server.name,
            version=server.version,
            place=(settings.identity, instance),
            peers=peers,
            weight=weight,
        )
        one.tree.on_failed(hooks.server_failed)
        hosted.append(one)
    return Parts(replies, intake, slow, announcer, tuple(hosted), canaries, large, audit)


def _control_subjects(
    settings: NodeSettings, servers: Sequence[Server], instance: str
) -> list[tuple[str, int, frozenset[str]]]:
    """(subject, where in it the asker's tokens begin, the verbs that are answered there)."""
    root = f"{ROOT}.{encode_token(settings.namespace)}"
    here = f"{root}.{encode_token(settings.region)}"
    me = f"{encode_token(settings.identity)}.{instance}"
    subjects = [
        (f"{here}.node.{me}.*.*.*", 7, _NODE_VERBS),
        (f"{here}.ops.{me}.*.*.*", 7, _OPS_VERBS),
        (f"{here}.who.*.*", 5, _WHO_VERBS),
        (f"{root}._.who.*.*", 5, _WHO_VERBS),
    ]
    everybody = [f"{here}.all.{encode_token(server.name)}.*.*.*" for server in servers]
    return subjects + [(subject, 6, _ALL_VERBS) for subject in everybody]
