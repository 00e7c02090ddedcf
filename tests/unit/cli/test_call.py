from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from click.testing import Result

from longreach.cli.call import print_log
from longreach.cli.loop import open_mesh
from longreach.client.info import PromptInfo, ToolInfo
from longreach.client.results import CallResult
from longreach.errors import BrokerUnavailable, CallTimeout, ConfigError, NotFound, RemoteError
from longreach.policy.catalog import Catalog
from longreach.wire import mcp

STRING = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"zip": STRING, "pages": {"type": "integer", "default": 1, "description": "How many."}},
    "required": ["zip"],
    "additionalProperties": False,
}


def info(name: str = "get", schema: dict[str, Any] = SCHEMA, version: str = "1.0.0") -> ToolInfo:
    tool = mcp.Tool(
        name,
        schema,
        title="Get it",
        description="Gets.",
        annotations=mcp.ToolAnnotations(read_only_hint=True),
    )
    return ToolInfo(server="docs", tool=tool, versions=(version,), regions=("eu",), digest="d" * 22)


def result(*content: Any, structured: Any = None, is_error: bool = False) -> CallResult:
    return CallResult(
        list(content),
        structured,
        is_error=is_error,
        meta={"longreach/region": "eu"},
        attempts=2,
        retries=("node_died",),
    )


class FakeMesh:
    """Offers `infos`, and answers each call with `answer`."""

    def __init__(self, infos: list[ToolInfo], answer: CallResult | Exception) -> None:
        self.infos = infos
        self.answer = answer
        self.called: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        self.catalog = Catalog()
        self._options: dict[str, Any] = {}

    async def __aenter__(self) -> FakeMesh:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def tools(self, server: str | None = None) -> list[ToolInfo]:
        return [info for info in self.infos if server in (None, info.server)]

    async def prompts(self, server: str | None = None) -> list[PromptInfo]:
        return []

    def options(self, **options: Any) -> FakeMesh:
        self._options = options
        return self

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallResult:
        self.called.append((tool, arguments, self._options))
        self._options["on_progress"](1.0, 2.0, "half way")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> FakeMesh:
    fake = FakeMesh([info()], result(mcp.TextContent("got it")))
    monkeypatch.setattr("longreach.cli.loop.open_mesh", lambda *_: fake)
    return fake


def test_the_text_goes_to_standard_output(longreach: Callable[..., Result], mesh: FakeMesh):
    done = longreach("call", "docs.get", "zip=02139", "pages=3")

    assert (done.exit_code, done.stdout, done.stderr) == (0, "got it\n", "")
    tool, arguments, _ = mesh.called[0]
    assert (tool, arguments) == ("docs.get", {"zip": "02139", "pages": 3})


def test_options_are_passed_on_where_they_are_given(longreach: Callable[..., Result], mesh: FakeMesh):
    longreach("call", "docs.get", "--timeout", "5", "--not-idempotent", "--node", "n.1")
    longreach("call", "docs.get")

    first, second = (dict(options) for _, _, options in mesh.called)
    assert first.pop("on_progress")
    assert 0 < first.pop("timeout_s") <= 5  # what is left of the command's time
    assert first == {"idempotent": False, "node": "n.1"}
    assert second.keys() == {"on_progress"}


def test_what_the_tool_logs_is_shown_where_it_is_wanted(longreach: Callable[..., Result], mesh: FakeMesh):
    longreach("call", "docs.get", "--logs", "debug")
    _, _, options = mesh.called[0]
    assert options["log_level"] == "debug"
    assert longreach("call", "docs.get", "--logs", "loud").exit_code == 2


def test_a_log_message_is_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]):
    print_log("warning", {"a": "b\n"}, "docs")
    print_log("info", "text\x1b", None)
    assert capsys.readouterr().err == 'warning: docs: {"a": "b\\n"}\ninfo: text\N{REPLACEMENT CHARACTER}\n'


def test_what_the_tool_asks_for_and_nobody_answers_is_said(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = RemoteError("x", code=-32021, data={"requiredCapabilities": {"elicitation": {"form": {}}}})
    done = longreach("call", "docs.get")
    assert done.exit_code == 1
    assert done.stderr == "longreach: docs.get asks the user something: run the command on a terminal\n"


def test_folders_are_named_where_they_are_given(longreach: Callable[..., Result], mesh: FakeMesh):
    longreach("call", "docs.get", "--root", ".", "--root", "/tmp")
    _, _, options = mesh.called[0]
    assert asyncio.run(options["on_roots"]()) == [Path.cwd().as_uri(), Path("/tmp").resolve().as_uri()]


def test_json_is_the_whole_result(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = result(mcp.TextContent("text"), structured={"a": 1})

    done = longreach("call", "docs.get", "--json")

    assert json.loads(done.stdout) == {
        "content": [{"type": "text", "text": "text"}],
        "structuredContent": {"a": 1},
        "isError": False,
        "_meta": {"longreach/region": "eu"},
        "attempts": 2,
        "retries": ["node_died"],
    }


def test_a_tools_error_is_exit_code_1(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = result(mcp.TextContent("no luck"), is_error=True)

    plain, as_json = longreach("call", "docs.get"), longreach("call", "docs.get", "--json")

    assert (plain.exit_code, plain.stdout, plain.stderr) == (1, "", "longreach: docs.get failed: no luck\n")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["isError"] is True


@pytest.mark.parametrize(
    ("error", "code"), [(NotFound("x"), 3), (CallTimeout("x"), 5), (BrokerUnavailable("x"), 6)]
)
def test_errors_of_the_call_have_their_codes(
    longreach: Callable[..., Result], mesh: FakeMesh, error: Exception, code: int
):
    mesh.answer = error

    done = longreach("call", "docs.get")

    assert (done.exit_code, done.stdout, done.stderr) == (code, "", "longreach: x\n")


def test_standard_input_and_files_come_before_words(longreach: Callable[..., Result], mesh: FakeMesh):
    Path("a.json").write_text('{"zip": "file", "pages": 1}')

    longreach("call", "docs.get", "pages=3", "-", "@a.json", stdin='{"zip": "stdin", "more": 1}')

    assert mesh.called[0][1] == {"zip": "file", "pages": 3, "more": 1}


@pytest.mark.parametrize(
    ("word", "stdin", "said"),
    [
        ("-", "[1]", "standard input must hold a JSON object"),
        ("-", "{", "standard input is not JSON"),
        ("-", '{"pages": NaN}', "standard input is not JSON: JSON has no NaN"),
        ("-", '{"pages": 1e999}', "standard input is not JSON: 1e999 is too large for a number"),
        ("zip:=NaN", "", "zip:= takes JSON"),
        ("zip:=1e999", "", "zip:= takes JSON"),
        ("@nowhere", "", "nowhere cannot be read"),
        ("pages=x", "", "pages takes integer"),
        ("page=1", "", "docs.get has no parameter 'page'; did you mean pages?"),
        ("other=1", "", "docs.get has no parameter 'other'; it takes zip, pages"),
    ],
)
def test_wrong_words_call_nobody(
    longreach: Callable[..., Result], mesh: FakeMesh, word: str, stdin: str, said: str
):
    done = longreach("call", "docs.get", word, stdin=stdin)

    assert done.exit_code == 2
    assert said in done.stderr
    assert mesh.called == []


def test_where_versions_differ_any_of_them_may_take_the_words(
    longreach: Callable[..., Result], mesh: FakeMesh
):
    newer = {"properties": {"box": STRING}, "additionalProperties": False}
    mesh.infos.append(info(schema=newer, version="2.0.0"))

    assert longreach("call", "docs.get", "box=1").exit_code == 0
    assert mesh.called[0][1] == {"box": "1"}


def test_content_that_is_no_text_is_named(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = result(
        mcp.TextContent("see"),
        mcp.ImageContent(data="aGk=", mime_type="image/png"),
        mcp.EmbeddedResource(mcp.ResourceContents(uri="file:///a", text="inside")),
        mcp.ResourceLink(name="b", uri="file:///b"),
    )

    lines = longreach("call", "docs.get").stdout.splitlines()

    assert lines == [
        "see",
        "[image image/png; --json has it all]",
        "inside",
        "[resource_link file:///b; --json has it all]",
    ]


def test_a_result_without_content_shows_its_structure(longreach: Callable[..., Result], mesh: FakeMesh):
    mesh.answer = result(structured={"a": 1})

    assert json.loads(longreach("call", "docs.get").stdout) == {"a": 1}


def test_describe_shows_the_tool(longreach: Callable[..., Result], mesh: FakeMesh):
    page = longreach("describe", "docs.get").stdout

    assert page.splitlines()[0] == "docs.get - Get it"
    assert "  pages  integer = 1  How many." in page
    assert "longreach call docs.get zip=hello" in page
    assert "readOnlyHint=true" in page

    (definition,) = json.loads(longreach("describe", "docs.get", "--json").stdout)
    assert definition["tool"]["inputSchema"] == SCHEMA
    assert definition["versions"] == ["1.0.0"]


def test_describe_of_what_is_not_there(longreach: Callable[..., Result], mesh: FakeMesh):
    assert longreach("describe", "docs.got").exit_code == 3
    assert longreach("describe", "docs").exit_code == 2
    assert longreach("describe", ".get").exit_code == 2


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ConfigError, match="outside the residency"):
        open_mesh({"residency": ("eu",), "region": "us"})
