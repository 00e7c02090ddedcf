"""From a tool's name to a plan: what the catalog knows of it, looked up once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from longreach.client.options import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from longreach.client.plan import Plan, Target
from longreach.errors import CallTimeout, NotFound
from longreach.policy.route import routes

if TYPE_CHECKING:
    from longreach.client.options import CallOptions
    from longreach.client.session import Session
    from longreach.policy.catalog import Catalog
    from longreach.policy.hints import Hints
    from longreach.policy.route import Candidate

_MAX_PLANS = 10_000


class Planner:
    """Makes plans for the calls of one view on a mesh.

    Args:
        session: knows the catalog.
        options: of the view; its regions decide where calls may go.
    """

    def __init__(self, session: Session, options: CallOptions) -> None:
        self._session = session
        self._options = options
        self._plans: dict[tuple[str, str, str | None], tuple[Catalog, Plan]] = {}

    async def plan(self, server: str, tool: str, timeout_s: float | None, to: str | None = None) -> Plan:
        """What is known of a tool; asked of the mesh once, and again when the catalog has changed.

        Raises:
            NotFound: no node offers it.
            CallTimeout: nobody told what the server offers.
            BrokerUnavailable: nobody can be asked.
        """
        key = (server, tool, to)
        known = self._plans.get(key)
        if known is not None and known[0] is self._session.discovery.catalog:
            return known[1]
        limit_s = timeout_s or DEFAULT_TIMEOUT_S
        try:
            async with asyncio.timeout(limit_s):
                plan = await self._new_plan(Target(server, tool), to)
        except TimeoutError:
            raise CallTimeout(
                f"no node told within {limit_s:g} s what {server!r} offers; {server}.{tool} was not "
                "called. See `longreach ls nodes`, or allow more with timeout_s",
                delivered="no", retryable=True, reason="not_fetched",
            ) from None  # fmt: skip
        if len(self._plans) > _MAX_PLANS:
            self._plans.clear()
        self._plans[key] = (self._session.discovery.catalog, plan)
        return plan

    async def _new_plan(self, target: Target, to: str | None) -> Plan:
        discovery, options = self._session.discovery, self._options
        found = discovery.catalog.find(*target)
        if found.missing is not None:  # else nobody waits for what a newer version's node may be slow to tell
            await discovery.want(target.server)
            found = discovery.catalog.find(*target)
        if found.missing is not None:
            self._session.require_link()
            await discovery.refresh()
            await discovery.want(target.server)
            found = discovery.catalog.find(*target)
        if found.missing is not None:
            raise NotFound(found.message, reason=found.missing)

        def allowed(denied: frozenset[str]) -> tuple[Candidate, ...]:
            return routes(
                discovery.catalog,
                target.server,
                home=options.region,
                prefer=options.prefer,
                residency=options.residency,
                to=to,
                node=options.node,
                denied=denied,
            ).candidates

        def hints() -> Hints:
            return discovery.catalog.hints(*target)

        timeout_ms = discovery.catalog.timeout_ms(*target)
        first = allowed(frozenset())
        return Plan(
            target,
            first[0] if first else None,
            allowed,
            hints,
            min(timeout_ms, int(MAX_TIMEOUT_S * 1000)) / 1000 if timeout_ms else None,
            msgspec.json.encode(target.tool),
        )
