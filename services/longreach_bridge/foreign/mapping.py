"""Words of the legacy era as those of the mesh, and back: envelopes, results, errors."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Raw

from longreach.errors import ProtocolError
from longreach.wire import codes
from longreach.wire.capabilities import missing_capability
from longreach.wire.jsonrpc import RequestMeta
from longreach_bridge.foreign.calls import Ask, Params

_NOT_FOR_OTHERS: Final = ("io.modelcontextprotocol/", "longreach/")
ROUND: Final = ("inputResponses", "requestState")
_RESERVED: Final = range(-32768, -31999)
_KNOWN: Final = frozenset(
    {
        codes.PARSE_ERROR,
        codes.INVALID_REQUEST,
        codes.METHOD_NOT_FOUND,
        codes.INVALID_PARAMS,
        codes.INTERNAL_ERROR,
        codes.MISMATCH,
        codes.MISSING_CAPABILITY,
        codes.UNSUPPORTED_VERSION,
    }
)
_RESOURCE_NOT_FOUND: Final = -32002
URL_NEEDED: Final = -32042
"""A legacy server's error: the user has to visit pages first, and the request is to be made again."""

_COMPLETE: Final = Raw(b'"complete"')


def split_meta(params: Params) -> tuple[Params, Params]:
    """(the other members, the members of `_meta`)."""
    meta = msgspec.json.decode(params["_meta"], type=Params) if "_meta" in params else {}
    return {key: value for key, value in params.items() if key != "_meta"}, meta


def legacy_params(params: Params, meta: Params) -> Params:
    """What a legacy server is sent: without this era's envelope, and without what belongs to its rounds."""
    kept = {key: value for key, value in meta.items() if not key.startswith(_NOT_FOR_OTHERS)}
    others = {key: value for key, value in params.items() if key not in ROUND}
    return {**others, "_meta": encoded(kept)} if kept else others


def complete_result(result: Raw) -> bytes:
    """A legacy server's result as one of this era."""
    members = msgspec.json.decode(result, type=Params)
    return msgspec.json.encode({**members, "resultType": _COMPLETE})


def mesh_error(error: ProtocolError) -> ProtocolError:
    """A foreign server's error with a code that this era knows."""
    code = codes.INTERNAL_ERROR if error.code is None else error.code
    if code == _RESOURCE_NOT_FOUND:
        code = codes.INVALID_PARAMS
    elif code in _RESERVED and code not in _KNOWN:
        code = codes.INTERNAL_ERROR
    return ProtocolError(code, str(error), error.data)


def required_capability(ask: Ask) -> dict[str, Any]:
    """What a client must have stated to be asked this."""
    if ask.method == "sampling/createMessage":
        needs_tools = "tools" in ask.params or "toolChoice" in ask.params
        return {"sampling": {"tools": {}} if needs_tools else {}}
    if ask.method == "roots/list":
        return {"roots": {}}
    by_url = ask.params.get("mode") == Raw(b'"url"')
    return {"elicitation": {"url": {}} if by_url else {"form": {}}}


def can_answer(ask: Ask, meta: RequestMeta | None) -> bool:
    """Whether the client behind a request has stated that it can answer this."""
    return meta is not None and missing_capability(meta, required_capability(ask)) is None


def input_request(ask: Ask) -> dict[str, Any]:
    """What a legacy server asks, as an input request; it may not carry a task of its era."""
    params = {key: value for key, value in ask.params.items() if key not in ("_meta", "task")}
    return {"method": ask.method, "params": params}


def encoded(value: Any) -> Raw:
    """`value` as JSON bytes, to be put into `Params`."""
    return Raw(msgspec.json.encode(value))
