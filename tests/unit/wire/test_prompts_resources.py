from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from tests.support.oracle import agree, models

from longreach.errors import DeclarationError
from longreach.wire import completion, mcp, prompts, resources
from longreach.wire.uritemplates import parse_template

ICON = mcp.Icon("https://example.org/i.png", "image/png", ["48x48"], "dark")
SAID = mcp.Annotations(["user"], 0.5, "2026-07-28T00:00:00Z")
ARGUMENT = prompts.PromptArgument("city", "City", "Where.", required=True)
PROMPT = prompts.Prompt("tell", "Tell", "Tells.", [ARGUMENT, prompts.PromptArgument("x")], [ICON], {"x": 1})
RESOURCE = resources.Resource("a://b", "b", "B", "A b.", "text/plain", 3, SAID, [ICON], {"x": 1})
TEMPLATE = resources.ResourceTemplate("a://{id}", "b", "B", "A b.", "text/plain", SAID, [ICON], {"x": 1})
TEXT = mcp.ResourceContents("a://b", "text/plain", text="hi")
BLOB = mcp.ResourceContents("a://b", "image/png", blob="aGk=")
MESSAGE = prompts.PromptMessage("user", mcp.EmbeddedResource(TEXT))
MESSAGES: list[tuple[msgspec.Struct, Any]] = [
    (prompts.Prompt("tell"), models.Prompt),
    (PROMPT, models.Prompt),
    (prompts.GetPromptResult([]), models.GetPromptResult),
    (
        prompts.GetPromptResult([MESSAGE, prompts.PromptMessage("assistant", mcp.TextContent(""))], "D.", {}),
        models.GetPromptResult,
    ),
    (prompts.ListPromptsResult([PROMPT], 0, "private", "c", {}), models.ListPromptsResult),
    (resources.Resource("a://b", "b"), models.Resource),
    (RESOURCE, models.Resource),
    (resources.ResourceTemplate("a://{id}", "b"), models.ResourceTemplate),
    (TEMPLATE, models.ResourceTemplate),
    (resources.ReadResourceResult([TEXT, BLOB], 0, "public", {}), models.ReadResourceResult),
    (resources.ListResourcesResult([RESOURCE], 5, "public", "c"), models.ListResourcesResult),
    (resources.ListResourceTemplatesResult([TEMPLATE], 5, "public"), models.ListResourceTemplatesResult),
    (completion.PromptReference("tell", "Tell"), models.PromptReference),
    (completion.ResourceReference("a://{id}"), models.ResourceTemplateReference),
    (completion.CompleteResult(completion.first_values(["a"] * 101)), models.CompleteResult),
    (completion.CompleteResult(completion.Completion([])), models.CompleteResult),
]
IDS = [type(message).__name__ for message, _ in MESSAGES]


@pytest.mark.parametrize(("message", "model"), MESSAGES, ids=IDS)
def test_what_is_emitted_is_mcp_and_is_read_back(message: msgspec.Struct, model: Any):
    data = msgspec.json.encode(message)
    theirs = agree(data, model).model_dump_json(by_alias=True, exclude_unset=True).encode()
    again = msgspec.json.encode(msgspec.json.decode(theirs, type=type(message)))
    assert json.loads(again) == json.loads(data)


def test_an_answer_holds_at_most_a_hundred_values():
    cut = completion.first_values([str(n) for n in range(250)])
    assert (len(cut.values), cut.total, cut.has_more) == (100, 250, True)
    assert completion.first_values(["a"]) == completion.Completion(["a"], 1, has_more=False)


@pytest.mark.parametrize(
    ("template", "uri", "values"),
    [
        ("test://template/{id}/data", "test://template/7/data", {"id": "7"}),
        ("test://template/{id}/data", "test://template/a%2Fb%20c/data", {"id": "a/b c"}),
        ("test://template/{id}/data", "test://template/a/b/data", None),
        ("test://template/{id}/data", "test://template//data", None),
        ("test://template/{id}/data", "test://template/7/data/", None),
        ("test://template/{id}/data", "test://template/%ff/data", None),
        ("file:///{+path}", "file:///a/b.txt", {"path": "a/b.txt"}),
        ("a.b://{x}-{y}", "a.b://1-2", {"x": "1", "y": "2"}),
        ("a.b://{x}", "aXb://1", None),
    ],
)
def test_a_template_reads_a_uri(template: str, uri: str, values: dict[str, str] | None):
    parsed = parse_template(template)
    assert parsed is not None
    assert parsed.match(uri) == values


@pytest.mark.parametrize("value", ["a", "a/b", "ä ?#%", "100%"])
def test_what_is_expanded_is_read_back(value: str):
    parsed = parse_template("x://{id}/y")
    assert parsed is not None
    assert parsed.match(parsed.expand({"id": value})) == {"id": value}


def test_a_uri_is_no_template():
    assert parse_template("test://static-text") is None


@pytest.mark.parametrize("text", ["a://{}", "a://{x*}", "a://{?q}", "a://{x}/{x}", "a://{x", "a://x}"])
def test_what_is_not_understood_is_refused_at_once(text: str):
    with pytest.raises(DeclarationError, match="a://"):
        parse_template(text)
