"""From the name of what is asked to a plan: what the catalog knows of it, looked up once.

Plans belong to the connection, and are found by what shapes a route: regions, node and version of the
options, and what is asked. So a view that differs in its time limit or its callbacks makes none of its own,
and neither does another URI of the same server.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.client.options import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from longreach.client.plan import PROMPTS_GET, RESOURCES_READ, TOOLS_CALL, Plan, Target
from longreach.errors import CallTimeout, NotFound
from longreach.policy.detour import detour
from longreach.policy.route import Wish, pick, routes
from longreach.policy.versions import Exactly
from longreach.wire import codes
from longreach.wire.subjects import method_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.client.discovery import Discovery
    from longreach.client.options import CallOptions
    from longreach.client.session import Session
    from longreach.policy.catalog import Catalog, Found
    from longreach.policy.hints import Hints
    from longreach.policy.route import Candidate, Routes

_MAX_PLANS = 10_000
_MAX_SHAPES = 1_000
_Key = tuple[Target, str | None, str | None, str | None]


class _Shape:
    """The plans of all views whose options shape routes in the same way, each with its stamp."""

    __slots__ = ("plans", "tools")

    def __init__(self) -> None:
        self.tools: dict[str, tuple[object, Plan]] = {}
        self.plans: dict[_Key, tuple[object, Plan]] = {}


class Plans:
    """The plans of one connection, 10,000 of them, in 1,000 shapes; beyond that all are dropped."""

    def __init__(self) -> None:
        self.made = 0
        """How many were made so far."""
        self._kept = 0
        self._templates: dict[str, tuple[Catalog, int | None]] = {}
        self._shapes: dict[object, _Shape] = {}

    def of(self, options: CallOptions) -> _Shape:
        """Those of views with such options."""
        key = (options.region, options.prefer, options.residency, options.node, options.version)
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = _Shape()
        return shape

    def templates_ms(self, catalog: Catalog, server: str) -> int | None:
        """The longest that a template of a server may take, looked up once for each catalog."""
        known = self._templates.get(server)
        if known is None or known[0] is not catalog:
            if len(self._templates) >= _MAX_SHAPES:
                self._templates.clear()
            known = self._templates[server] = (catalog, _templates_ms(catalog, server))
        return known[1]

    def keep(self, where: dict[Any, tuple[object, Plan]], key: object, stamp: object, plan: Plan) -> None:
        """Keep a plan in one of the shapes."""
        self._kept += 1
        if self._kept > _MAX_PLANS:
            self._kept = 1
            for shape in self._shapes.values():
                shape.tools.clear()
                shape.plans.clear()
        if len(where) >= _MAX_PLANS:  # of a shape that was dropped, and is still in use
            where.clear()
        where[key] = (stamp, plan)


class Planner:
    """Makes plans for the requests of one view on a mesh.

    Args:
        session: knows the catalog.
        options: of the view; its regions decide where requests may go.
    """

    def __init__(self, session: Session, options: CallOptions) -> None:
        self._session = session
        self._discovery = session.discovery
        self._options = options
        self._health = session.health
        shape = session.plans.of(options)
        self._tools = shape.tools
        self._plans = shape.plans

    def known(self, tool: str) -> Plan | None:
        """What is known of a tool, by ``server.tool``; None: ask `plan`, and tell `remember`."""
        known = self._tools.get(tool)
        return known[1] if known is not None and known[0] is self._health.stamp else None

    def remember(self, tool: str, plan: Plan) -> None:
        """Keep what `plan` said of a tool, for as long as no route has changed."""
        self._session.plans.keep(self._tools, tool, self._health.stamp, plan)

    async def plan(
        self,
        server: str,
        method: str,
        name: str | None,
        timeout_s: float | None,
        *,
        to: str | None = None,
        node: str | None = None,
        version: str | None = None,
    ) -> Plan:
        """What is known of a target; asked of the mesh once, and again when the catalog has changed.

        Args:
            server: the server's name.
            method: as MCP has it.
            name: of the tool or prompt, or the resource's URI; None where the method has none.
            timeout_s: for how long the mesh may be asked.
            to: the target token of a version.
            node: ``identity.instance``: this node only; None: as the options say.
            version: this version only, which is live; None: as the options say.

        Raises:
            NotFound: no node offers it.
            CallTimeout: nobody told what the server offers.
            BrokerUnavailable: nobody can be asked.
        """
        target = Target(server, method, name)
        key = (target.key, to, node, version)
        known = self._plans.get(key)
        if known is not None and known[0] is self._health.stamp:
            return self._about(known[1], target)
        limit_s = timeout_s or DEFAULT_TIMEOUT_S
        try:
            async with asyncio.timeout(limit_s):
                plan = await self._new_plan(target, to, node, version)
        except TimeoutError:
            raise CallTimeout(
                f"no node told within {limit_s:g} s what {server!r} offers; {target} was not "
                "called. See `longreach ls nodes`, or allow more with timeout_s",
                delivered="no", retryable=True, reason="not_fetched",
            ) from None  # fmt: skip
        self._session.plans.made += 1
        self._session.plans.keep(self._plans, key, self._health.stamp, plan)
        return self._about(plan, target)

    def _timeout_s(self, target: Target) -> float | None:
        catalog = self._discovery.catalog
        longest = partial(self._session.plans.templates_ms, catalog, target.server)
        timeout_ms = _timeout_ms(catalog, target, longest)
        return min(timeout_ms, int(MAX_TIMEOUT_S * 1000)) / 1000 if timeout_ms else None

    def _about(self, plan: Plan, target: Target) -> Plan:
        """A plan for `target`, which is what it was made for, or another URI of the same server."""
        if plan.target == target:
            return plan
        timeout_s = self._timeout_s(target)
        return plan._replace(target=target, head=_head(target), timeout_s=timeout_s)

    async def _new_plan(self, target: Target, to: str | None, node: str | None, version: str | None) -> Plan:
        discovery = self._discovery
        head = _head(target)
        found = _find(discovery.catalog, target)
        # Who finds it waits no longer, for what a newer version's node may be slow to tell.
        if found.missing is not None or not discovery.catalog.knows(target.server):
            await discovery.want(target.server)
            found = _find(discovery.catalog, target)
        if found.missing is not None:
            self._session.require_link()
            await discovery.refresh()
            await discovery.want(target.server)
            found = _find(discovery.catalog, target)
        if found.missing is not None:
            raise NotFound(found.message, reason=found.missing)

        wish = self.wish(to, node)
        if version is not None:
            wish = wish._replace(version=Exactly(version))

        def ordered(denied: frozenset[str] = frozenset()) -> Routes:
            catalog, health = discovery.catalog, self._health.of(target.server)
            lacking = _lacking(catalog, target)
            return routes(catalog, target.server, wish, denied=denied, lacking=lacking, health=health)

        if not ordered().candidates and (node is not None or wish.version is not None):
            self._session.require_link()
            await discovery.refresh()
            if not ordered().candidates and node is not None:
                raise NotFound(
                    f"node {node} is gone, and with it what {target} would have gone on with; begin again",
                    reason="no_such_node",
                )
            _require_version(discovery.catalog, target, wish)
        stamp, found_routes = self._health.stamp, ordered()

        def candidates(denied: frozenset[str]) -> tuple[Candidate, ...]:
            """As they are now: under load many attempts ask, and nearly always nothing has changed."""
            fresh = denied or self._health.stamp is not stamp
            return ordered(denied).candidates if fresh else found_routes.candidates

        return Plan(
            target,
            target.key,
            next(iter(found_routes.candidates), None),
            candidates,
            _Hinted(discovery, target),
            self._timeout_s(target),
            head,
            lambda candidate, stuck: detour(
                discovery.catalog,
                target.server,
                candidate,
                stuck,
                random.random,
                _lacking(discovery.catalog, target),
            ),
            self._picker(target.server, found_routes),
        )

    def wish(self, to: str | None = None, node: str | None = None) -> Wish:
        """What the options say of routes, for a major version, or for one node, where those are given."""
        options = self._options
        return Wish(
            options.region, options.prefer, options.residency, to, node or options.node, options.range
        )

    def _picker(self, server: str, ordered: Routes) -> Callable[[], Candidate] | None:
        """What shares out first attempts, where they are; None: all go to the first candidate.

        A route that is half open gets one call at a time, and the others take the next one that works.
        """
        candidates, spread = ordered.candidates, ordered.spread
        health = self._health
        seen = health.of(server)
        if all(seen(candidate.region, candidate.to).standing != "half_open" for candidate in candidates):
            return (lambda: pick(spread, random.random())) if spread else None  # noqa: S311 - no secret

        def probing() -> Candidate:
            wanted = pick(spread, random.random()) if spread else candidates[0]  # noqa: S311 - no secret
            now = self._session.clock.monotonic()
            ways = (wanted, *candidates)
            free = (c for c in ways if health.breaker(server, c.region, c.to).probe(now))
            return next(free, wanted)

        return probing


def _require_version(catalog: Catalog, target: Target, wish: Wish) -> None:
    """Say what is live, where no version that fits offers the target.

    Raises:
        NotFound: none does.
    """
    lacking = _lacking(catalog, target)
    anyhow = wish._replace(version=None)
    others = [i for i in catalog.of_server(target.server) if anyhow.objection(i) is None]
    fitting = [instance for instance in others if wish.objection(instance) is None]
    if not others or any(instance.digest not in lacking for instance in fitting):
        return
    live = ", ".join(sorted({f"{instance.version} (in {instance.region})" for instance in others}))
    what = f"no live version of {target.server!r} fits {wish.version}"
    if fitting:
        what = f"no live version of {target.server!r} that fits {wish.version} has {target}"
    raise NotFound(f"{what}; live: {live}", reason="no_such_version")


def _lacking(catalog: Catalog, target: Target) -> frozenset[str]:
    """What is known not to offer a target; of what has no name in its subject, nothing is."""
    if target.method == TOOLS_CALL:
        return catalog.lacking(target.server, target.name or "")
    if target.method == PROMPTS_GET:
        return catalog.lacking(target.server, target.name or "", "prompts")
    return frozenset()


def _head(target: Target) -> bytes:
    """The beginning of a request of our own, after its id.

    Raises:
        NotFound: MCP has no such method.
    """
    try:
        method_token(target.method)
    except ValueError as error:
        raise NotFound(str(error), code=codes.METHOD_NOT_FOUND, reason="no_such_method") from None
    head = b',"method":%s,"params":{' % msgspec.json.encode(target.method)
    name = msgspec.json.encode(target.name)
    if target.method in (TOOLS_CALL, PROMPTS_GET):
        return head + b'"name":%s,"arguments":' % name
    return head + b'"uri":%s' % name if target.method == RESOURCES_READ else head


def _find(catalog: Catalog, target: Target) -> Found:
    """What the catalog knows of a target; of what no catalog lists, whether its server is there."""
    if target.method == TOOLS_CALL:
        return catalog.find(target.server, target.name or "")
    if target.method == PROMPTS_GET:
        return catalog.find(target.server, target.name or "", "prompts")
    return catalog.find_server(target.server)


class _Hinted:
    """The hints of a target, read once for each catalog: under load many attempts ask for them."""

    def __init__(self, discovery: Discovery, target: Target) -> None:
        self._discovery = discovery
        self._target = target
        self._known: tuple[Catalog, Hints] | None = None

    def __call__(self) -> Hints:
        catalog = self._discovery.catalog
        if self._known is None or self._known[0] is not catalog:
            self._known = (catalog, _hints(catalog, self._target))
        return self._known[1]


def _hints(catalog: Catalog, target: Target) -> Hints:
    """Whether asking again is harmless. What only retrieves is, as MCP has it; a tool says it itself."""
    if target.method == TOOLS_CALL:
        return catalog.hints(target.server, target.name or "")
    return catalog.retrieval_hints(target.server)


def _templates_ms(catalog: Catalog, server: str) -> int | None:
    """The longest that a template of a server may take by itself."""
    templates = {entry.name for entry in catalog.list_templates(server)}
    stated = [catalog.timeout_ms(server, template, "templates") for template in templates]
    return max((ms for ms in stated if ms is not None), default=None)


def _timeout_ms(catalog: Catalog, target: Target, templates_ms: Callable[[], int | None]) -> int | None:
    """How long it may take by itself. A URI may be one of several templates': the longest of theirs."""
    server, name = target.server, target.name or ""
    match target.method:
        case "tools/call":
            return catalog.timeout_ms(server, name)
        case "prompts/get":
            return catalog.timeout_ms(server, name, "prompts")
        case "resources/read":
            stated = [catalog.timeout_ms(server, name, "resources")]
            return max((ms for ms in (*stated, templates_ms()) if ms is not None), default=None)
        case _:
            return None
