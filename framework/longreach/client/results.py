"""What a call gives back."""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypeVar

import msgspec

from longreach.errors import RemoteError
from longreach.wire import jsonrpc, mcp
from longreach.wire.completion import Completion
from longreach.wire.inputs import InputRequiredResult
from longreach.wire.prompts import PromptMessage

BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding somebody else's bytes can raise."""
NODE_KEY = "longreach/node"
REGION_KEY = "longreach/region"
INPUT_REQUIRED = "input_required"

T = TypeVar("T", bound=msgspec.Struct)


class _Ran:
    """What is known of where a request was answered."""

    __slots__ = ("attempts", "meta", "retries")

    meta: dict[str, Any]
    attempts: int
    retries: tuple[str, ...]

    @property
    def region(self) -> str | None:
        """The region where it ran."""
        return self.meta.get(REGION_KEY)

    @property
    def node(self) -> str | None:
        """``identity.instance`` of the node where it ran."""
        return self.meta.get(NODE_KEY)


class CallResult(_Ran):
    """The result of a call by name.

    Attributes:
        content: the content blocks, as MCP has them.
        structured: the structured result as plain Python values; None where there is none.
        is_error: whether the tool says that it failed; then `text` says how.
        meta: the result's `_meta`.
        region: where it ran.
        node: ``identity.instance`` of the node where it ran.
        attempts: how many times it was sent, 1 or more.
        retries: why each attempt but the last one failed.
    """

    __slots__ = ("content", "is_error", "structured")

    def __init__(
        self,
        content: list[mcp.ContentBlock],
        structured: Any,
        *,
        is_error: bool,
        meta: dict[str, Any],
        attempts: int = 1,
        retries: tuple[str, ...] = (),
    ) -> None:
        self.content = content
        self.structured = structured
        self.is_error = is_error
        self.meta = meta
        self.attempts = attempts
        self.retries = retries

    @property
    def text(self) -> str:
        """The text of all text blocks, one after the other."""
        return "\n".join(block.text for block in self.content if isinstance(block, mcp.TextContent))

    def __repr__(self) -> str:
        kind = "error" if self.is_error else "result"
        return f"<CallResult {kind} {self.text[:60]!r} from {self.node} in {self.region}>"


class PromptResult(_Ran):
    """A prompt, filled in.

    Attributes:
        messages: who says what.
        description: what the prompt is for; None where it isn't said.
        meta: the result's `_meta`.
        region: where it ran.
        node: ``identity.instance`` of the node where it ran.
        attempts: how many times it was sent, 1 or more.
        retries: why each attempt but the last one failed.
    """

    __slots__ = ("description", "messages")

    def __init__(self, result: RawPrompt, attempts: int = 1, retries: tuple[str, ...] = ()) -> None:
        self.meta = result.meta if isinstance(result.meta, dict) else {}
        self.attempts = attempts
        self.retries = retries
        self.messages = result.messages
        self.description = result.description

    @property
    def text(self) -> str:
        """The text of all messages that are text, one after the other."""
        texts = [m.content.text for m in self.messages if isinstance(m.content, mcp.TextContent)]
        return "\n".join(texts)

    def __repr__(self) -> str:
        return f"<PromptResult {len(self.messages)} messages from {self.node} in {self.region}>"


class ReadResult(_Ran):
    """What a resource holds.

    Attributes:
        contents: its parts, as MCP has them; a resource may have several.
        ttl_ms: for how long it may be kept, from when it was read.
        cache_scope: ``"public"`` or ``"private"``: whether it may be kept for others, too.
        meta: the result's `_meta`.
        region: where it ran.
        node: ``identity.instance`` of the node where it ran.
        attempts: how many times it was asked for; 0: it was kept from an earlier time.
        retries: why each attempt but the last one failed.
    """

    __slots__ = ("cache_scope", "contents", "ttl_ms")

    def __init__(self, result: RawRead, attempts: int = 1, retries: tuple[str, ...] = ()) -> None:
        self.meta = result.meta if isinstance(result.meta, dict) else {}
        self.attempts = attempts
        self.retries = retries
        self.contents = result.contents
        self.ttl_ms = result.ttl_ms
        self.cache_scope = result.cache_scope

    @property
    def text(self) -> str:
        """The text of all parts that are text, one after the other."""
        return "\n".join(part.text for part in self.contents if isinstance(part.text, str))

    @property
    def data(self) -> bytes:
        """All parts as bytes, one after the other: text as UTF-8, the others as they are.

        Raises:
            RemoteError: a part is not the base64 that it should be.
        """
        return b"".join(map(part_bytes, self.contents))

    def __repr__(self) -> str:
        return f"<ReadResult {len(self.contents)} contents from {self.node} in {self.region}>"


def part_bytes(part: mcp.ResourceContents) -> bytes:
    """What one part of a resource holds.

    Raises:
        RemoteError: it is not the base64 that it should be.
    """
    if isinstance(part.text, str):
        return part.text.encode()
    try:
        return base64.b64decode(str(part.blob), validate=True)
    except binascii.Error as error:
        raise RemoteError(f"{part.uri} is no base64: {error}", reason="bad_result") from error


class RawResult(msgspec.Struct, rename="camel", gc=False):
    """A tools/call result, decoded as far as everybody needs it."""

    content: msgspec.Raw = msgspec.Raw(b"[]")
    structured_content: msgspec.Raw = msgspec.Raw(b"")
    is_error: bool = False
    result_type: str = "complete"
    meta: msgspec.Raw = msgspec.field(name="_meta", default=msgspec.Raw(b"{}"))


class RawPrompt(msgspec.Struct, rename="camel"):
    """A prompts/get result."""

    messages: list[PromptMessage] = []
    description: str | None = None
    meta: Any = msgspec.field(name="_meta", default=None)


class RawRead(msgspec.Struct, rename="camel"):
    """A resources/read result."""

    contents: list[mcp.ResourceContents] = []
    ttl_ms: float = 0
    cache_scope: mcp.CacheScope = "private"
    meta: Any = msgspec.field(name="_meta", default=None)


class RawCompletion(msgspec.Struct):
    """A completion/complete result."""

    completion: Completion


class _Kind(msgspec.Struct, rename="camel"):
    result_type: str = "complete"


class _AnyResponse(msgspec.Struct, gc=False):
    id: jsonrpc.RequestId | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: jsonrpc.RpcError | msgspec.UnsetType = msgspec.UNSET


class _CallResponse(msgspec.Struct, gc=False):
    id: jsonrpc.RequestId | None = None
    result: RawResult | msgspec.UnsetType = msgspec.UNSET
    error: jsonrpc.RpcError | msgspec.UnsetType = msgspec.UNSET


_response = msgspec.json.Decoder(_CallResponse)
_any_response = msgspec.json.Decoder(_AnyResponse)
_content = msgspec.json.Decoder(list[mcp.ContentBlock])
_any = msgspec.json.Decoder()


def decode_response(data: bytes) -> RawResult | InputRequiredResult | jsonrpc.RpcError:
    """What a response to tools/call says.

    Raises:
        RemoteError: it isn't one, or of a kind that this client doesn't know.
    """
    try:
        response = _response.decode(data)
    except BAD_JSON as error:
        raise RemoteError(
            f"the node's answer is none to a tools/call: {error}", reason="bad_result"
        ) from error
    result = response.result
    if result is not msgspec.UNSET and response.error is msgspec.UNSET:
        return result if result.result_type == "complete" else _not_complete(data, result.result_type)
    if response.error is msgspec.UNSET or result is not msgspec.UNSET:
        raise RemoteError("the node's answer has not one of result and error", reason="bad_result")
    return response.error


def decode_result(data: bytes, kind: type[T]) -> T | InputRequiredResult | jsonrpc.RpcError:
    """What a response to a request says whose results are of `kind`.

    Raises:
        RemoteError: it isn't one, or of a kind that this client doesn't know.
    """
    try:
        response = _any_response.decode(data)
        result = response.result
        if (result is msgspec.UNSET) == (response.error is msgspec.UNSET):
            raise RemoteError("the node's answer has not one of result and error", reason="bad_result")
        if response.error is not msgspec.UNSET:
            return response.error
        assert result is not msgspec.UNSET
        result_type = msgspec.json.decode(result, type=_Kind).result_type
        if result_type != "complete":
            return _not_complete(data, result_type)
        return msgspec.json.decode(result, type=kind)
    except BAD_JSON as error:
        raise RemoteError(f"the node's answer is none that fits: {error}", reason="bad_result") from error


def _not_complete(data: bytes, result_type: str) -> InputRequiredResult:
    """The result that asks for input.

    Raises:
        RemoteError: it is no such result.
    """
    if result_type != INPUT_REQUIRED:
        raise RemoteError(
            f"the answer has resultType {result_type!r}, which this client does not know",
            reason="result_type",
        )
    try:
        result = _any_response.decode(data).result
        assert result is not msgspec.UNSET
        return msgspec.json.decode(result, type=InputRequiredResult)
    except BAD_JSON as error:
        raise RemoteError(
            f"the node asks for input in a way that is none: {error}", reason="bad_result"
        ) from error


def to_call_result(result: RawResult, attempts: int, retries: tuple[str, ...]) -> CallResult:
    """Everything in `result`, as Python values."""
    try:
        structured = _any.decode(result.structured_content) if bytes(result.structured_content) else None
        meta = _any.decode(result.meta)
        return CallResult(
            _content.decode(result.content),
            structured,
            is_error=result.is_error,
            meta=meta if isinstance(meta, dict) else {},
            attempts=attempts,
            retries=retries,
        )
    except BAD_JSON as error:
        raise RemoteError(f"the node sent a result that is none: {error}", reason="bad_result") from error


def error_text(result: RawResult) -> str:
    """The text of a result that is an error."""
    try:
        blocks = _content.decode(result.content)
    except BAD_JSON:
        return "the tool failed and says no more"
    text = "\n".join(block.text for block in blocks if isinstance(block, mcp.TextContent))
    return text or "the tool failed and says no more"
