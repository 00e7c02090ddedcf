"""`_meta` of a client's own requests: what it can do, who it is, and the trace it belongs to."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import msgspec

from longreach.trace import Trace, current_trace
from longreach.wire import codes

_VENDOR = "io.modelcontextprotocol/"
OPENTELEMETRY = "opentelemetry.trace"
VERSION = "0.1.0"
"""Of longreach. Not taken from the package, which names the node's floor too."""


@lru_cache(maxsize=256)
def encode_meta(
    *, form: bool, url: bool, sampling: bool, roots: bool, more: bytes, log_level: str | None
) -> bytes:
    """`_meta` as JSON, without its last brace: what differs from request to request may follow.

    Args:
        form: forms can be filled in.
        url: pages can be visited.
        sampling: a model can be asked.
        roots: folders can be named.
        more: further capabilities, JSON; empty: none.
        log_level: the least level of the log messages that are wanted; None: none are.
    """
    capabilities: dict[str, Any] = msgspec.json.decode(more) if more else {}
    modes: dict[str, Any] = {name: {} for name, can in (("form", form), ("url", url)) if can}
    if modes:
        capabilities["elicitation"] = {**capabilities.get("elicitation", {}), **modes}
    for name, can in (("sampling", sampling), ("roots", roots)):
        if can:
            capabilities.setdefault(name, {})
    meta: dict[str, Any] = {
        _VENDOR + "protocolVersion": codes.PROTOCOL_VERSION,
        _VENDOR + "clientCapabilities": capabilities,
        _VENDOR + "clientInfo": {"name": "longreach", "version": VERSION},
    }
    if log_level is not None:
        meta[_VENDOR + "logLevel"] = log_level
    return msgspec.json.encode(meta)[:-1]


def encode_trace() -> bytes:
    """The members of `_meta` that name the present trace, each after a comma; empty where there is none.

    A span of OpenTelemetry comes first, where its API is in use: it is the child of what came from afar.
    """
    trace = current_trace()
    if OPENTELEMETRY in sys.modules:
        trace = _from_opentelemetry() or trace
    if trace is None:
        return b""
    stated = {name: text for name, text in trace._asdict().items() if text is not None}
    return b"," + msgspec.json.encode(stated)[1:-1] if stated else b""


def _from_opentelemetry() -> Trace | None:
    from opentelemetry import propagate, trace

    if not trace.get_current_span().get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    found = Trace(*(carrier.get(name) for name in Trace._fields))
    return found if found.traceparent is not None else None
