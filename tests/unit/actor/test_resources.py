from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.declared import asked
from tests.support.oracle import agree, models

from longreach import Actor, Image, ResourceNotFound, Server, ToolError, resource
from longreach.errors import ConfigError, DeclarationError
from longreach.wire.mcp import Annotations, ResourceContents
from longreach.wire.resources import ReadResourceResult

URI = "docs://one"


async def read(value: Any, mime_type: str | None = None, **options: Any) -> Any:
    server = Server("docs")

    @server.resource(URI, mime_type=mime_type, **options)
    async def one():
        return value

    return await asked(server, "resources/read", uri=URI)


def test_definitions_come_from_the_functions():
    server = Server("docs")

    @server.resource(
        URI, title="One", mime_type="text/markdown", size=7, annotations=Annotations(priority=0.5), tags=["x"]
    )
    def one() -> str:
        """The first."""
        return ""

    @server.resource("docs://{section}/{+path}", name="All")
    def pages(section: int, path: str) -> str:
        return ""

    single, template = server.offered("resource")[URI], server.offered("template")["docs://{section}/{+path}"]
    agree(single.listed.data, models.Resource)
    agree(template.listed.data, models.ResourceTemplate)
    assert msgspec.json.decode(single.listed.data) == {
        "uri": URI,
        "name": "one",
        "title": "One",
        "description": "The first.",
        "mimeType": "text/markdown",
        "size": 7,
        "annotations": {"priority": 0.5},
        "_meta": {"longreach/tags": ["x"]},
    }
    assert msgspec.json.decode(template.listed.data) == {
        "uriTemplate": "docs://{section}/{+path}",
        "name": "All",
    }


@pytest.mark.parametrize(
    ("value", "mime_type", "contents"),
    [
        ("hi", None, [{"uri": URI, "mimeType": "text/plain", "text": "hi"}]),
        ("# hi", "text/markdown", [{"uri": URI, "mimeType": "text/markdown", "text": "# hi"}]),
        (b"\x00", None, [{"uri": URI, "mimeType": "application/octet-stream", "blob": "AA=="}]),
        (b"\x00", "image/x", [{"uri": URI, "mimeType": "image/x", "blob": "AA=="}]),
        (Image(b"\x00", format="png"), None, [{"uri": URI, "mimeType": "image/png", "blob": "AA=="}]),
        ({"a": [1]}, None, [{"uri": URI, "mimeType": "application/json", "text": '{"a":[1]}'}]),
        ([1, 2], None, [{"uri": URI, "mimeType": "application/json", "text": "[1,2]"}]),
        ([], None, [{"uri": URI, "mimeType": "application/json", "text": "[]"}]),
        (
            ["a", ResourceContents("x:y", text="b")],
            None,
            [{"uri": URI, "mimeType": "text/plain", "text": "a"}, {"uri": "x:y", "text": "b"}],
        ),
    ],
)
async def test_what_is_returned_becomes_contents(value: Any, mime_type: str | None, contents: list[Any]):
    assert await read(value, mime_type) == {
        "contents": contents,
        "ttlMs": 0,
        "cacheScope": "private",
        "resultType": "complete",
    }


async def test_what_has_no_json_form_is_a_failure_that_tells_nothing():
    error = await read(object())
    assert error["code"] == -32603
    assert "the log of" in error["message"]


async def test_a_whole_result_is_what_it_says():
    result = await read(ReadResourceResult([ResourceContents("x:y", text="")], 5, "public"))
    assert (result["ttlMs"], result["cacheScope"]) == (5, "public")


async def test_how_long_and_for_whom_the_resource_says_or_else_the_server():
    assert (await read("x", ttl_s=1.5))["ttlMs"] == 1500
    assert (await read("x", cache_scope="public"))["cacheScope"] == "public"
    server = Server("docs", read_ttl_s=60, read_cache_scope="public")
    server.add_resource(URI, lambda: "x")
    result = await asked(server, "resources/read", uri=URI)
    assert (result["ttlMs"], result["cacheScope"]) == (60_000, "public")


@pytest.mark.parametrize("options", [{"ttl_s": -1}, {"cache_scope": "all"}, {"timeout_s": 0}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]):
    with pytest.raises(ConfigError):
        Server("docs").add_resource(URI, lambda: "x", **options)


@pytest.mark.parametrize("options", [{"read_ttl_s": -1}, {"read_cache_scope": "all"}, {"tags": ["", "a"]}])
def test_so_are_those_of_a_server(options: dict[str, Any]):
    with pytest.raises(ConfigError):
        Server("docs", **options)


def templated() -> Server:
    server = Server("docs")

    @server.resource("docs://{number}/page")
    def page(number: int) -> str:
        if number > 9:
            raise ResourceNotFound(f"docs://{number}/page")
        return f"page {number}"

    @server.resource("docs://1/page")
    async def first() -> str:
        return "the first"

    return server


async def test_a_template_has_typed_variables_and_a_single_resource_goes_first():
    result = await asked(templated(), "resources/read", uri="docs://3/page")
    assert result["contents"][0] == {"uri": "docs://3/page", "mimeType": "text/plain", "text": "page 3"}
    assert (await asked(templated(), "resources/read", uri="docs://1/page"))["contents"][0][
        "text"
    ] == "the first"


@pytest.mark.parametrize("uri", ["docs://x/page", "docs://10/page", "docs://1", "other://x"])
async def test_what_there_is_not_is_said_with_its_uri(uri: str):
    error = await asked(templated(), "resources/read", uri=uri)
    assert (error["code"], error["data"]) == (-32602, {"uri": uri})


async def test_a_failure_is_an_error_of_the_protocol():
    server = Server("docs")

    @server.resource(URI)
    def one() -> str:
        raise ToolError("the disk is full")

    error = await asked(server, "resources/read", uri=URI)
    assert (error["code"], error["message"]) == (-32603, "the disk is full")


async def test_a_method_of_an_actor_can_be_a_resource():
    server = Server("docs")

    @server.actor
    class Shelf(Actor):
        async def started(self) -> None:
            self.books = {"a": b"x"}

        @resource("docs://{book}", ttl_s=1)
        async def book(self, book: str) -> bytes:
            return self.books[book]

    result = await asked(server, "resources/read", uri="docs://a")
    assert (result["contents"][0]["blob"], result["ttlMs"]) == ("eA==", 1000)


def test_what_cannot_be_a_resource_is_refused():
    server = Server("docs")

    def none() -> str:
        return ""

    def one(page: str, more: str = "") -> str:
        return ""

    for uri, function, said in (
        ("nothing", none, "URI"),
        ("docs://{page}", none, "no parameter 'page'"),
        ("docs://x", one, "nothing in it says what parameter 'page' is"),
        ("docs://{page", one, "brace"),
    ):
        with pytest.raises(DeclarationError, match=said):
            server.add_resource(uri, function)
    with pytest.raises(DeclarationError, match="single resource"):
        server.add_resource("docs://{page}", one, size=5)
    server.add_resource("docs://{page}", one, complete={"page": lambda value: []})
    with pytest.raises(DeclarationError, match="template called"):
        server.add_resource("docs://{page}", one)
    server.add_resource(URI, none)
    server.remove_resource("docs://{page}")
    server.remove_resource(URI)
    assert not server.handlers
    with pytest.raises(ConfigError, match="no resource 'docs://one'"):
        server.remove_resource(URI)
