"""`Mesh`: what a caller holds. Calls by name and by function, listings, changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

import msgspec

from longreach.client.attempt import as_it_is, encode_call, pass_answer, read_answer
from longreach.client.notes import guarded
from longreach.client.plan import TOOLS_CALL
from longreach.client.results import CallResult, error_text, to_call_result
from longreach.client.retrieval import Asking, Retrieval, split_name
from longreach.client.rounds import encode_round
from longreach.errors import ConfigError, ToolError
from longreach.wire.inputs import InputRequiredResult
from longreach.wire.subjects import version_target
from longreach.wire.values import encode

if TYPE_CHECKING:
    from longreach.client.attempt import MakeHeaders
    from longreach.client.notes import OnLog, OnNote, OnProgress
    from longreach.client.options import OnElicit, OnRoots, OnSample
    from longreach.client.plan import Outcome
    from longreach.client.results import PromptResult, RawResult, ReadResult
    from longreach.wire.mcp import LogLevel

    Answered = Outcome[RawResult | InputRequiredResult]

P = ParamSpec("P")
R = TypeVar("R")

TOOL_ATTRIBUTE = "__longreach_tool__"
_UNSET: Any = msgspec.UNSET


class Mesh(Retrieval):
    """The client's view of all nodes.

    Made by `longreach.connect`. Several tasks may use one mesh at the same time. `options` gives a view
    on the same connection with other options.
    """

    def options(
        self,
        *,
        timeout_s: float | None = _UNSET,
        idempotent: bool | None = _UNSET,
        on_progress: OnProgress | None = _UNSET,
        on_log: OnLog | None = _UNSET,
        log_level: LogLevel = _UNSET,
        on_elicit: OnElicit | None = _UNSET,
        on_url: OnElicit | None = _UNSET,
        on_sample: OnSample | None = _UNSET,
        on_roots: OnRoots | None = _UNSET,
        capabilities: Mapping[str, Any] | None = _UNSET,
        region: str | None = _UNSET,
        prefer: Sequence[str] = _UNSET,
        residency: Sequence[str] | None = _UNSET,
        node: str | None = _UNSET,
        version: str | None = _UNSET,
        hedge_s: float | None = _UNSET,
        hedge: Literal["p95"] | None = _UNSET,
    ) -> Mesh:
        """The same connection, with other options for the calls made through what is returned.

        Args:
            timeout_s: the whole call, retries and answers to its questions included, in seconds.
            idempotent: True: re-running is harmless; False: never re-run; None: the tool's annotations say.
            on_progress: called with (progress, total, message).
            on_log: called with (level, data, logger) for the log messages of calls.
            log_level: the least level of those.
            on_elicit: answers a form that a server asks the user to fill in: called with `ElicitParams`, it
                returns a dict of what was filled in, True (accepted as it is), False (declined), None
                (dismissed), or an `ElicitResult`. Like the next three it may be a coroutine function; a plain
                function runs in a thread, so that it may wait for people. What it raises ends the call.
            on_url: the same for a page that the user is to visit: show it, ask, and return True.
            on_sample: asks a model: called with `CreateMessageParams`, it returns its text, or a
                `CreateMessageResult`.
            on_roots: says which folders matter: a list of ``file://`` URIs, or `Root`.
            capabilities: that this client has beside what these functions bring, as MCP has them; what a
                server then asks for and no function answers, raises `InputNeeded`.
            region: home: asked first.
            prefer: regions asked next, in order.
            residency: the only regions that may be used. It can narrow what `connect` allowed, not widen it.
            node: ``identity.instance``: ask this node and no other.
            version: the versions of servers that may be used: ``">=2,<3"``, ``"2"``, ``"2.1.*"``; None: any.
            hedge_s: what is read-only and takes longer than this, in seconds, is asked a second time, in the
                same or the next region. The first answer counts, and the other attempt is cancelled. It is
                taken out of the budget of re-runs.
            hedge: ``"p95"``: the same, after what 19 of 20 of the calls of the tool before took.
        """
        named: dict[str, Any] = {
            "timeout_s": timeout_s, "idempotent": idempotent, "on_progress": on_progress, "on_log": on_log,
            "log_level": log_level, "on_elicit": on_elicit, "on_url": on_url, "on_sample": on_sample,
            "on_roots": on_roots, "capabilities": capabilities, "region": region, "prefer": prefer,
            "residency": residency, "node": node, "version": version, "hedge_s": hedge_s, "hedge": hedge,
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
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
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
            kwargs: by name: `on_progress`, `timeout_s`, `idempotent`, and to go on after an `InputNeeded`
                `input_responses` and `request_state`. By function: the function's own; options go through
                `Mesh.options`.

        Returns:
            By name: a `CallResult`, also where the tool failed (`is_error`). By function: what the
            function returns, decoded to its return annotation; a `CallResult` where that is content, or
            where there is none.

        Raises:
            NotFound: no node offers the tool.
            PermissionDenied: the broker's permissions, or the server itself, do not allow it.
            ToolError: by function only: the tool says that it failed.
            InputNeeded: the server asks for something that no option answers.
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

    async def forward(
        self,
        server: str,
        request: bytes,
        *,
        method: str,
        name: str | None,
        caller: str | None = None,
        on_note: OnNote | None = None,
        timeout_s: float | None = None,
        idempotent: bool | None = None,
        to_node: str | None = None,
        headers: MakeHeaders | None = None,
    ) -> bytes:
        """Send somebody else's request as it is, and return the response as it is; for gateways.

        Where it goes, how often, how long it is waited for and who is told if nobody waits any more is as in
        `call`. The request goes out under this connection's via, and `caller`.

        Args:
            server: the server's name.
            request: a JSON-RPC request with all of its `_meta`. Nobody looks into it here.
            method: its method.
            name: the tool's or prompt's name, the resource's URI; None where the method has none.
            caller: who asks; None: whoever this connection was opened for.
            on_note: called with the bytes of each notification that comes before the response, from within
                the event loop; it must not wait.
            timeout_s: the whole request, retries included; None: as the options say.
            idempotent: whether it may be run again; None: as the options say.
            to_node: ``identity.instance``: the one node that can take it.
            headers: makes the NATS headers of each attempt, such as the claims of a user.

        Returns:
            The response: a result, or a JSON-RPC error that the node answered with.

        Raises:
            LongreachError: there is no response; which of its kinds, and `delivered`, as for `call`.
        """
        options = self._options
        if timeout_s is not None or idempotent is not None:
            said = {"timeout_s": timeout_s, "idempotent": idempotent}
            options = options.but(**{key: value for key, value in said.items() if value is not None})
        began = self._session.clock.monotonic()
        plan = await self._planner.plan(server, method, name, options.timeout_s, node=to_node)
        asker = self._session.asker(caller)
        asker.in_use += 1
        try:
            outcome = await asker.caller.call(
                plan, request, options, as_it_is, pass_answer, on_note and guarded(on_note), began, headers
            )
        finally:
            asker.in_use -= 1
        return outcome.result

    async def _call_by_name(
        self,
        name: str,
        arguments: dict[str, Any] | None = None,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
        idempotent: bool | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> CallResult:
        options = self._options
        if on_progress is not None or timeout_s is not None or idempotent is not None:
            said = {"on_progress": on_progress, "timeout_s": timeout_s, "idempotent": idempotent}
            options = options.but(**{key: value for key, value in said.items() if value is not None})
        began = self._session.clock.monotonic()
        plan = self._planner.known(name)
        if plan is None:
            server, tool = split_name(name, "tool")
            plan = await self._planner.plan(server, TOOLS_CALL, tool, options.timeout_s)
            self._planner.remember(name, plan)
        try:
            body = encode(arguments or {})
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"the arguments of {name} cannot be written as JSON: {error}") from error
        if input_responses is not None or request_state is not None:
            asking = Asking(*plan.target, body, options, began)
            extra = encode_round(input_responses, request_state)
            return to_call_result(*await self._ask(asking, read_answer, extra, request_state))
        outcome: Answered = await self._session.home.caller.call(
            plan, body, options, encode_call, read_answer, options.on_note, began
        )
        result = outcome.result
        if isinstance(result, InputRequiredResult):
            asking = Asking(*plan.target, body, options, began)
            return to_call_result(*await self._go_on(asking, read_answer, outcome))
        return to_call_result(result, outcome.attempts, outcome.retries)

    async def _call_function(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        spec = getattr(function, TOOL_ATTRIBUTE, None)
        if spec is None:
            name = getattr(function, "__qualname__", repr(function))
            raise ConfigError(f"{name} is no tool: decorate it with @server.tool, or call it by its name")
        version = version_target(spec.version)
        began = self._session.clock.monotonic()
        options = self._options
        plan = await self._planner.plan(spec.server, TOOLS_CALL, spec.name, options.timeout_s, to=version)
        body = spec.schema.encode_arguments(args, kwargs)
        outcome: Answered = await self._session.home.caller.call(
            plan, body, options, encode_call, read_answer, options.on_note, began
        )
        _, attempts, retries = outcome
        result = outcome.result
        if isinstance(result, InputRequiredResult):
            asking = Asking(spec.server, TOOLS_CALL, spec.name, body, options, began, version)
            settled: Outcome[RawResult] = await self._go_on(asking, read_answer, outcome)
            result, attempts, retries = settled
        if result.is_error:
            raise ToolError(error_text(result), result=to_call_result(result, attempts, retries))
        if spec.schema.returns in ("content", "any"):
            return to_call_result(result, attempts, retries)
        structured = bytes(result.structured_content)
        if structured:
            return spec.schema.decode_result(structured, None)
        return spec.schema.decode_result(None, to_call_result(result, attempts, retries).text)


class ServerProxy:
    """A server whose tools are methods; arguments by name, results as `CallResult`.

    A tool that has the name of a method of this class is called with `Mesh.call`.
    """

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

    async def get_prompt(self, prompt: str, arguments: Mapping[str, Any] | None = None) -> PromptResult:
        """Fill in a prompt of this server; see `Mesh.get_prompt`."""
        return await self._mesh.get_prompt(f"{self._name}.{prompt}", arguments)

    async def read_resource(self, uri: str) -> ReadResult:
        """Read a resource of this server; see `Mesh.read`."""
        return await self._mesh.read(self._name, uri)

    def __repr__(self) -> str:
        return f"<server {self._name} of {self._mesh!r}>"
