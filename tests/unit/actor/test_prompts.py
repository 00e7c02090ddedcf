from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.declared import asked
from tests.support.oracle import agree, models

from longreach import Actor, Context, Image, Message, ProtocolError, Server, ToolError, prompt
from longreach.errors import ConfigError, DeclarationError
from longreach.wire.mcp import Icon, TextContent
from longreach.wire.prompts import GetPromptResult, PromptMessage


def text(said: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": {"type": "text", "text": said}}


async def result_of(value: Any) -> Any:
    server = Server("docs")

    @server.prompt
    async def ask():
        return value

    return await asked(server, "prompts/get", name="ask")


def test_a_definition_comes_from_the_function():
    server = Server("docs")

    @server.prompt(title="Greeting", icons=[Icon("https://x/y.png")], meta={"mine": 1}, tags=iter("ba"))
    def greet(name: str, times: int = 1) -> str:
        """Greet somebody.

        Args:
            name: whom.
        """
        return name * times

    spec = server.offered("prompt")["greet"]
    agree(spec.listed.data, models.Prompt)
    assert msgspec.json.decode(spec.listed.data) == {
        "name": "greet",
        "title": "Greeting",
        "description": "Greet somebody.",
        "arguments": [
            {"name": "name", "description": "whom.", "required": True},
            {"name": "times", "required": False},
        ],
        "icons": [{"src": "https://x/y.png"}],
        "_meta": {"mine": 1, "longreach/tags": ["a", "b"]},
    }
    assert greet("a", 2) == "aa"


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        ("hi", [text("hi")]),
        (["a", "b"], [text("a"), text("b")]),
        (Message("yes", "assistant"), [text("yes", "assistant")]),
        ([Message("q"), PromptMessage("assistant", TextContent("a"))], [text("q"), text("a", "assistant")]),
        ({"role": "assistant", "content": "a"}, [text("a", "assistant")]),
        ({"role": "user", "content": {"type": "text", "text": "a"}}, [text("a")]),
        (
            Image(b"x", format="png"),
            [{"role": "user", "content": {"type": "image", "data": "eA==", "mimeType": "image/png"}}],
        ),
        ([], []),
    ],
)
async def test_what_is_returned_becomes_messages(value: Any, messages: list[Any]):
    assert await result_of(value) == {"messages": messages, "resultType": "complete"}


async def test_a_whole_result_is_what_it_says():
    given = GetPromptResult([Message("hi")], description="d", meta={"mine": 1})
    assert (await result_of(given))["description"] == "d"


@pytest.mark.parametrize("value", [5, {"a": 1}, {"role": "user", "content": {"type": "no"}}, [object()]])
async def test_what_is_no_message_is_a_failure_that_tells_nothing(value: Any):
    error = await result_of(value)
    assert error["code"] == -32603
    assert "the log of" in error["message"]


async def test_arguments_have_types():
    server = Server("docs")

    @server.prompt
    def repeat(word: str, times: int, ctx: Context) -> str:
        return f"{word * times} of {ctx.tool}"

    result = await asked(server, "prompts/get", name="repeat", arguments={"word": "5", "times": "3"})
    assert result["messages"] == [text("555 of repeat")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "times: missing"),
        ({"times": "many"}, "times: expected an integer"),
        ({"times": 5}, "texts, by name"),
        ([], "texts, by name"),
    ],
)
async def test_wrong_arguments_are_an_error_of_the_protocol(arguments: Any, said: str):
    server = Server("docs")

    @server.prompt
    def repeat(times: int) -> str:
        raise AssertionError

    error = await asked(server, "prompts/get", name="repeat", arguments=arguments)
    assert error["code"] == -32602
    assert said in error["message"]


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ToolError("not today"), -32603, "not today"),
        (ProtocolError(-32602, "wrong"), -32602, "wrong"),
        (RuntimeError("secret"), -32603, "the log of"),
    ],
)
async def test_errors_of_a_prompt_are_errors_of_the_protocol(raised: Exception, code: int, said: str):
    server = Server("docs")

    @server.prompt
    async def fails() -> str:
        raise raised

    error = await asked(server, "prompts/get", name="fails")
    assert error["code"] == code
    assert said in error["message"]
    assert "secret" not in error["message"]


async def test_a_method_of_an_actor_can_be_a_prompt():
    server = Server("docs")

    @server.actor
    class Guide(Actor):
        async def started(self) -> None:
            self.said = "hello"

        @prompt(complete={"to": lambda value: [value + "!"]})
        async def greet(self, to: str) -> str:
            return f"{self.said} {to}"

    result = await asked(server, "prompts/get", name="greet", arguments={"to": "you"})
    assert result["messages"] == [text("hello you")]
    ref = {"type": "ref/prompt", "name": "greet"}
    done = await asked(server, "completion/complete", ref=ref, argument={"name": "to", "value": "a"})
    assert done["completion"]["values"] == ["a!"]
    with pytest.raises(ConfigError, match="no prompt 'greet'"):
        server.remove_prompt("greet")


def test_what_cannot_be_a_prompt_is_refused():
    server = Server("docs")

    @server.prompt
    def one() -> str:
        return ""

    with pytest.raises(DeclarationError, match="prompt called 'one'"):
        server.add_prompt(one)
    with pytest.raises(DeclarationError, match="name each parameter"):
        server.add_prompt(lambda **more: "", name="many")
    with pytest.raises(DeclarationError, match="no argument 'x'"):
        server.add_prompt(one, name="two", complete={"x": one})
    with pytest.raises(DeclarationError, match="belongs to the class"):
        prompt(concurrency=2)
    for tags in ("abc", [""], [5]):
        with pytest.raises(ConfigError, match="tags"):
            server.add_prompt(one, name="three", tags=tags)
    with pytest.raises(DeclarationError, match="cannot be written as JSON"):
        server.add_prompt(one, name="four", meta={"x": object()})
    assert list(server.handlers) == ["prompt one"]
    server.remove_prompt("one")
    assert not server.handlers
