"""Raw handlers: they take a request's `params` and give a whole result, both as JSON bytes.

Bridges and mounted servers are made of them: what passes through is decoded by nobody on the way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from longreach.actor.call import Completed, Failed, Lost, NotStarted, RawResult
from longreach.actor.context import Context
from longreach.actor.results import error_result
from longreach.actor.spec import HandlerSpec, Named, OfferKind
from longreach.errors import DeclarationError, InvalidResult
from longreach.wire import codes, jsonrpc
from longreach.wire.manifest import (
    Definition,
    decode_prompt,
    decode_resource,
    decode_template,
    decode_tool,
)
from longreach.wire.mcp import TIMEOUT_KEY
from longreach.wire.uritemplates import resembles

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending
    from longreach.wire.codes import NotStartedReason

RawKind = Literal["tool", "prompt", "resource", "template"]
_DECODERS: dict[RawKind, Callable[[bytes], Any]] = {
    "tool": decode_tool,
    "prompt": decode_prompt,
    "resource": decode_resource,
    "template": decode_template,
}
_NAME_MEMBERS: dict[RawKind, str] = {
    "tool": "name",
    "prompt": "name",
    "resource": "uri",
    "template": "uriTemplate",
}


class RawRequest(NamedTuple):
    """A request as it came.

    Attributes:
        method: ``tools/call``, ``prompts/get``, ``resources/read`` or ``completion/complete``.
        params: JSON, the very bytes.
        context: of the call.
    """

    method: str
    params: bytes
    context: Context


class NotBegun(Exception):
    """What stands behind a raw handler has not begun, and never will for this call: it is made elsewhere.

    A type of its own, and no `LongreachError`: a handler that calls other tools may let their `NotStarted`
    out by mistake, and that says nothing about this call.

    Args:
        message: for the log.
        reason: one of the closed list of docs/binding.md M5.1.
        retry_after_s: when to ask this node again; None: nobody knows.
    """

    def __init__(
        self, message: str, *, reason: NotStartedReason = "crashed", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.reason: NotStartedReason = reason
        self.retry_after_s = retry_after_s


class CutOff(Exception):
    """What stands behind a raw handler was lost with the call in it: nobody knows whether it ran.

    The message is for the caller.
    """


RawHandler = Callable[[RawRequest], Awaitable[bytes]]
"""Gives the JSON of a whole result object.

It raises `ProtocolError` for a JSON-RPC error. Two more exceptions say something about delivery: `NotBegun`
and `CutOff`. Nothing else that it raises does, and no member of an error's data.
"""


class RawSpec(HandlerSpec):
    """A raw handler, and the definition that it is listed with, unknown members included.

    Attributes:
        definition: the definition, as far as longreach knows its members; None for what is in no listing.
    """

    context_parameter = "context"

    def __init__(
        self,
        owner: Named,
        offer: OfferKind,
        name: str,
        handler: RawHandler,
        *,
        definition: Any = None,
        listed: Definition | None = None,
        **options: Any,
    ) -> None:
        super().__init__(owner, offer, name, self._run, "async", **options)
        self._handler = handler
        self.can_ask = False  # what it asks for, and the states that it gives, are its own
        self.definition = definition
        self.listed = listed

    def matches(self, uri: str) -> bool:
        """Whether `uri` is one of this template."""
        return resembles(self.name, uri)

    def read(self, call: Call) -> dict[str, Any]:
        """The `params`, as they came."""
        return {"params": bytes(jsonrpc.decode_request(call.data).params)}

    async def _run(self, params: bytes, context: Context) -> Any:
        try:
            return await self._handler(RawRequest(self.method, params, context))
        except NotBegun as error:
            after_ms = None if error.retry_after_s is None else round(error.retry_after_s * 1000)
            return NotStarted(error.reason, after_ms)
        except CutOff as error:
            return Lost(str(error))

    def completed(self, value: Any, call: Call) -> Ending:
        """The result, as it is."""
        if isinstance(value, NotStarted | Lost):  # made in `_run`: a handler has no such values
            return value
        if not isinstance(value, bytes):
            raise InvalidResult(f"a raw handler gives JSON bytes, not a {type(value).__name__}")
        return Completed(RawResult(value))

    def failed(self, text: str) -> Ending:
        """A tool error, or of other methods a JSON-RPC error."""
        if self.offer == "tool":
            return Completed(error_result(text))
        return Failed(codes.INTERNAL_ERROR, text)


def raw_spec(
    owner: Named,
    kind: RawKind,
    definition: Mapping[str, Any],
    handler: RawHandler,
    *,
    timeout_s: float | None,
    **options: Any,
) -> RawSpec:
    """The spec of a raw handler.

    Raises:
        DeclarationError: `definition` is none of that kind.
    """
    said = dict(definition)
    if timeout_s is not None:
        said["_meta"] = {**(said.get("_meta") or {}), TIMEOUT_KEY: round(timeout_s * 1000)}
    try:
        # In one order, so that each replica's has the same digest.
        data = msgspec.json.encode(said, order="deterministic")
        decoded = _DECODERS[kind](data)
    except (TypeError, ValueError, RecursionError) as error:
        raise DeclarationError(f"this is no definition of a {kind}: {error}") from None
    name = str(said[_NAME_MEMBERS[kind]])
    if not name:  # what else a foreign server calls its own is not for us to refuse
        raise DeclarationError(f"a {kind} needs a {_NAME_MEMBERS[kind]} that is not empty")
    return RawSpec(
        owner,
        kind,
        name,
        handler,
        definition=decoded,
        listed=Definition(name, data),
        timeout_s=timeout_s,
        **options,
    )
