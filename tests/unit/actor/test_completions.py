from __future__ import annotations

from typing import Any

import pytest
from tests.support.declared import asked

from longreach import Context, Server
from longreach.errors import DeclarationError
from longreach.wire.completion import CompleteResult, Completion

PROMPT = {"type": "ref/prompt", "name": "greet"}
TEMPLATE = {"type": "ref/resource", "uri": "docs://{page}"}


def made(returns: Any = None) -> Server:
    server = Server("docs")

    @server.prompt
    async def greet(language: str, name: str = "") -> str:
        return language + name

    @server.resource("docs://{page}")
    async def page(page: str) -> str:
        return page

    @server.completion("greet", "language")
    async def languages(value: str) -> Any:
        known = ["de", "en", "es"] if returns is None else returns
        return [one for one in known if one.startswith(value)] if isinstance(known, list) else known

    @server.completion("greet", "name")
    def names(so_far: str, settled: dict[str, str], ctx: Context) -> list[str]:
        return [f"{so_far} {settled.get('language')} {ctx.server}"]

    @server.completion("docs://{page}", "page")
    def pages(value: str) -> list[str]:
        return [value + str(number) for number in range(150)]

    return server


async def completed(ref: Any, argument: str, value: str, returns: Any = None, **params: Any) -> Any:
    return await asked(
        made(returns), "completion/complete", ref=ref, argument={"name": argument, "value": value}, **params
    )


async def test_an_argument_of_a_prompt_is_completed():
    result = await completed(PROMPT, "language", "e")
    assert result["completion"] == {"values": ["en", "es"], "total": 2, "hasMore": False}


async def test_the_settled_arguments_are_known():
    result = await completed(PROMPT, "name", "x", context={"arguments": {"language": "de"}})
    assert result["completion"]["values"] == ["x de docs"]
    result = await completed(PROMPT, "name", "x")
    assert result["completion"]["values"] == ["x None docs"]


async def test_a_variable_of_a_template_is_completed_and_a_hundred_values_are_shown():
    shown = (await completed(TEMPLATE, "page", "p"))["completion"]
    assert (len(shown["values"]), shown["total"], shown["hasMore"]) == (100, 150, True)


@pytest.mark.parametrize("ref", [PROMPT, TEMPLATE])
async def test_what_nobody_completes_has_no_values(ref: Any):
    result = await completed(ref, "other", "x")
    assert result["completion"] == {"values": [], "total": 0, "hasMore": False}


@pytest.mark.parametrize(
    "ref",
    [{"type": "ref/prompt", "name": "nope"}, {"type": "ref/resource", "uri": "docs://x"}, {"type": "ref/x"}],
)
async def test_what_there_is_not_is_an_error(ref: Any):
    assert (await completed(ref, "x", ""))["code"] == -32602


@pytest.mark.parametrize("returns", [Completion(["a"]), CompleteResult(Completion(["a"])), ("a",)])
async def test_a_completion_may_be_whole(returns: Any):
    assert (await completed(PROMPT, "language", "", returns))["completion"]["values"] == ["a"]


@pytest.mark.parametrize("returns", ["a", 5, (1,)])
async def test_what_is_no_list_of_texts_is_a_failure_that_tells_nothing(returns: Any):
    error = await completed(PROMPT, "language", "", returns)
    assert error["code"] == -32603


def nothing() -> list[str]:
    return []


def test_what_cannot_complete_is_refused():
    server = made()
    for of, argument, function, said in (
        ("greet", "other", lambda value: [], "no argument 'other'"),
        ("greet", "language", lambda value: [], "called 'language of prompt greet'"),
        ("greet", "name", nothing, "text so far"),
        ("docs://{page}", "other", lambda value: [], "no argument 'other'"),
    ):
        with pytest.raises(DeclarationError, match=said):
            server.completion(of, argument)(function)
    server.completion("later", "x")(lambda value: [])
    server.remove_prompt("greet")
    assert sorted(server.offered("completion")) == ["page of template docs://{page}", "x of prompt later"]
