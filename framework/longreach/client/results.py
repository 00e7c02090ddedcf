"""What a call gives back."""

from __future__ import annotations

from typing import Any

import msgspec

from longreach.errors import RemoteError
from longreach.wire import jsonrpc, mcp

BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding somebody else's bytes can raise."""
NODE_KEY = "longreach/node"
REGION_KEY = "longreach/region"


class CallResult:
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

    __slots__ = ("attempts", "content", "is_error", "meta", "retries", "structured")

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

    @property
    def region(self) -> str | None:
        """The region where the call ran."""
        return self.meta.get(REGION_KEY)

    @property
    def node(self) -> str | None:
        """``identity.instance`` of the node where the call ran."""
        return self.meta.get(NODE_KEY)

    def __repr__(self) -> str:
        kind = "error" if self.is_error else "result"
        return f"<CallResult {kind} {self.text[:60]!r} from {self.node} in {self.region}>"


class RawResult(msgspec.Struct, rename="camel", gc=False):
    """A tools/call result, decoded as far as everybody needs it."""

    content: msgspec.Raw = msgspec.Raw(b"[]")
    structured_content: msgspec.Raw = msgspec.Raw(b"")
    is_error: bool = False
    result_type: str = "complete"
    meta: msgspec.Raw = msgspec.field(name="_meta", default=msgspec.Raw(b"{}"))


class _CallResponse(msgspec.Struct, gc=False):
    id: jsonrpc.RequestId | None = None
    result: RawResult | msgspec.UnsetType = msgspec.UNSET
    error: jsonrpc.RpcError | msgspec.UnsetType = msgspec.UNSET


_response = msgspec.json.Decoder(_CallResponse)
_content = msgspec.json.Decoder(list[mcp.ContentBlock])
_any = msgspec.json.Decoder()


def decode_response(data: bytes) -> RawResult | jsonrpc.RpcError:
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
        if result.result_type != "complete":
            raise RemoteError(
                f"the tool answered with resultType {result.result_type!r}, which this client does not know",
                reason="result_type",
            )
        return result
    if response.error is msgspec.UNSET or result is not msgspec.UNSET:
        raise RemoteError("the node's answer has not one of result and error", reason="bad_result")
    return response.error


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
