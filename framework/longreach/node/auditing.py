"""The audit log of a node: what became of each call, told once when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from longreach.actor.authorizing import name_of
from longreach.actor.call import (
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Forbidden,
    Lost,
    NotStarted,
    RawResult,
)
from longreach.audit import MAX_ARGUMENTS, MAX_TEXT, trace_id
from longreach.node.intake import Intake, RoutedCall
from longreach.wire import codes, jsonrpc
from longreach.wire.inputs import InputRequiredResult
from longreach.wire.tokens import decode_optional

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending
    from longreach.audit import AuditLog
    from longreach.node.replies import ReplyRoute

_ENDED = "call.ended"


class Auditor:
    """Tells the audit log of calls of one server.

    Args:
        log: where it is written.
        server: the server's name.
        place: (region, node name).
        arguments: whether what was asked with is told, too.
    """

    def __init__(self, log: AuditLog, server: str, place: tuple[str, str], *, arguments: bool) -> None:
        self._log = log
        self._where = {"server": server, "region": place[0], "node": place[1]}
        self._arguments = arguments

    def ended(self, call: Call, outcome: dict[str, Any], duration_s: float) -> None:
        """A call has ended."""
        meta = call.params.meta
        fields = {
            "caller": decode_optional(call.caller),
            "via": decode_optional(call.via),
            **self._where,
            "method": call.spec.method,
            "name": name_of(call)[:MAX_TEXT],
            **outcome,
            "duration_ms": round(duration_s * 1000, 3),
            "request_id": call.id,
            "trace_id": None if meta is msgspec.UNSET else trace_id(meta.traceparent),
        }
        if call.claims is not None:
            fields["sub"] = msgspec.json.decode(call.claims).get("sub")
        if self._arguments:
            said = bytes(getattr(call.params, "arguments", b""))
            fields["arguments"] = said[:MAX_ARGUMENTS].decode(errors="replace")
        self._log.put(_ENDED, fields)

    def refused(self, route: ReplyRoute, method: str, name: str | None, data: bytes) -> None:
        """A request was refused before it was a call; `data` is what it was answered."""
        via, caller, *_ = route.scope.split(".")
        fields = {
            "caller": decode_optional(caller),
            "via": decode_optional(via),
            **self._where,
            "method": method,
            "name": name if name is None else name[:MAX_TEXT],
            "outcome": "refused",
            **_said(data),
            "delivered": "no",
        }
        self._log.put(_ENDED, fields)


class AuditedIntake(Intake):
    """Takes calls in, and tells the audit log how each ends.

    Args:
        intake: takes the calls.
        auditor: tells.
        method: of the requests that come here.
        name: what all of them are about; None: the body says it.
    """

    def __init__(self, intake: Intake, auditor: Auditor, method: str, name: str | None) -> None:
        self.replies = intake.replies
        self.book = intake.book
        self.clock = intake.clock
        self.calls = intake.calls
        self.large = intake.large
        self.gate = intake.gate
        self._intake = intake
        self._auditor = auditor
        self._method = method
        self._name = name

    def refuse(self, route: ReplyRoute, data: bytes) -> None:
        """Answer a request that never became a call."""
        self._auditor.refused(route, self._method, self._name, data)
        self._intake.refuse(route, data)

    def take(self, call: RoutedCall, keep_running: bool) -> bool:
        """Take a call."""
        taken = self._intake.take(call, keep_running)
        if not taken:
            self._tell(call, {"outcome": "refused", "delivered": "no"})
        return taken

    def note(self, call: Call, notification: bytes) -> None:
        """Pass a notification on."""
        self._intake.note(call, notification)

    def ended(self, call: Call, ending: Ending) -> None:
        """A call that came through here has ended."""
        self._intake.ended(call, ending)
        self._tell(call, outcome_of(ending))

    def _tell(self, call: Call, outcome: dict[str, Any]) -> None:
        self._auditor.ended(call, outcome, self.clock.monotonic() - call.arrived)


def outcome_of(ending: Ending) -> dict[str, Any]:
    """How a call ended, in the words of the audit log."""
    match ending:
        case Completed(result):
            return {"outcome": _of_result(result), "delivered": "yes"}
        case NotStarted(reason, _):
            return {"outcome": "not_started", "reason": reason, "delivered": "no"}
        case Forbidden():
            return {"outcome": "forbidden", "code": codes.FORBIDDEN, "delivered": "no"}
        case Crashed(reference):
            return {"outcome": "crashed", "reference": reference, "delivered": "yes"}
        case Failed(code, _, _):
            return {"outcome": "error", "code": code, "delivered": "yes"}
        case Lost():
            return {
                "outcome": "error", "code": codes.INTERNAL_ERROR, "reason": codes.CUT_OFF, "delivered": "yes",
            }  # fmt: skip
        case Cancelled(why):
            return {"outcome": "cancelled", "reason": why, "delivered": "yes"}


class _Raw(msgspec.Struct):
    is_error: bool = msgspec.field(name="isError", default=False)
    result_type: str = msgspec.field(name="resultType", default="complete")


_raw = msgspec.json.Decoder(_Raw)


def _of_result(result: Any) -> str:
    if isinstance(result, InputRequiredResult):
        return "input_required"
    if isinstance(result, RawResult):
        try:
            read = _raw.decode(result.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "error"
        return read.result_type if read.result_type != "complete" else _word(read.is_error)
    return _word(getattr(result, "is_error", False) is True)


def _word(is_error: bool) -> str:
    return "tool_error" if is_error else "ok"


def _said(data: bytes) -> dict[str, Any]:
    error = jsonrpc.decode_response(data).error
    if error is msgspec.UNSET:
        return {}
    reason = error.data.get("reason") if isinstance(error.data, dict) else None
    return {"code": error.code, "reason": reason}
