"""`longreach prompt`, `read`, and `describe` of what is no tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from longreach.client.info import PromptInfo, ResourceInfo, TemplateInfo, ToolInfo
from longreach.client.results import PromptResult, RawPrompt, RawRead, ReadResult
from longreach.errors import InputNeeded, NotFound
from longreach.policy.catalog import Catalog
from longreach.wire.inputs import (
    CreateMessageParams,
    CreateMessageRequest,
    ElicitParams,
    ElicitRequest,
    ListRootsRequest,
)
from longreach.wire.mcp import ResourceContents, Tool
from longreach.wire.prompts import Prompt, PromptArgument, PromptMessage
from longreach.wire.resources import Resource, ResourceTemplate

PLACE = (("1.0.0",), ("eu",), "d" * 22)
GREET = Prompt(
    "greet", title="Greet", description="Greets.\nWell.",
    arguments=[PromptArgument("who", description="Whom.", required=True), PromptArgument("how")],
)  # fmt: skip
NOTES = Resource("mem://notes", "notes", description="All notes.", mime_type="text/plain", size=12)
FILES = ResourceTemplate("mem://{+path}", "files")


def message(text: str, role: str = "user") -> PromptMessage:
    return msgspec.convert({"role": role, "content": {"type": "text", "text": text}}, PromptMessage)


class FakeMesh:
    """Has one prompt, one resource, one template, and answers with `answer`."""

    def __init__(self) -> None:
        self.answer: Any = PromptResult(RawPrompt([message("hello")], "Greets."), 1, ())
        self.asked: list[Any] = []
        self.catalog = Catalog()
        self._options: dict[str, Any] = {}

    async def __aenter__(self) -> FakeMesh:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def tools(self, server: str | None = None) -> list[ToolInfo]:
        return [ToolInfo("docs", Tool("greet", {}), *PLACE), ToolInfo("docs", Tool("get", {}), *PLACE)]

    async def prompts(self, server: str | None = None) -> list[PromptInfo]:
        return [PromptInfo("docs", GREET, *PLACE)]

    async def resources(self, server: str | None = None) -> list[ResourceInfo]:
        return [ResourceInfo("docs", NOTES, *PLACE)]

    async def templates(self, server: str | None = None) -> list[TemplateInfo]:
        return [TemplateInfo("docs", FILES, *PLACE)]

    def options(self, **options: Any) -> FakeMesh:
        self._options = options
        return self

    async def get_prompt(self, name: str, arguments: dict[str, str]) -> PromptResult:
        return self._answer(name, arguments)

    async def read(self, server: str, uri: str) -> ReadResult:
        return self._answer(server, uri)

    def _answer(self, *asked: Any) -> Any:
        self.asked.append((*asked, self._options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> FakeMesh:
    fake = FakeMesh()
    monkeypatch.setattr("longreach.cli.loop.open_mesh", lambda *_: fake)
    return fake


def held(*parts: ResourceContents) -> ReadResult:
    return ReadResult(RawRead(list(parts), 5, "public", {"longreach/region": "eu"}), 1, ())


def test_a_prompt_is_printed(longreach: Callable[..., Result], mesh: FakeMesh):
    done = longreach(
        "prompt", "docs.greet", "who=ann=b", "-", "--timeout", "3", stdin='{"how": "loud", "who": 1}'
    )

    assert (done.exit_code, done.stdout, done.stderr) == (0, "hello\n", "")
    # A bit of the command's time has passed already.
    left = {"timeout_s": pytest.approx(1.5, abs=1.5)}
    assert mesh.asked == [("docs.greet", {"how": "loud", "who": "ann=b"}, left)]


def test_several_messages_say_whose_they_are(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = PromptResult(RawPrompt([message("hi"), message("ho", "assistant")]), 2, ("busy",))

    assert longreach("prompt", "docs.greet").stdout == "user:\nhi\n\nassistant:\nho\n"
    assert json.loads(longreach("prompt", "docs.greet", "--json").stdout) == {
        "messages": [
            {"role": "user", "content": {"type": "text", "text": "hi"}},
            {"role": "assistant", "content": {"type": "text", "text": "ho"}},
        ],
        "_meta": {},
        "attempts": 2,
        "retries": ["busy"],
    }


@pytest.mark.parametrize(
    ("word", "said"),
    [("whom=x", "did you mean who?"), ("zzz=x", "it takes who, how"), ("who", "write key=value")],
)
def test_wrong_arguments_of_a_prompt_ask_nobody(
    longreach: Callable[..., Result], mesh: FakeMesh, word: str, said: str
):
    done = longreach("prompt", "docs.greet", word)

    assert (done.exit_code, mesh.asked) == (2, [])
    assert said in done.stderr


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ElicitRequest(ElicitParams("?", {})), "run the command on a terminal"),
        (ListRootsRequest(), "--root FOLDER"),
        (CreateMessageRequest(CreateMessageParams([], 1)), "the command line has not"),
    ],
)  # fmt: skip
def test_what_is_asked_for_and_nobody_answers_is_said(
    longreach: Callable[..., Result], mesh: FakeMesh, request_: Any, said: str
):
    mesh.answer = InputNeeded("x", {"k": request_}, None)

    for words in (("prompt", "docs.greet"), ("read", "docs", "mem://a")):
        done = longreach(*words)
        assert (done.exit_code, done.stdout) == (1, "")
        assert said in done.stderr


def test_errors_that_are_about_something_else_stay(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = NotFound("gone")

    assert longreach("prompt", "docs.greet").stderr == "longreach: gone\n"
    assert longreach("read", "docs", "mem://a").exit_code == 3


def test_the_text_of_a_resource_is_printed_as_it_is(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = held(ResourceContents("mem://a", text="one\n"))

    done = longreach("read", "docs", "mem://a")

    assert (done.exit_code, done.stdout) == (0, "one\n")
    assert mesh.asked == [("docs", "mem://a", {"timeout_s": None})]


def test_what_is_no_text_is_written_where_it_is_told(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = held(ResourceContents("mem://a", mime_type="image/png", blob="AAH/"))

    refused = longreach("read", "docs", "mem://a")
    written = longreach("read", "docs", "mem://a", "--output", "a.png")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "image/png" in refused.stderr
    assert "--output" in refused.stderr
    assert (written.exit_code, written.stdout) == (0, "")
    assert Path("a.png").read_bytes() == b"\x00\x01\xff"
    assert longreach("read", "docs", "mem://a", "--output", "-").stdout_bytes == b"\x00\x01\xff"
    assert longreach("read", "docs", "mem://a", "--output", "no/such/folder").exit_code == 2
    assert json.loads(longreach("read", "docs", "mem://a", "--json").stdout) == {
        "contents": [{"uri": "mem://a", "mimeType": "image/png", "blob": "AAH/"}],
        "ttlMs": 5,
        "cacheScope": "public",
        "_meta": {"longreach/region": "eu"},
        "attempts": 1,
        "retries": [],
    }


def test_several_parts_are_no_one_file(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = held(ResourceContents("mem://a", text="one"), ResourceContents("mem://b", text="two"))

    assert longreach("read", "docs", "mem://a").stdout == "one\ntwo"
    assert "2 parts" in longreach("read", "docs", "mem://a", "-o", "f").stderr


def test_a_prompt_is_described_and_a_tool_of_that_name_too(longreach: Callable[..., Result], mesh: FakeMesh):
    page = longreach("describe", "docs.greet").stdout

    assert page.startswith("docs.greet\n")  # the tool
    assert "docs.greet - Greet\n  Greets.\n  Well.\n" in page
    assert "  who              Whom." in page
    assert "  how  (optional)" in page
    assert "  longreach prompt docs.greet who=..." in page
    tool, prompt = json.loads(longreach("describe", "docs.greet", "--json").stdout)
    assert (tool["tool"]["name"], prompt["prompt"]["name"]) == ("greet", "greet")


def test_resources_and_templates_are_described(longreach: Callable[..., Result], mesh: FakeMesh):
    resource, template = (
        longreach("describe", "docs", uri).stdout for uri in ("mem://notes", "mem://{+path}")
    )

    assert resource.startswith(
        "docs mem://notes\n  All notes.\n\nName: notes\nKind: text/plain\nSize: 12 bytes\n"
    )
    assert "  longreach read docs mem://notes" in resource
    assert "  longreach read docs 'mem://{+path}'" in template
    (found,) = json.loads(longreach("describe", "docs", "mem://notes", "--json").stdout)
    assert found["resource"]["uri"] == "mem://notes"
    assert longreach("describe", "docs", "mem://none").exit_code == 3
    assert longreach("describe", "docs").exit_code == 2
