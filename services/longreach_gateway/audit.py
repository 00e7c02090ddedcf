"""The audit log of a gateway: one event for each request, who asked from where, what, and how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.audit import MAX_TEXT, AuditLog, trace_id
from longreach.errors import Delivered, LongreachError
from longreach.wire import codes, jsonrpc

if TYPE_CHECKING:
    from longreach.wire.incoming import Incoming
    from longreach_gateway.answers import Scope

_ENDED = "request.ended"
_FORWARDED_FOR = b"x-forwarded-for"


class Entry:
    """One request, as it will be told.

    Attributes:
        silent: somebody else tells of it.
    """

    __slots__ = ("_audit", "_began", "_fields", "silent")

    def __init__(self, audit: Audit, scope: Scope, era: str | None) -> None:
        self._audit = audit
        self._began = time.monotonic()
        self.silent = False
        client = scope.get("client")
        # What a balancer says of the address is told as what it is: a claim of whoever sent the request.
        said = next((value for name, value in scope["headers"] if name == _FORWARDED_FOR), None)
        self._fields: dict[str, Any] = {
            "gateway": audit.gateway,
            "era": era,
            "principal": None,
            "client": client[0] if client else None,
            "forwarded_for": None if said is None else said[:MAX_TEXT].decode("latin-1"),
            "path": scope["path"][:MAX_TEXT],
            "method": None,
            "name": None,
            "request_id": None,
            "trace_id": None,
            "outcome": "cut_off",
            "status": None,
            "code": None,
            "delivered": None,
        }

    def by(self, principal: str | None) -> None:
        """Who asks."""
        self._fields["principal"] = principal

    def asks(self, request: Incoming) -> None:
        """What is asked."""
        name = request.name
        self._fields |= {
            "era": self._fields["era"] or "modern",
            "method": request.method[:MAX_TEXT],
            "name": None if name is None else name[:MAX_TEXT],
            "request_id": request.id,
            "trace_id": None if request.meta is msgspec.UNSET else trace_id(request.meta.traceparent),
        }

    def answered(
        self, status: int, data: bytes, code: int | None, delivered: Delivered | None = None
    ) -> None:
        """Note how it ended.

        Args:
            status: of HTTP.
            data: the response.
            code: of the error in it. None: it is a result.
            delivered: whether it ran, where that is known and the code does not say so.
        """
        if code is None:
            is_error = b'"isError":true' in data
            self._fields |= {"outcome": "tool_error" if is_error else "ok", "delivered": "yes"}
        else:
            # With any other code `data` may be a handler's, which may say there what it likes.
            said = delivered_of(data) if code in codes.RESERVED_CODES else delivered
            self._fields |= {"outcome": "error", "delivered": said}
        self._fields |= {"status": status, "code": code}

    def refused(self, status: int) -> None:
        """It was not carried out."""
        self._fields |= {"outcome": "refused", "status": status, "delivered": "no"}

    def end(self) -> None:
        """Tell of it, once."""
        if not self.silent:
            self.silent = True
            self._fields["duration_ms"] = round((time.monotonic() - self._began) * 1000, 3)
            self._audit.log.put(_ENDED, self._fields)


class Audit:
    """Makes entries.

    Args:
        log: where they are written.
        gateway: the gateway's id.
    """

    def __init__(self, log: AuditLog, gateway: str) -> None:
        self.log = log
        self.gateway = gateway

    def begin(self, scope: Scope, era: str | None = None) -> Entry:
        """A request has come; of which era may only be known later."""
        return Entry(self, scope, era)


def delivered_of(data: bytes) -> Delivered | None:
    """Return what an error of a reserved code says of delivery; None for any other response."""
    try:
        error = jsonrpc.decode_response(data).error
    except (LongreachError, ValueError, RecursionError):
        return None
    if error is msgspec.UNSET or error.code not in codes.RESERVED_CODES or not isinstance(error.data, dict):
        return None
    said = error.data.get("delivered")
    return said if said in ("no", "yes", "unknown") else None
