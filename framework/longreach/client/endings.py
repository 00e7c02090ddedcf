"""How an attempt ended: from replies and losses to `Failure`, and from the last failure to an error.

The one place that reads the closed table of docs/binding.md (Endings) on the client's side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from longreach.errors import (
    BrokerUnavailable,
    CallTimeout,
    LongreachError,
    NotFound,
    NotStarted,
    OutcomeUnknown,
    PermissionDenied,
    RemoteError,
    ResidencyRefused,
    TooLarge,
)
from longreach.policy.retry import Failure
from longreach.wire import codes, jsonrpc

if TYPE_CHECKING:
    from longreach.wire.jsonrpc import RpcError

NO_RESPONDERS = "no_responders"
BUSY = "busy"
CUT_OFF = codes.CUT_OFF
DEADLINE = codes.DEADLINE
DENIED = "denied"
LINK = "link"
TOO_LARGE = "too_large"
CLOSED = "closed"
RESULT_TOO_LARGE = codes.RESULT_TOO_LARGE
DAMAGED = "damaged"

_FINAL = (codes.INVALID_PARAMS, codes.INVALID_REQUEST, codes.MISMATCH, codes.MISSING_CAPABILITY)
"""Codes of what would be answered in the same way again."""
_UNKNOWN_TEXT = {
    "node_died": "the node that had the call died",
    "node_stuck": "the node that had the call stopped answering",
    "gone": "the node that had the call no longer has it, and its answer did not arrive",
    "nobody_has_it": "no node says that it has the call",
    "may_not_ask": "the broker's permissions do not let this caller ask the nodes which of them has the call",
    DAMAGED: "its result came in parts, and is not what was offered",
    CUT_OFF: "the node drained and cut the call off at its time limit",
}


def from_error(error: RpcError, region: str) -> Failure | RemoteError | PermissionDenied:
    """What a JSON-RPC error means: not started, cut off, or what ends the call."""
    refused = jsonrpc.not_started(error)
    if refused is not None:
        limit, node = jsonrpc.limit_of(error), jsonrpc.refuser_of(error)
        return Failure("no", refused[0], region, retry_after_s=refused[1], limit=limit, node=node)
    said = error.data.get("reason") if isinstance(error.data, dict) else None
    if error.code == codes.INTERNAL_ERROR and said in (CUT_OFF, DEADLINE):  # M5.2: with no other code
        return Failure(delivered="unknown", reason=said, region=region)
    if error.code == codes.FORBIDDEN:
        text = f"the node refused it, and nothing ran: {error.message}"
        reason = said if isinstance(said, str) else None
        return PermissionDenied(text, code=error.code, data=error.data, reason=reason, region=region)
    text = f"the node answered with error {error.code}: {error.message}"
    if error.code == codes.MISSING_CAPABILITY:
        text += "; on_elicit, on_url, on_sample and on_roots give a call what it needs"
    return RemoteError(
        text,
        code=error.code,
        data=error.data,
        reason=said if isinstance(said, str) else None,
        retryable=error.code not in _FINAL,
        region=region,
    )


def from_refusal(error: LongreachError, region: str) -> Failure:
    """What it means that the link would not send: a failure to retry.

    Raises:
        TooLarge: sending it again would not help.
    """
    if isinstance(error, TooLarge):
        raise error
    reason = error.reason if error.reason == "busy" else LINK
    return Failure(delivered="no", reason=reason, region=region)


def to_error(
    failure: Failure, target: str, *, timeout_s: float, residency: frozenset[str] | None
) -> LongreachError:
    """The error that the caller sees after its last attempt ended in `failure`."""
    fields: dict[str, Any] = {"reason": failure.reason, "region": failure.region, "node": failure.node}
    if failure.reason == DEADLINE:
        text = f"{target} did not answer within {timeout_s:g} s"
        if failure.delivered == "unknown":
            text += "; it may have run. Allow more with timeout_s, or ask `longreach ls` who serves it"
        return CallTimeout(text, delivered=failure.delivered, **fields)
    if failure.reason == RESULT_TOO_LARGE:
        text = f"{target} ran, but its result is over this connection's limit, max_body_bytes"
        return RemoteError(text, **fields)
    if failure.delivered == "unknown" and failure.reason == CLOSED:
        return OutcomeUnknown(f"the mesh was closed while {target} ran; it was told to stop", **fields)
    if failure.delivered == "unknown":
        why = _UNKNOWN_TEXT.get(failure.reason, failure.reason)
        text = (
            f"the outcome of {target} is unknown: {why}. It was not run again: that is done once, within the "
            f"retry budget, for tools marked read_only or idempotent, or called with idempotent=True"
        )
        return OutcomeUnknown(text, **fields)
    return _refused(failure, target, residency, fields)


def _refused(
    failure: Failure, target: str, residency: frozenset[str] | None, fields: dict[str, Any]
) -> LongreachError:
    if failure.reason == DENIED:
        text = (
            f"the broker's permissions do not allow {target} in region {failure.region}: "
            f"`longreach subject {target}` prints the permission that is needed"
        )
        return PermissionDenied(text, **fields)
    if failure.reason == CLOSED:
        return BrokerUnavailable(f"the mesh is closed; {target} was not sent", retryable=False, **fields)
    if failure.reason == LINK:
        return BrokerUnavailable(f"no connection to a broker; {target} was not sent", **fields)
    if failure.reason == NO_RESPONDERS:
        if residency is not None:
            text = f"no node offers {target} in {_regions(residency)}, and residency allows no other region"
            return ResidencyRefused(text, **fields)
        text = f"no node offers {target} just now: start one, or see `longreach ls` for what is up"
        return NotFound(text, retryable=True, **fields)
    why = failure.reason if failure.limit is None else f"you are beyond your limit ({failure.limit})"
    text = f"{target} was refused before it began: {why}; nothing ran, so it can be called again"
    return NotStarted(text, retry_after_s=failure.retry_after_s, limit=failure.limit, **fields)


def _regions(regions: frozenset[str]) -> str:
    names = sorted(regions)
    return f"region {names[0]}" if len(names) == 1 else f"regions {', '.join(names)}"
