"""Questions of servers, on a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from longreach.cli.asking import answers, ask_line, fill_in, visit
from longreach.wire.inputs import ElicitParams


class Lines:
    """Answers each question with the next line."""

    def __init__(self, *lines: str | None) -> None:
        self.left = list(lines)
        self.questions: list[str] = []

    async def __call__(self, text: str) -> str | None:
        self.questions.append(text.strip())
        return self.left.pop(0)


def form(**properties: Any) -> ElicitParams:
    required = [key for key, about in properties.items() if about.pop("must", False)]
    return ElicitParams(
        "who\nare you? \x1b", {"type": "object", "properties": properties, "required": required}
    )


def answered(asked: ElicitParams, *lines: str | None) -> tuple[Any, list[str]]:
    ask = Lines(*lines)
    content = asyncio.run(fill_in("docs.do", asked, ask))
    assert ask.left == []
    return content, ask.questions


def test_each_field_is_asked_for_and_read_by_its_type(capsys: pytest.CaptureFixture[str]):
    asked = form(
        name={"type": "string", "must": True, "title": "Your name", "description": "as it is\nwritten"},
        age={"type": "integer"},
        sure={"type": "boolean", "default": True},
        size={"type": "number"},
        colour={"type": "string", "enum": ["r", "g"], "enumNames": ["red", "green"]},
        days={"type": "array", "items": {"anyOf": [{"const": "mo", "title": "Monday"}, {"const": "tu"}]}},
        note={"type": "string"},
    )
    content, questions = answered(asked, "ann", "7", "", "1.5", "g", "mo, tu", "", "")

    assert content == {
        "name": "ann", "age": 7, "sure": True, "size": 1.5, "colour": "g", "days": ["mo", "tu"],
    }  # fmt: skip
    assert questions == [
        "Your name (as it is written):",
        "age, or nothing:",
        "sure [yes or no], or nothing for yes:",
        "size, or nothing:",
        "colour [r = red, g = green], or nothing:",
        "days [some of mo = Monday, tu], or nothing:",
        "note, or nothing:",
        "send this? [Y/n]",
    ]
    assert capsys.readouterr().err == "docs.do asks: who are you? \N{REPLACEMENT CHARACTER}\n"


def test_what_does_not_fit_is_asked_again(capsys: pytest.CaptureFixture[str]):
    asked = form(age={"type": "integer", "must": True}, colour={"oneOf": [{"const": "r"}, {"const": "g"}]})
    content, _ = answered(asked, "", "old", "7", "blue", "r", "y")

    assert content == {"age": 7, "colour": "r"}
    said = capsys.readouterr().err
    for text in ("an answer is needed", "age takes integer", "'blue' is none of r, g"):
        assert text in said


def test_the_user_declines_or_has_had_enough():
    asked = form(name={"type": "string"})

    assert answered(asked, "x", "n")[0] is False
    assert answered(asked, None)[0] is None
    assert answered(asked, "x", None)[0] is None
    assert answered(form(), "")[0] == {}


def test_a_page_is_shown_whole_and_visited_by_nobody_but_the_user(capsys: pytest.CaptureFixture[str]):
    asked = ElicitParams("log in", mode="url", url="https://example.com/?a=" + "b" * 200)

    for line, expected in (("yes", True), ("", False), ("n", False), (None, None)):
        assert asyncio.run(visit("docs.do", asked, Lines(line))) is expected
    assert asked.url in capsys.readouterr().err


def test_without_a_terminal_nothing_is_answered():
    assert answers("docs.do", (), lambda: None) == {}


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Standard input is a terminal, whose other end this is."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        yield ours
    os.close(ours)


async def test_a_terminal_is_read_without_holding_the_loop_up(terminal: int):
    question = asyncio.get_running_loop().create_task(ask_line("? "))
    await asyncio.sleep(0)
    assert not question.done()
    os.write(terminal, "Zoë\n".encode())
    assert await question == "Zoë"
    question = asyncio.get_running_loop().create_task(ask_line("? "))
    await asyncio.sleep(0)
    os.write(terminal, b"\x04")
    assert await question is None


async def test_a_question_can_be_cancelled(terminal: int):
    question = asyncio.get_running_loop().create_task(ask_line("? "))
    await asyncio.sleep(0)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question


async def test_on_a_terminal_forms_and_pages_are_answered(terminal: int):
    hidden: list[int] = []
    options = answers("docs.do", ["/tmp"], lambda: hidden.append(1))
    assert options.keys() == {"on_roots", "on_elicit", "on_url"}
    os.write(terminal, b"ann\ny\n")
    assert await options["on_elicit"](form(name={"type": "string"})) == {"name": "ann"}
    os.write(terminal, b"y\n")
    assert await options["on_url"](ElicitParams("go", mode="url", url="https://x")) is True
    assert hidden == [1, 1]
