"""`Retrieval`: what a mesh offers beside tools, which is prompts, resources, completions; and rounds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from longreach.client.attempt import encode_call, read_as
from longreach.client.kept import Key
from longreach.client.listening import Listening
from longreach.client.operating import Operating
from longreach.client.plan import PROMPTS_GET, RESOURCES_READ, Outcome
from longreach.client.results import PromptResult, RawCompletion, RawPrompt, RawRead, ReadResult
from longreach.client.rounds import converse, encode_round, state_node
from longreach.errors import ConfigError, RemoteError
from longreach.policy.changes import LIST_KINDS, ListKind
from longreach.wire.completion import Completion, PromptReference, ResourceReference
from longreach.wire.inputs import InputRequiredResult
from longreach.wire.mcp import SERVER_INFO_KEY
from longreach.wire.values import encode

if TYPE_CHECKING:
    from longreach.client.options import CallOptions
    from longreach.policy.retry import Failure

R = TypeVar("R")
Read = Callable[[bytes, str], "R | InputRequiredResult | Failure"]
_COMPLETE = "completion/complete"
_read_prompt = read_as(RawPrompt)
_read_completion = read_as(RawCompletion)


class Asking(NamedTuple):
    """One request of ours, as it is sent in each round."""

    server: str
    method: str
    name: str | None
    payload: bytes
    options: CallOptions
    began: float
    to: str | None = None


class Retrieval(Operating):
    """A view through which prompts, resources and completions are had."""

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> PromptResult:
        """Fill in a prompt.

        It may be asked for twice where an answer was lost: MCP says of prompts that they change nothing.

        Args:
            name: ``"server.prompt"``.
            arguments: what it is filled in with; what is no text is written as JSON.
            timeout_s: the whole request, retries included.
            input_responses: answers to an earlier `InputNeeded`, by its keys.
            request_state: of that `InputNeeded`.

        Raises:
            NotFound: no node offers the prompt.
            InputNeeded: the server asks for something that no option answers.
            LongreachError: as `Mesh.call` does.
        """
        server, prompt = split_name(name, "prompt")
        texts = {
            key: value if isinstance(value, str) else _json(value) for key, value in (arguments or {}).items()
        }
        asking = self._asking(server, PROMPTS_GET, prompt, msgspec.json.encode(texts), timeout_s)
        outcome = await self._ask(
            asking, _read_prompt, encode_round(input_responses, request_state), request_state
        )
        return PromptResult(*outcome)

    async def read(
        self,
        server: str,
        uri: str,
        *,
        fresh: bool = False,
        timeout_s: float | None = None,
        input_responses: Mapping[str, Any] | None = None,
        request_state: str | None = None,
    ) -> ReadResult:
        """Read a resource.

        For as long as its server allows (`ttl_ms`), the result is kept on this connection, and given again.
        It is dropped when the server changes, and when an update is heard of (`listen`). As for prompts, it
        may be asked for twice.

        Args:
            server: the server's name.
            uri: the resource's URI.
            fresh: ask in any case.
            timeout_s: the whole request, retries included.
            input_responses: answers to an earlier `InputNeeded`, by its keys.
            request_state: of that `InputNeeded`.

        Raises:
            NotFound: no node offers the server.
            RemoteError: the server has no such resource (code -32602), or fails.
            InputNeeded: the server asks for something that no option answers.
            LongreachError: as `Mesh.call` does.
        """
        kept, options = self._session.kept, self._options
        key = Key(server, uri, options.residency, options.node, options.version)
        extra = encode_round(input_responses, request_state)
        known = None if fresh or extra else kept.get(key)
        if known is not None:
            return ReadResult(known, 0)
        generation, rounds, size = kept.generation, 0, 0

        def read(answer: bytes, region: str) -> RawRead | InputRequiredResult | Failure:
            nonlocal rounds, size
            result = _read_resource(answer, region)
            rounds += isinstance(result, InputRequiredResult)
            size = len(answer)
            return result

        asking = self._asking(server, RESOURCES_READ, uri, b"", timeout_s)
        outcome = await self._ask(asking, read, extra, request_state)
        if not extra and not rounds:
            kept.put(key, outcome.result, size, generation)
        return ReadResult(*outcome)

    async def complete(
        self,
        target: str,
        argument: str,
        value: str = "",
        *,
        template: str | None = None,
        given: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Completion:
        """Values for an argument that begin as it does so far.

        Args:
            target: ``"server.prompt"``; or with `template` the server's name.
            argument: the argument of the prompt, or the variable of the template.
            value: what is typed so far.
            template: the resource template.
            given: the arguments that are settled already.
            timeout_s: the whole request, retries included.

        Raises:
            NotFound: no node offers the server.
            RemoteError: the server completes nothing, or not this.
            LongreachError: as `Mesh.call` does.
        """
        reference: PromptReference | ResourceReference
        if template is None:
            server, prompt = split_name(target, "prompt")
            reference = PromptReference(prompt)
        else:
            server, reference = target, ResourceReference(template)
        params: dict[str, Any] = {"ref": reference, "argument": {"name": argument, "value": value}}
        if given:
            params["context"] = {"arguments": dict(given)}
        asking = self._asking(server, _COMPLETE, None, msgspec.json.encode(params)[1:-1], timeout_s)
        return (await self._ask(asking, _read_completion)).result.completion

    def listen(
        self,
        server: str | None = None,
        *,
        lists: Collection[ListKind] = LIST_KINDS,
        resources: Collection[str] = (),
    ) -> Listening:
        """Be told of changes: ``async for update in mesh.listen("docs", resources=["mem://a"])``.

        A change of a list is told once, though all replicas of a server announce it. What happens before
        the first iteration may not be told; ``async with`` returns when from now on everything is. At most
        1,000 unread updates are kept; where more come, one ``"resync"`` takes the place of all of them.

        Args:
            server: the server; None: all of them.
            lists: the lists whose changes are told.
            resources: the URIs of the server's resources whose updates are told.

        Raises:
            ConfigError: a list is none, or there are resources and no server.
            BrokerUnavailable: there is no connection; raised when the iteration begins.
        """
        return Listening(self._session, self._known, server, lists, resources)

    def _asking(
        self, server: str, method: str, name: str | None, payload: bytes, timeout_s: float | None
    ) -> Asking:
        options = self._options if timeout_s is None else self._options.but(timeout_s=timeout_s)
        return Asking(server, method, name, payload, options, self._session.clock.monotonic())

    async def _ask(
        self, asking: Asking, read: Read[R], extra: bytes = b"", state: str | None = None
    ) -> Outcome[R]:
        """Send a request, and answer what is asked for before its result."""
        first = await self._send(asking, read, extra, state_node(state))
        if isinstance(first.result, InputRequiredResult):
            return await self._go_on(asking, read, first)
        return Outcome(first.result, first.attempts, first.retries)

    async def _go_on(
        self, asking: Asking, read: Read[R], first: Outcome[R | InputRequiredResult]
    ) -> Outcome[R]:
        """Answer what is asked for, until there is a result."""
        if asking.method == _COMPLETE:
            raise RemoteError("the server asks for input where MCP allows none", reason="bad_result")
        plan = await self._planner.plan(
            asking.server, asking.method, asking.name, asking.options.timeout_s, to=asking.to
        )
        deadline = asking.began + asking.options.limit_s(plan.timeout_s)
        version = _asked_by(first.result)
        return await converse(
            first,
            lambda extra, node: self._send(asking, read, extra, node, version),
            asking.options,
            str(plan.target),
            lambda: deadline - self._session.clock.monotonic(),
        )

    async def _send(
        self,
        asking: Asking,
        read: Read[R],
        extra: bytes,
        node: str | None,
        version: str | None = None,
    ) -> Outcome[R | InputRequiredResult]:
        """One round of a request, retries included; at `version` as long as that is there."""
        options = asking.options
        if version is not None:
            live = {i.version for i in self._session.discovery.catalog.of_server(asking.server)}
            version = version if version in live and len(live) > 1 else None
        plan = await self._planner.plan(
            asking.server,
            asking.method,
            asking.name,
            options.timeout_s,
            to=asking.to,
            node=node,
            version=version,
        )
        return await self._session.home.caller.call(
            plan, asking.payload + extra, options, encode_call, read, options.on_note, asking.began
        )


def split_name(name: str, what: str) -> tuple[str, str]:
    """The server, and the thing of it, of a qualified name.

    Raises:
        ConfigError: it is none.
    """
    server, dot, rest = name.partition(".")
    if not (server and dot and rest):
        raise ConfigError(f"{name!r} names no {what}: write server.{what}, as `longreach ls` shows it")
    return server, rest


def _asked_by(result: Any) -> str | None:
    """The version that asks for input: what it has sealed, no other version opens."""
    meta = result.meta if isinstance(result.meta, dict) else {}
    who = meta.get(SERVER_INFO_KEY)
    version = who.get("version") if isinstance(who, dict) else None
    return version if isinstance(version, str) else None


def _json(value: Any) -> str:
    try:
        return encode(value).decode()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"an argument cannot be written as JSON: {error}") from error


_read_resource = read_as(RawRead)
