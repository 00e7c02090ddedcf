"""JSON-RPC 2.0, as far as MCP 2026-07-28 uses it.

Decoding never raises anything but `Malformed`, whose code is the one to answer with.
Source: docs/binding.md M2.1, 5; MCP 2026-07-28 basic.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from longreach.wire import codes

RequestId = int | str
_VENDOR = "io.modelcontextprotocol/"
_REASONS = frozenset({"busy", "expired", "draining", "not_here", "crashed"})
_T = TypeVar("_T")


class Malformed(ValueError):
    """A message that cannot be taken.

    Attributes:
        code: the JSON-RPC error code to answer with.
        id: the request's id, where it could be read.
    """

    def __init__(self, message: str, code: int, request_id: RequestId | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.id = request_id


class RequestMeta(msgspec.Struct, rename={
    "protocol_version": _VENDOR + "protocolVersion",
    "client_capabilities": _VENDOR + "clientCapabilities",
    "client_info": _VENDOR + "clientInfo",
    "log_level": _VENDOR + "logLevel",
    "progress_token": "progressToken",
}):  # fmt: skip
    """`_meta` of a request."""

    protocol_version: str | UnsetType = UNSET
    client_capabilities: Raw | UnsetType = UNSET
    client_info: Raw | UnsetType = UNSET
    log_level: str | UnsetType = UNSET
    progress_token: RequestId | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET
    baggage: str | UnsetType = UNSET


class CallParams(msgspec.Struct):
    """`params` of tools/call."""

    name: str
    arguments: Raw = Raw(b"{}")
    meta: RequestMeta | UnsetType = msgspec.field(name="_meta", default=UNSET)


class CallRequest(msgspec.Struct):
    """A tools/call request: what the hot path decodes."""

    jsonrpc: Literal["2.0"]
    id: RequestId
    method: str
    params: CallParams


class Request(msgspec.Struct):
    """Any request."""

    jsonrpc: Literal["2.0"]
    id: RequestId
    method: str
    params: Raw = Raw(b"{}")


class Notification(msgspec.Struct):
    """Any notification."""

    jsonrpc: Literal["2.0"]
    method: str
    params: Raw = Raw(b"{}")


class RpcError(msgspec.Struct):
    """The `error` of a response."""

    code: int
    message: str
    data: Any = UNSET


class Response(msgspec.Struct):
    """A response: it has a result or an error."""

    jsonrpc: Literal["2.0"]
    id: RequestId | None = None
    result: Raw | UnsetType = UNSET
    error: RpcError | UnsetType = UNSET


class _Result(msgspec.Struct):
    id: RequestId
    result: Any
    jsonrpc: str = "2.0"


class _Error(msgspec.Struct):
    id: RequestId | None
    error: RpcError
    jsonrpc: str = "2.0"


class _OutNotification(msgspec.Struct):
    method: str
    params: Any
    jsonrpc: str = "2.0"


class _Id(msgspec.Struct):
    id: RequestId | None = None


_encode = msgspec.json.Encoder().encode
_call_decoder = msgspec.json.Decoder(CallRequest)
_request_decoder = msgspec.json.Decoder(Request)
_response_decoder = msgspec.json.Decoder(Response)
_notification_decoder = msgspec.json.Decoder(Notification)
_id_decoder = msgspec.json.Decoder(_Id)


def decode_call(data: bytes) -> CallRequest:
    """A tools/call request.

    Raises:
        Malformed: it is none.
    """
    try:
        return _call_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(data, error) from None


def decode_request(data: bytes) -> Request:
    """Any request.

    Raises:
        Malformed: it is none.
    """
    return _decode(_request_decoder, data)


def decode_response(data: bytes) -> Response:
    """A response that has exactly one of result and error.

    Raises:
        Malformed: it is none.
    """
    response = _decode(_response_decoder, data)
    if (response.result is UNSET) == (response.error is UNSET):
        raise Malformed("a response has either a result or an error", codes.INVALID_REQUEST, response.id)
    return response


def decode_notification(data: bytes) -> Notification:
    """A notification.

    Raises:
        Malformed: it is none.
    """
    return _decode(_notification_decoder, data)


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(data, error) from None


def _malformed(data: bytes, error: Exception) -> Malformed:
    """Which code it is: not JSON, not a request, or a request with wrong params."""
    try:
        known: RequestId | None = _id_decoder.decode(data).id
    except msgspec.ValidationError:
        known = None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Malformed("this is not JSON", codes.PARSE_ERROR)
    code = codes.INVALID_PARAMS if "$.params" in str(error) else codes.INVALID_REQUEST
    return Malformed(str(error), code, known)


def encode_result(request_id: RequestId, result: Any) -> bytes:
    """A response with `result`: a Struct, or JSON bytes as `Raw`."""
    return _encode(_Result(request_id, result))


def encode_error(request_id: RequestId | None, code: int, message: str, data: Any = None) -> bytes:
    """A response with an error; `data` None or UNSET is left out."""
    return _encode(_Error(request_id, RpcError(code, message, UNSET if data is None else data)))


def encode_notification(method: str, params: Any) -> bytes:
    """A notification."""
    return _encode(_OutNotification(method, params))


def encode_not_started(
    request_id: RequestId | None, reason: codes.NotStartedReason, retry_after_ms: int | None = None
) -> bytes:
    """The reply that says: the handler did not begin, and never will for this request."""
    data: dict[str, Any] = {"reason": reason}
    if retry_after_ms is not None:
        data["retryAfterMs"] = retry_after_ms
    return encode_error(request_id, codes.NOT_STARTED, f"not started: {reason}", data)


def not_started(error: RpcError) -> tuple[str, float | None] | None:
    """(reason, retry after how many seconds) if `error` is a not-started reply, else None.

    A reason that is not in the closed list is taken as ``"busy"``: a newer node's word for a refusal.
    """
    if error.code != codes.NOT_STARTED:
        return None
    data = error.data if isinstance(error.data, dict) else {}
    after = data.get("retryAfterMs")
    seconds = after / 1000 if isinstance(after, int | float) and after >= 0 else None
    reason = data.get("reason")
    return (reason if reason in _REASONS else "busy", seconds)


def strip_reserved(error: RpcError) -> RpcError:
    """`error` as a handler or a bridged server may return it: never with our reserved code."""
    if error.code == codes.NOT_STARTED:
        return RpcError(codes.INTERNAL_ERROR, error.message, error.data)
    return error


def validate_meta(meta: RequestMeta | UnsetType) -> RpcError | None:
    """What is wrong with a request's `_meta`; None if nothing is."""
    if meta is UNSET:
        return _lacks("protocolVersion and clientCapabilities")
    meta = cast("RequestMeta", meta)
    if meta.protocol_version is UNSET:
        return _lacks("protocolVersion")
    if meta.client_capabilities is UNSET:
        return _lacks("clientCapabilities")
    if meta.protocol_version != codes.PROTOCOL_VERSION:
        text = f"this server speaks MCP {codes.PROTOCOL_VERSION} only"
        data = {"supported": [codes.PROTOCOL_VERSION], "requested": meta.protocol_version}
        return RpcError(codes.UNSUPPORTED_VERSION, text, data)
    return None


def _lacks(what: str) -> RpcError:
    return RpcError(codes.INVALID_PARAMS, f"params._meta lacks {_VENDOR}{what}")
