"""JSON-RPC 2.0, as far as MCP 2026-07-28 uses it.

Decoding never raises anything but `Malformed`, whose code is the one to answer with.
Source: docs/binding.md M2.1, 5; MCP 2026-07-28 basic.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from longreach.wire import codes
from longreach.wire.values import encode as _encode

RequestId = int | str
_VENDOR = "io.modelcontextprotocol/"
_IN_PARAMS = re.compile(r" - at (?:key in )?`\$\.params[^`]*`$|^Object missing required field `params`$")
_MAX_RETRY_AFTER_MS = 86_400_000
_MAX_SAID_CHARS = 256
_MAX_ID_SHOWN = 64
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


_META_NAMES = {
    "protocol_version": _VENDOR + "protocolVersion",
    "client_capabilities": _VENDOR + "clientCapabilities",
    "client_info": _VENDOR + "clientInfo",
    "log_level": _VENDOR + "logLevel",
    "progress_token": "progressToken",
}


class RequestMeta(msgspec.Struct, rename=_META_NAMES, gc=False):
    """`_meta` of a request.

    Decoding asks for no member, so that `validate_meta` can say what is missing; unknown ones are skipped.
    `client_info` is what a client says of itself, JSON bytes, believed by nobody.
    """

    protocol_version: str | UnsetType = UNSET
    client_capabilities: dict[str, Any] | UnsetType = UNSET
    client_info: Raw | UnsetType = UNSET
    log_level: str | UnsetType = UNSET
    progress_token: RequestId | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET
    tracestate: str | UnsetType = UNSET
    baggage: str | UnsetType = UNSET


class CallParams(msgspec.Struct, gc=False):
    """`params` of tools/call, prompts/get (both have a name) and resources/read (which has a URI).

    `arguments` are JSON bytes, for the handler's own decoder; so are `input_responses`, the answers to what
    an earlier result asked for, whose `request_state` comes back with them.
    """

    name: str = ""
    uri: str = ""
    arguments: Raw = Raw(b"{}")
    input_responses: Raw | UnsetType = msgspec.field(name="inputResponses", default=UNSET)
    request_state: str | UnsetType = msgspec.field(name="requestState", default=UNSET)
    meta: RequestMeta | UnsetType = msgspec.field(name="_meta", default=UNSET)


class CallRequest(msgspec.Struct, gc=False):
    """A request with such `params`: what the hot path decodes."""

    jsonrpc: Literal["2.0"]
    id: RequestId
    method: str
    params: CallParams


class Request(msgspec.Struct, gc=False):
    """Any request."""

    jsonrpc: Literal["2.0"]
    id: RequestId
    method: str
    params: Raw = Raw(b"{}")


class Notification(msgspec.Struct, gc=False):
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


class _OutRequest(msgspec.Struct):
    id: RequestId
    method: str
    params: Any
    jsonrpc: str = "2.0"


class _Id(msgspec.Struct):
    id: RequestId | None = None


class _RawId(msgspec.Struct):
    id: Raw | UnsetType = UNSET


_call_decoder = msgspec.json.Decoder(CallRequest)
_request_decoder = msgspec.json.Decoder(Request)
_response_decoder = msgspec.json.Decoder(Response)
_notification_decoder = msgspec.json.Decoder(Notification)
_id_decoder = msgspec.json.Decoder(_Id)
_raw_id_decoder = msgspec.json.Decoder(_RawId)
_members_decoder = msgspec.json.Decoder(dict[str, Raw])
_any_decoder = msgspec.json.Decoder()
_RESERVED_REASONS = tuple(codes.RESERVED_REASONS)  # not as a set: a list in `data.reason` has no hash


def decode_call(data: bytes) -> CallRequest:
    """A request of tools/call, prompts/get or resources/read; its `method` is for the caller to check.

    Raises:
        Malformed: it is none.
    """
    return decode_with(_call_decoder, data)


def decode_request(data: bytes) -> Request:
    """Any request.

    Raises:
        Malformed: it is none.
    """
    return decode_with(_request_decoder, data)


def decode_response(data: bytes) -> Response:
    """A response that has exactly one of result and error.

    Raises:
        Malformed: it is none.
    """
    response = decode_with(_response_decoder, data)
    if (response.result is UNSET) == (response.error is UNSET):
        raise Malformed("a response has either a result or an error", codes.INVALID_REQUEST, response.id)
    return response


def decode_notification(data: bytes) -> Notification:
    """A notification.

    Raises:
        Malformed: it is none.
    """
    return decode_with(_notification_decoder, data)


def decode_with(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    """A message of the kind that `decoder` knows.

    Raises:
        Malformed: it is none.
    """
    try:
        message = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(data, error) from None
    if not data.isascii() and not is_utf8(data):
        raise Malformed("this is not JSON: it is not UTF-8", codes.PARSE_ERROR, getattr(message, "id", None))
    return message


def is_utf8(data: bytes) -> bool:
    """Whether all of a message is UTF-8.

    What msgspec skips, it does not check; whoever reads it later would stumble.
    """
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _malformed(data: bytes, error: Exception) -> Malformed:
    """Which code it is: not JSON, not a request, or a request with wrong params."""
    if not isinstance(error, msgspec.ValidationError):
        return Malformed("this is not JSON", codes.PARSE_ERROR)
    try:
        known: RequestId | None = _id_decoder.decode(data).id
    except msgspec.ValidationError:
        known = None
        said = read_raw_id(data)
        if said is not None:
            shown = said[:_MAX_ID_SHOWN].decode(errors="replace")
            return Malformed(f"the id must be a text or an integer, not {shown}", codes.INVALID_REQUEST)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Malformed("this is not JSON", codes.PARSE_ERROR)
    # Anchored, because the text can quote what the sender wrote.
    code = codes.INVALID_PARAMS if _IN_PARAMS.search(str(error)) else codes.INVALID_REQUEST
    return Malformed(str(error), code, known)


def read_raw_id(data: bytes) -> bytes | None:
    """Return the JSON bytes of the member `id`, of whatever kind; None if the message has no such member."""
    try:
        said = _raw_id_decoder.decode(data).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if said is UNSET else bytes(said)


def encode_request(request_id: RequestId, method: str, params: Any) -> bytes:
    """A request; `params`: a Struct, a dict, or JSON bytes."""
    return _encode(_OutRequest(request_id, method, _json(params)))


def encode_result(request_id: RequestId, result: Any) -> bytes:
    """A response with a result.

    Args:
        request_id: of the request.
        result: a Struct, a dict, or JSON bytes, which go out as they are.

    Raises:
        TypeError: a value in `result` has no JSON form.
        ValueError: a number in it is not finite, or a text has no UTF-8 form.
    """
    return _encode(_Result(request_id, _json(result)))


def encode_error(request_id: RequestId | None, code: int, message: str, data: Any = None) -> bytes:
    """A response with an error; `data` None or UNSET is left out.

    A message of any text can be sent: what has no UTF-8 form in it becomes ``?``, since an error that
    cannot be told would leave its call without an ending.
    """
    if not message.isascii():
        message = message.encode(errors="replace").decode()
    return _encode(_Error(request_id, RpcError(code, message, UNSET if data is None else data)))


def encode_notification(method: str, params: Any) -> bytes:
    """A notification; `params`: a Struct, a dict, or JSON bytes."""
    return _encode(_OutNotification(method, _json(params)))


def _json(value: Any) -> Any:
    """`value`, but bytes as the JSON that they are: msgspec would write them as base64."""
    return Raw(value) if type(value) is bytes else value


def encode_not_started(
    request_id: RequestId | None,
    reason: codes.NotStartedReason,
    retry_after_ms: int | None = None,
    limit: str | None = None,
    node: str | None = None,
) -> bytes:
    """The reply that says: the handler did not begin, and never will for this request.

    Args:
        request_id: of the request.
        reason: one of the closed list.
        retry_after_ms: when to ask again; None: nobody knows.
        limit: the kind of limit that the caller is beyond; None: it is not the caller's own doing.
        node: ``identity.instance`` of the node that has no room, where another one may have.
    """
    data: dict[str, Any] = {"reason": reason}
    if retry_after_ms is not None:
        data["retryAfterMs"] = retry_after_ms
    if node is not None:
        data["node"] = node
    text = f"not started: {reason}"
    if limit is not None:
        data["limit"] = limit
        text += f", the caller is limited ({limit})"
    return encode_error(request_id, codes.NOT_STARTED, text, data)


def limit_of(error: RpcError) -> str | None:
    """The kind of limit that a not-started reply names, if it names one."""
    return _said(error, "limit")


def refuser_of(error: RpcError) -> str | None:
    """The node that a not-started reply names, ``identity.instance``, if it names one."""
    return _said(error, "node")


def _said(error: RpcError, member: str) -> str | None:
    said = error.data.get(member) if isinstance(error.data, dict) else None
    return said[:_MAX_SAID_CHARS] if isinstance(said, str) else None


def not_started(error: RpcError) -> tuple[codes.NotStartedReason, float | None] | None:
    """(reason, retry after how many seconds) if `error` is a not-started reply, else None.

    A reason that is not in the closed list is taken as ``"busy"``: a newer node's word for a refusal.
    More than a day to wait is taken as a day.
    """
    if error.code != codes.NOT_STARTED:
        return None
    data = error.data if isinstance(error.data, dict) else {}
    given = data.get("reason")
    reason: codes.NotStartedReason = "busy"
    for known in codes.NOT_STARTED_REASONS:
        if known == given:
            reason = known
    after = data.get("retryAfterMs")
    if isinstance(after, bool) or not isinstance(after, int | float) or after < 0:
        return reason, None
    return reason, min(after, _MAX_RETRY_AFTER_MS) / 1000


def strip_reserved(error: RpcError) -> RpcError:
    """Make an error of a handler, or of a bridged server, one that says nothing about delivery.

    A reserved code becomes -32603, and so does what is no integer of 64 bits. A reserved word in
    `data.reason` is removed with its member. What counts is the JSON that an asker will read: a Struct, a
    dataclass or a `Raw` is an object there too.

    Raises:
        TypeError: something in `data` has no JSON form.
        ValueError: `data` is not JSON, or not UTF-8.
        RecursionError: `data` is nested too deep.
    """
    code: Any = error.code  # a handler's may be anything
    data = error.data
    is_code = isinstance(code, int) and not isinstance(code, bool) and -(2**63) <= code < 2**63
    if not is_code or code in codes.RESERVED_CODES:
        code = codes.INTERNAL_ERROR
    if data is not UNSET and data is not None:
        data = _without_reserved_reason(data)
    if code is error.code and data is error.data:
        return error
    return RpcError(int(code), error.message, data)


def _without_reserved_reason(data: Any) -> Any:
    """Return `data` as it is, or as JSON bytes where a member had to go."""
    encoded = _encode(data)
    if not is_utf8(encoded):
        raise ValueError("the data of an error is not UTF-8")
    try:
        members = _members_decoder.decode(encoded)
    except msgspec.ValidationError:  # it is JSON, and no object
        return data
    reason = members.get("reason")
    if reason is not None and _any_decoder.decode(reason) in _RESERVED_REASONS:
        del members["reason"]
    elif type(data) is dict and len(data) == len(members):
        return data
    # Of two members with one name, which a `Raw` can hold, readers take either: here it is one.
    return Raw(_encode(members))


def validate_meta(meta: RequestMeta | UnsetType) -> RpcError | None:
    """What is wrong with a request's `_meta`; None if nothing is."""
    if meta is UNSET:
        return _lacks("protocolVersion", "clientCapabilities")
    if meta.protocol_version is UNSET:
        return _lacks("protocolVersion")
    if meta.client_capabilities is UNSET:
        return _lacks("clientCapabilities")
    if meta.protocol_version != codes.PROTOCOL_VERSION:
        text = f"this server speaks MCP {codes.PROTOCOL_VERSION} only"
        data = {"supported": [codes.PROTOCOL_VERSION], "requested": meta.protocol_version}
        return RpcError(codes.UNSUPPORTED_VERSION, text, data)
    return None


def _lacks(*names: str) -> RpcError:
    listed = " and ".join(_VENDOR + name for name in names)
    return RpcError(codes.INVALID_PARAMS, f"params._meta lacks {listed}")
