"""A gateway put together from its settings, and taken apart in the right order."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from longreach import __version__
from longreach.audit import AuditLog, check_target
from longreach.clock import SYSTEM_CLOCK
from longreach.front.filters import Filters
from longreach.front.front import Front
from longreach.policy.exposure import is_loopback
from longreach.policy.limits import Limiter
from longreach.tasks import TaskSet
from longreach.threads import CHORES, in_thread
from longreach_gateway.app import Gateway
from longreach_gateway.audit import Audit
from longreach_gateway.auth.authenticator import Authenticator
from longreach_gateway.auth.claims import ClaimsSigner
from longreach_gateway.auth.jwts import JwtVerifier
from longreach_gateway.auth.keys import FileSource, KeyRing, UrlSource
from longreach_gateway.auth.metadata import Resources
from longreach_gateway.auth.tokens import TokenFile
from longreach_gateway.doors import Doors
from longreach_gateway.guard import Guard
from longreach_gateway.legacy.era import LegacyEra
from longreach_gateway.legacy.limits import Limits as SessionLimits
from longreach_gateway.limits import Limits
from longreach_gateway.modern import Modern
from longreach_gateway.rare import build_rare
from longreach_gateway.running import Overseer

if TYPE_CHECKING:
    from longreach.client.mesh import Mesh
    from longreach_gateway.settings import GatewaySettings


class Assembly:
    """A gateway over a mesh: `app` answers, `close` drains.

    Args:
        mesh: opened with the gateway's id as its `via`; whoever opened it closes it.
        settings: what it is set to.
        url: where it listens, for clients without a public URL.
        bound_to: the address that it listens on; None: `settings.host` is that address.
    """

    def __init__(
        self, mesh: Mesh, settings: GatewaySettings, url: str, *, bound_to: str | None = None
    ) -> None:
        self._mesh = mesh
        self._settings = settings
        self._draining = False
        self._tasks = TaskSet("gateway upkeep")
        public_url = settings.public_url or url
        filters = Filters.of(settings.servers, settings.tags)
        self._signer = signer = self._claims_signer()
        self._audit_log = None if settings.audit is None else AuditLog(settings.audit)
        audit = None if self._audit_log is None else Audit(self._audit_log, settings.gateway_id)
        self.overseer = Overseer(body_timeout_s=settings.body_timeout_s, quiet_s=settings.quiet_s)
        self.doors = Doors(self._new_front, filters)
        self.legacy = LegacyEra(
            self.doors.find,
            settings.gateway_id,
            mesh.place,
            max_body=settings.max_body,
            limits=SessionLimits(
                sessions=settings.max_sessions,
                idle_s=settings.session_idle_s,
                calls=settings.max_concurrent,
                calls_per_caller=settings.max_per_caller,
                rate=settings.rate,
                call_timeout_s=settings.call_timeout_s,
            ),
            signer=signer,
            audit=audit,
        )
        limits = Limits(
            settings.max_concurrent,
            settings.max_per_caller,
            settings.max_subscriptions,
            None if settings.rate is None else Limiter(settings.rate),
        )
        resources = Resources(public_url, settings.issuer, settings.audiences, frozenset(settings.scopes))
        self.app = Gateway(
            guard=_guard(settings, bound_to or settings.host),
            auth=self._authenticator(resources),
            doors=self.doors,
            modern=Modern(self.overseer, limits, settings.call_timeout_s),
            legacy=self.legacy,
            rare=build_rare(self._is_ready, resources if settings.has_jwts else None),
            overseer=self.overseer,
            limits=limits,
            max_body=settings.max_body,
            signer=signer,
            audit=audit,
        )

    def drain(self) -> None:
        """No longer be ready, and end what is listened to."""
        self._draining = True
        self.doors.close()

    async def close(self) -> None:
        """Let what runs end, within its bound, and end what is ours."""
        self.drain()
        async with asyncio.TaskGroup() as group:
            _ = group.create_task(self.overseer.close(self._settings.drain_timeout_s))
            _ = group.create_task(self.legacy.close(self._settings.drain_timeout_s))
        await self._tasks.close()
        if self._audit_log is not None:
            await in_thread(CHORES, self._audit_log.close)

    def cut(self) -> None:
        """Wait for nothing that still runs."""
        self.overseer.cut_all()
        self.legacy.cut()

    def _is_ready(self) -> bool:
        return self._mesh.is_up and not self._draining

    def _new_front(self, server: str | None, filters: Filters) -> Front:
        return Front(
            self._mesh,
            server=server,
            filters=filters,
            search_above=self._settings.search_above,
            version=__version__,
        )

    def _claims_signer(self) -> ClaimsSigner | None:
        settings = self._settings
        if settings.claims_key is None:
            return None
        namespace = self._mesh.place.namespace
        return ClaimsSigner(settings.claims_key, namespace, settings.gateway_id, SYSTEM_CLOCK)

    def _authenticator(self, resources: Resources) -> Authenticator | None:
        settings = self._settings
        tokens = TokenFile(settings.bearer_tokens) if settings.bearer_tokens is not None else None
        keys = jwts = None
        if settings.issuer is not None:
            source = (
                UrlSource(settings.jwks_url) if settings.jwks_url else FileSource(settings.jwks_file or "")
            )
            keys = KeyRing(source, time.monotonic, lambda: auth.forget())
            told = settings.told_claims if self._signer is not None else ()
            jwts = JwtVerifier(keys, settings.issuer, told)
        if tokens is None and jwts is None:
            return None
        auth = Authenticator(tokens, jwts, resources, frozenset(settings.scopes), time.time)
        self._tasks.start(auth.keep_fresh(keys), name="auth")
        return auth


def check_settings(settings: GatewaySettings) -> None:
    """Check what settings name, as an `Assembly` will use it, before a broker is waited for.

    Raises:
        ConfigError: a file cannot be used, or an origin or a URL is none.
    """
    _guard(settings, settings.host)
    if settings.bearer_tokens is not None:
        TokenFile(settings.bearer_tokens)
    if settings.jwks_url is not None:
        UrlSource(settings.jwks_url)
    if settings.claims_key is not None:
        ClaimsSigner(settings.claims_key, "_", settings.gateway_id, SYSTEM_CLOCK)
    if settings.audit is not None:
        check_target(settings.audit)


def _guard(settings: GatewaySettings, bound_to: str) -> Guard:
    """Make the guard of the address that is listened on; the name that stands for it may ask, too."""
    hosts = settings.allowed_hosts
    if is_loopback(bound_to):
        hosts = (*hosts, settings.host)
    return Guard(bound_to, settings.public_url, hosts, settings.allowed_origins)


async def learn(mesh: Mesh, timeout_s: float) -> None:
    """Know the mesh before the first request comes, as far as that is quick."""
    try:
        async with asyncio.timeout(timeout_s):
            await mesh.learn()
    except TimeoutError:
        return
