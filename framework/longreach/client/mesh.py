"""`Mesh`: what a caller holds. Calls by name and by function, listings, changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

import msgspec

from longreach.client.plan import Outcome
from longreach.client.planner import Planner
from longreach.client.results import BAD_JSON, CallResult, error_text, to_call_result
from longreach.client.views import diff, list_nodes, list_servers, list_tools
from longreach.errors import ConfigError, NotFound, RemoteError, ToolError
from longreach.wire.subjects import version_target

if TYPE_CHECKING:
    from longreach.client.info import Change, NodeInfo, ServerInfo, ToolInfo
    from longreach.client.options import CallOptions, OnProgress
    from longreach.client.plan import CallStats
    from longreach.client.session import Session
    from longreach.policy.catalog import Catalog

P = ParamSpec("P")
R = TypeVar("R")

TOOL_ATTRIBUTE = "__longreach_tool__"
_UNSET: Any = msgspec.UNSET
_WATCH_QUEUE = 1000


class Mesh:
    """The client's view of all nodes.

    Made by `longreach.connect`. Several tasks may use one mesh at the same time. `options` gives a view
    on the same connection with other options.
    """

    def __init__(self, session: Session, options: CallOptions) -> None:
        self._session = session
        self._options = options
        self._planner = Planner(session, options)

    @property
    def url(self) -> str | None:
        """The broker this mesh is connected to, without credentials; None while it is connected to none."""
        return self._session.link.url

    @property
    def is_up(self) -> bool:
        """Whether there is a connection now."""
        return self._session.link.is_up

    @property
    def stats(self) -> CallStats:
        """Counts of calls, attempts and retries of this connection so far."""
        return self._session.caller.stats

    @property
    def catalog(self) -> Catalog:
        """What the mesh offers, as far as it is known: an immutable value with a revision."""
        return self._session.discovery.catalog

    def options(
        self,
        *,
        timeout_s: float | None = _UNSET,
        idempotent: bool | None = _UNSET,
        on_progress: OnProgress | None = _UNSET,
        region: str | None = _UNSET,
        prefer: Sequence[str] = _UNSET,
        residency: Sequence[str] | None = _UNSET,
        node: str | None = _UNSET,
    ) -> Mesh:
        """The same connection, with other options for the calls made through what is returned.

        Args:
            timeout_s: the whole call, retries included, in seconds.
            idempotent: True: re-running is harmless; False: never re-run; None: the tool's annotations say.
            on_progress: called with (progress, total, message).
            region: home: asked first.
            prefer: regions asked next, in order.
            residency: the only regions that may be used. It can narrow what `connect` allowed, not widen it.
            node: ``identity.instance``: ask this node and no other.
        """
        named: dict[str, Any] = {
            "timeout_s": timeout_s, "idempotent": idempotent, "on_progress": on_progress, "region": region,
            "prefer": prefer, "residency": residency, "node": node,
        }  # fmt: skip
        changes = {name: value for name, value in named.items() if value is not msgspec.UNSET}
        allowed = self._session.residency
        if allowed is not None and "residency" in changes:
            wanted = changes["residency"]
            if wanted is None or not set(wanted) <= allowed:
                raise ConfigError(
                    f"this connection is bound to {sorted(allowed)}; a call can narrow that, not widen it"
                )
        return Mesh(self._session, self._options.but(**changes))

    @overload
    async def call(
        self,
        target: str,
        arguments: dict[str, Any] | None = None,
        /,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
        idempotent: bool | None = None,
    ) -> CallResult: ...
    @overload
    async def call(self, target: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call(self, target: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    async def call(self, target: str | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a tool, by name or by its function, and return its result.

        The call ends exactly once. It is retried only where that is safe: what did not begin is sent
        elsewhere within the deadline; what may have run is run again at most once, and only if the tool
        is read-only or idempotent, or `idempotent=True` says so. Cancelling the task cancels the call.

        Args:
            target: ``"server.tool"``, or a function that a `Server` decorates.
            args: by name: the arguments, one dict. By function: the function's own.
            kwargs: by name: `on_progress`, `timeout_s`, `idempotent`. By function: the function's own;
                options go through `Mesh.options`.

        Returns:
            By name: a `CallResult`, also where the tool failed (`is_error`). By function: what the
            function returns, decoded to its return annotation; a `CallResult` where that is content, or
            where there is none.

        Raises:
            NotFound: no node offers the tool.
            ToolError: by function only: the tool says that it failed.
            NotStarted: it was refused, and nothing ran.
            OutcomeUnknown: it was lost, and may have run.
            CallTimeout: no answer in time.
            RemoteError: a JSON-RPC error.
            BrokerUnavailable: no connection.
        """
        if isinstance(target, str):
            return await self._call_by_name(target, *args, **kwargs)
        return await self._call_function(target, args, kwargs)

    def server(self, name: str) -> ServerProxy:
        """A server's tools as methods: ``await mesh.server("docs").extract_text(url=u)``."""
        return ServerProxy(self, name)

    async def tools(self, server: str | None = None) -> list[ToolInfo]:
        """All tools, or those of one server, sorted by name; fetches what is not known yet."""
        discovery = self._session.discovery
        await self._seen()
        if server is None:
            await discovery.want_all()
        else:
            await discovery.want(server)
        return list_tools(discovery.catalog, server)

    async def servers(self) -> list[ServerInfo]:
        """All servers, sorted by name."""
        await self._seen()
        await self._session.discovery.want_all()
        return list_servers(self._session.discovery.catalog)

    async def nodes(self) -> list[NodeInfo]:
        """All nodes, sorted by name."""
        await self._seen()
        discovery = self._session.discovery
        return list_nodes(discovery.catalog, discovery.hearing, self._session.clock.monotonic())

    async def refresh(self, timeout_s: float = 0.5) -> None:
        """Ask all nodes who they are, and forget those that do not answer."""
        self._session.require_link()
        await self._session.discovery.census(timeout_s)

    async def watch(self) -> AsyncIterator[Change]:
        """Changes of the mesh as they are noticed, until the iterator or the mesh is closed.

        At most 1,000 unread changes are kept; where more come, they are replaced by one ``"resync"``.
        """
        queue: asyncio.Queue[Change | None] = asyncio.Queue()

        def changed(before: Catalog, after: Catalog) -> None:
            for change in diff(before, after, overflow=queue.qsize() >= _WATCH_QUEUE):
                if change.kind == "resync":
                    while not queue.empty():
                        queue.get_nowait()
                queue.put_nowait(change)

        if self._session.is_closed:
            return
        stops = (
            self._session.discovery.on_change(changed),
            self._session.on_close(lambda: queue.put_nowait(None)),
        )
        try:
            while (change := await queue.get()) is not None:
                yield change
        finally:
            for stop in stops:
                stop()

    async def ops(self, node: str, verb: str, timeout_s: float = 2.0) -> dict[str, Any]:
        """Ask a node's operator verbs: ``"info"`` or ``"drain"``.

        Args:
            node: ``identity.instance``, as `nodes` names it.
            verb: the verb.
            timeout_s: how long to wait for the answer.
        """
        await self._seen()
        for info in await self.nodes():
            if info.name == node:
                questions = self._session.questions
                subject = questions.node_subject(info.region, info.identity, info.instance, verb, "ops")
                answer = await questions.ask(subject, b"{}", timeout_s)
                try:
                    return msgspec.json.decode(answer, type=dict[str, Any])
                except BAD_JSON as error:
                    raise RemoteError(f"{node} did not answer with an object: {error}") from error
        raise NotFound(f"no node is called {node!r}; `longreach ls nodes` shows those that are up")

    async def close(self) -> None:
        """End the connection; calls that still wait end as `OutcomeUnknown`, and their nodes are told."""
        await self._session.close()

    async def _seen(self) -> None:
        """Know the mesh, if only by having asked once."""
        self._session.require_link()
        if not self._session.discovery.catalog.instances:
            await self._session.discovery.refresh()

    async def _call_by_name(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
        idempotent: bool | None = None,
    ) -> CallResult:
        server, dot, tool = name.partition(".")
        if not (server and dot and tool):
            raise ConfigError(f"{name!r} names no tool: write server.tool, as `longreach ls` shows it")
        options = self._options
        if on_progress is not None or timeout_s is not None or idempotent is not None:
            said = {"on_progress": on_progress, "timeout_s": timeout_s, "idempotent": idempotent}
            options = options.but(**{key: value for key, value in said.items() if value is not None})
        began = self._session.clock.monotonic()
        plan = await self._planner.plan(server, tool, options.timeout_s)
        try:
            body = msgspec.json.encode(arguments or {})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the arguments of {name} cannot be written as JSON: {error}") from error
        result, attempts, retries = await self._session.caller.call(plan, body, options, began)
        return to_call_result(result, attempts, retries)

    async def _call_function(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        spec = getattr(function, TOOL_ATTRIBUTE, None)
        if spec is None:
            name = getattr(function, "__qualname__", repr(function))
            raise ConfigError(f"{name} is no tool: decorate it with @server.tool, or call it by its name")
        version = version_target(spec.version)
        began = self._session.clock.monotonic()
        plan = await self._planner.plan(spec.server, spec.name, self._options.timeout_s, version)
        body = spec.schema.encode_arguments(args, kwargs)
        outcome: Outcome = await self._session.caller.call(plan, body, self._options, began)
        result = outcome.result
        if result.is_error:
            raise ToolError(error_text(result), result=to_call_result(result, *outcome[1:]))
        if spec.schema.returns in ("content", "any"):
            return to_call_result(result, *outcome[1:])
        structured = bytes(result.structured_content)
        if structured:
            return spec.schema.decode_result(structured, None)
        return spec.schema.decode_result(None, to_call_result(result, *outcome[1:]).text)


class ServerProxy:
    """A server whose tools are methods; arguments by name, results as `CallResult`."""

    def __init__(self, mesh: Mesh, name: str) -> None:
        self._mesh = mesh
        self._name = name

    def __getattr__(self, tool: str) -> Callable[..., Awaitable[CallResult]]:
        if tool.startswith("__"):
            raise AttributeError(tool)

        async def call(**arguments: Any) -> CallResult:
            return await self._mesh.call(f"{self._name}.{tool}", arguments)

        call.__name__ = tool
        return call

    def __repr__(self) -> str:
        return f"<server {self._name} of {self._mesh!r}>"
