"""How a request ends at a front: the answer's bytes, and what an error of the mesh is for a client. Pure.

The codes are ours and outside JSON-RPC's reserved range. The mesh's own -31900 (not started) stays inside
the mesh: it is a promise of a node to whoever asked it.
Source: docs/adr/0009-names-and-uris-of-the-whole-mesh.md.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from longreach.errors import (
    BrokerUnavailable,
    CallTimeout,
    CredentialsRejected,
    LongreachError,
    NotFound,
    NotStarted,
    OutcomeUnknown,
    PermissionDenied,
    ResidencyRefused,
    TooLarge,
)
from longreach.wire import codes
from longreach.wire.jsonrpc import RequestId, RpcError, encode_error, encode_result

UNAVAILABLE: Final = codes.UNAVAILABLE
OUTCOME_UNKNOWN: Final = codes.OUTCOME_UNKNOWN
TIMED_OUT: Final = codes.TIMED_OUT
FORBIDDEN: Final = codes.FORBIDDEN
TOO_LARGE: Final = codes.TOO_LARGE

_CODES: tuple[tuple[type[LongreachError], int], ...] = (
    (NotStarted, UNAVAILABLE),
    (NotFound, UNAVAILABLE),
    (BrokerUnavailable, UNAVAILABLE),
    (ResidencyRefused, UNAVAILABLE),
    (OutcomeUnknown, OUTCOME_UNKNOWN),
    (CallTimeout, TIMED_OUT),
    (PermissionDenied, FORBIDDEN),
    (CredentialsRejected, FORBIDDEN),
    (TooLarge, TOO_LARGE),
)
_UNKNOWN_NAMES = frozenset({"no_such_tool", "no_such_prompt", "no_such_resource"})
_IS_RESULT = re.compile(rb'\{(?:"jsonrpc":"2\.0",)?"id":(?:-?\d+|"[^"\\]*"),"result":')


class Answer(NamedTuple):
    """The one response to a request.

    Attributes:
        data: the JSON-RPC response.
        code: of its error; None where it is a result.
    """

    data: bytes
    code: int | None


class Refused(Exception):
    """A request that is refused here; it goes to no node.

    Attributes:
        code: the JSON-RPC code to answer with.
        data: what goes with it.
    """

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class _Code(msgspec.Struct):
    code: int


class _Ending(msgspec.Struct):
    error: _Code | None = None


_ending = msgspec.json.Decoder(_Ending)


def received(data: bytes) -> Answer:
    """The answer that a node sent. Of one with a result only the beginning is looked at."""
    if _IS_RESULT.match(data) is not None:
        return Answer(data, None)
    try:
        error = _ending.decode(data).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Answer(data, codes.INTERNAL_ERROR)
    return Answer(data, None if error is None else error.code)


def result(request_id: RequestId, value: Any) -> Answer:
    """A result: a Struct, a dict, or JSON bytes."""
    return Answer(encode_result(request_id, value), None)


def refusal(request_id: RequestId | None, code: int, message: str, data: Any = None) -> Answer:
    """An error."""
    return Answer(encode_error(request_id, code, message, data), code)


def refusal_of(request_id: RequestId | None, error: RpcError) -> Answer:
    """The error `error`."""
    data = None if error.data is msgspec.UNSET else error.data
    return refusal(request_id, error.code, error.message, data)


def failure(request_id: RequestId, error: LongreachError, what: str) -> Answer:
    """What the mesh's `error` is for the client whose request it ended.

    Args:
        request_id: of the request.
        error: why there is no response.
        what: what was asked for, for the text.
    """
    if isinstance(error, NotFound) and error.reason in _UNKNOWN_NAMES:
        return refusal(request_id, codes.INVALID_PARAMS, f"there is no {what}")
    code = next((code for kind, code in _CODES if isinstance(error, kind)), codes.INTERNAL_ERROR)
    data: dict[str, Any] = {"delivered": error.delivered}
    if error.reason is not None:
        data["reason"] = error.reason
    after_s = getattr(error, "retry_after_s", None)
    if after_s is not None:
        data["retryAfterMs"] = int(after_s * 1000)
    limit = getattr(error, "limit", None)
    if limit is not None:
        data["limit"] = limit
    return refusal(request_id, code, _text(code, error, what), data)


def _text(code: int, error: LongreachError, what: str) -> str:
    """One sentence for a client: what it was, what may have happened, what to do."""
    if code == UNAVAILABLE:
        why = error.reason or "unavailable"
        return f"{what} cannot be reached just now ({why}); nothing ran, try again later"
    if code == OUTCOME_UNKNOWN:
        return f"the outcome of {what} is unknown: it was lost, and may have run wholly, partly or not at all"
    if code == TIMED_OUT:
        ran = "nothing ran" if error.delivered == "no" else "it may have run"
        return f"{what} did not answer in time; {ran}"
    if code == FORBIDDEN:
        return f"{what} may not be used from here: the mesh's permissions do not allow it"
    if code == TOO_LARGE:
        return f"the request to {what} is larger than the mesh carries; nothing ran"
    return f"{what} failed: internal error"
