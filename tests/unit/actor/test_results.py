from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from mcp_types import CallToolResult as Oracle

from longreach.actor.results import Audio, Image, error_result, to_result
from longreach.errors import ConfigError, InvalidResult
from longreach.wire.mcp import CallToolResult, ResourceLink, TextContent
from longreach.wire.schema import inspect_handler


@dataclass
class Point:
    x: int
    y: int


def result_of(annotation: Any, value: Any) -> dict[str, Any]:
    """`value`, returned by a function with that annotation, as JSON that mcp-types accepts."""

    def function(): ...

    if annotation is not ...:
        function.__annotations__["return"] = annotation
    schema = inspect_handler(function, content_types=(Image, Audio))
    data = msgspec.json.encode(to_result(value, schema))
    Oracle.model_validate_json(data)
    return msgspec.json.decode(data)


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


@pytest.mark.parametrize(
    ("annotation", "value", "content", "structured"),
    [
        (str, "hello", [text("hello")], None),
        (None, None, [], None),
        (int, 7, [text("7")], {"result": 7}),
        (bool, True, [text("true")], {"result": True}),
        (float, 0.5, [text("0.5")], {"result": 0.5}),
        (int | None, None, [text("null")], {"result": None}),
        (str | None, "a", [text("a")], {"result": "a"}),
        (list[str], ["a"], [text('["a"]')], {"result": ["a"]}),
        (list[int], [], [text("[]")], {"result": []}),
        (Point, Point(1, 2), [text('{"x":1,"y":2}')], {"x": 1, "y": 2}),
        (dict[str, int], {"a": 1}, [text('{"a":1}')], {"a": 1}),
        (..., "hello", [text("hello")], None),
        (..., 7, [text("7")], None),
        (..., {"a": 1}, [text('{"a":1}')], {"a": 1}),
        (..., [1, "a"], [text('[1,"a"]')], None),
        (..., ["a", "b"], [text('["a","b"]')], None),
        (..., None, [], None),
        (TextContent, TextContent("t"), [text("t")], None),
    ],
)
def test_values_become_text_and_structured_content(annotation, value, content, structured):
    result = result_of(annotation, value)
    assert result["content"] == content
    assert result.get("structuredContent") == structured
    assert result["resultType"] == "complete"
    assert "isError" not in result


def test_media_and_bytes_are_content(tmp_path):
    png = tmp_path / "a.png"
    png.write_bytes(b"PNG")
    image, audio, blob = result_of(..., [Image(path=png), Audio(b"WAV", format="wav"), b"raw"])["content"]
    assert image == {"type": "image", "mimeType": "image/png", "data": base64.b64encode(b"PNG").decode()}
    assert audio == {"type": "audio", "mimeType": "audio/wav", "data": base64.b64encode(b"WAV").decode()}
    assert blob["resource"]["blob"] == base64.b64encode(b"raw").decode()
    assert result_of(Image, Image(b"x", format="png"))["content"][0]["type"] == "image"


def test_a_list_with_content_in_it_is_content_block_by_block():
    content = result_of(..., ["see", ResourceLink(uri="file:///a", name="a")])["content"]
    assert [block["type"] for block in content] == ["text", "resource_link"]


def test_a_whole_result_is_what_it_says_whatever_was_promised():
    mine = CallToolResult([TextContent("no")], is_error=True)
    assert result_of(Point, mine)["isError"] is True


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, "7"),
        (str, 7),
        (str, None),
        (None, 7),
        (Point, {"x": 1}),
        (Image, 7),
        (..., object()),
        (..., {1j: 2}),
    ],
)
def test_what_does_not_fit_its_annotation_is_refused(annotation, value):
    with pytest.raises(InvalidResult):
        result_of(annotation, value)


@pytest.mark.parametrize(
    "arguments", [{}, {"data": b"x"}, {"data": b"x", "path": "a.png"}, {"data": b"", "format": ""}]
)
def test_an_image_is_data_or_a_path_of_a_known_kind(arguments):
    with pytest.raises(ConfigError):
        Image(**arguments)


def test_errors_are_text_that_can_always_be_sent():
    assert msgspec.json.encode(error_result("a\udc80ü")) == msgspec.json.encode(
        CallToolResult([TextContent("a?ü")], is_error=True)
    )
