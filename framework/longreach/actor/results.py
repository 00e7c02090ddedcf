"""From what a handler returns to what its caller gets."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from longreach.errors import ConfigError, InvalidResult
from longreach.wire.mcp import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceContents,
    ResourceLink,
    TextContent,
)
from longreach.wire.schema import HandlerSchema
from longreach.wire.values import encode

_BLOCKS = (TextContent, ImageContent, AudioContent, ResourceLink, EmbeddedResource)


class Media:
    """Bytes, or a file, and what they are."""

    family = ""

    def __init__(
        self,
        data: bytes | None = None,
        *,
        path: str | Path | None = None,
        format: str | None = None,
        mime_type: str | None = None,
    ) -> None:
        if (data is None) == (path is None):
            raise ConfigError(f"{type(self).__name__} takes either data or path")
        self.data = data if data is not None else Path(str(path)).read_bytes()
        guessed = mimetypes.guess_type(str(path))[0] if path is not None else None
        self.mime_type = mime_type or (f"{self.family}/{format}" if format else guessed)
        if self.mime_type is None:
            raise ConfigError(f"what kind of {self.family} is it? Say format='png', say, or mime_type=...")

    def encoded(self) -> str:
        """The data, base64."""
        return base64.b64encode(self.data).decode()


class Image(Media):
    """An image to return from a tool: `data` or `path`, and `format` (``"png"``) or `mime_type`."""

    family = "image"


class Audio(Media):
    """A sound to return from a tool: `data` or `path`, and `format` (``"wav"``) or `mime_type`."""

    family = "audio"


def error_result(text: str) -> CallToolResult:
    """The result of a tool that failed; what has no UTF-8 form in its text becomes ``?``."""
    text = text if text.isascii() else text.encode(errors="replace").decode()
    return CallToolResult([TextContent(text)], is_error=True)


def to_result(value: Any, schema: HandlerSchema) -> CallToolResult:
    """The result for what a handler returned.

    Text is text; None is nothing; content blocks, `Image`, `Audio` and bytes are what they are, alone or in a
    list; anything else is JSON, as text and, where it is an object or its type was promised, as structured
    content too. A `CallToolResult` is what it says.

    Raises:
        InvalidResult: the value does not fit the function's return annotation, or has no JSON form.
    """
    if schema.returns == "text" and isinstance(value, str):
        return CallToolResult([TextContent(value)])
    if isinstance(value, CallToolResult):
        return value
    if schema.returns == "data":
        return _data(value, schema)
    _check_promise(value, schema)
    blocks = _content(value, mixed=schema.returns == "any")
    if blocks is not None:
        return CallToolResult(blocks)
    if schema.returns == "content":
        raise InvalidResult(f"a {type(value).__name__} is no content, which the return annotation promises")
    return _untyped(value)


def _check_promise(value: Any, schema: HandlerSchema) -> None:
    if schema.returns == "text" or (schema.returns == "none" and value is not None):
        promised = "str" if schema.returns == "text" else "None"
        raise InvalidResult(f"a {type(value).__name__} was returned; the return annotation says {promised}")


def _data(value: Any, schema: HandlerSchema) -> CallToolResult:
    """What a return annotation promised: structured, and the same as text.

    A list that holds media, as ``-> list`` may, is content as well, so that clients show it.
    """
    blocks = None
    if isinstance(value, list | tuple) and any(isinstance(item, (*_BLOCKS, Media)) for item in value):
        blocks = _mixed(value)
        value = [_block(item) or item for item in value]
    structured = schema.structured(value)
    assert structured is not None
    if blocks is not None:
        return CallToolResult(blocks, structured_content=msgspec.Raw(structured))
    if isinstance(value, str):
        text = value
    elif schema.wraps_result:
        text = bytes(msgspec.json.decode(structured, type=dict[str, msgspec.Raw])["result"]).decode()
    else:
        text = structured.decode()
    return CallToolResult([TextContent(text)], structured_content=msgspec.Raw(structured))


def _untyped(value: Any) -> CallToolResult:
    """Data that nothing was promised of."""
    data = _json(value)
    if not data.startswith(b"{"):
        return CallToolResult([TextContent(data.decode())])
    return CallToolResult([TextContent(data.decode())], structured_content=msgspec.Raw(data))


def content_block(value: Any) -> ContentBlock | None:
    """`value` as a content block, texts too; None if it is no content."""
    return _block(value, text_too=True)


def _content(value: Any, *, mixed: bool) -> list[ContentBlock] | None:
    """`value` as content blocks, if it is content; None if it is data.

    Args:
        value: what a handler returned.
        mixed: a list may hold data beside content.
    """
    if value is None:
        return []
    one = _block(value, text_too=True)
    if one is not None:
        return [one]
    if isinstance(value, list | tuple) and value:
        blocks = [_block(item, text_too=True) for item in value]
        if any(not isinstance(item, str) for item in value) and all(block is not None for block in blocks):
            return [block for block in blocks if block is not None]
        if mixed and any(isinstance(item, (*_BLOCKS, Media)) for item in value):
            return _mixed(value)
    return None


def _mixed(values: Iterable[Any]) -> list[ContentBlock]:
    """Content blocks for `values`, of which some are data: these are JSON texts.

    Raises:
        InvalidResult: one of them has no JSON form.
    """
    return [_block(item, text_too=True) or TextContent(_json(item).decode()) for item in values]


def _json(value: Any) -> bytes:
    try:
        return encode(value)
    except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
        raise InvalidResult(f"the result has no JSON form: {error}") from error


def _block(value: Any, *, text_too: bool = False) -> ContentBlock | None:
    if isinstance(value, _BLOCKS):
        return value
    if isinstance(value, Image):
        return ImageContent(data=value.encoded(), mime_type=value.mime_type or "")
    if isinstance(value, Audio):
        return AudioContent(data=value.encoded(), mime_type=value.mime_type or "")
    if isinstance(value, bytes | bytearray | memoryview):
        blob = base64.b64encode(value).decode()
        kind = "application/octet-stream"
        return EmbeddedResource(ResourceContents(uri="data:" + kind, mime_type=kind, blob=blob))
    if text_too and isinstance(value, str):
        return TextContent(value)
    return None
