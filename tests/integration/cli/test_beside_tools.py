"""What people type beside calls of tools: prompts, resources, and answers on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands import Desk

APP = '''
import asyncio

import msgspec

from longreach import Context, Server

docs = Server("docs", version="1.4.0")


class Booking(msgspec.Struct):
    seats: int
    window: bool = False


@docs.prompt(complete={"who": lambda value: ["ann"]})
async def greet(who: str) -> str:
    """Greets somebody."""
    return f"hello {who}"


@docs.resource("mem://notes", mime_type="text/plain")
async def notes() -> str:
    return "rain\\n"


@docs.resource("mem://logo/{size}", mime_type="image/png")
async def logo(size: int) -> bytes:
    return b"\\x00\\xff" * size


@docs.tool
async def book(ctx: Context) -> str:
    """Books seats."""
    await ctx.info("asking")
    asked = await ctx.elicit("How many seats?", Booking)
    return f"{asked.action}: {asked.content}"


@docs.tool
async def where(ctx: Context) -> str:
    """Says which folders matter."""
    return " ".join(root.uri for root in await ctx.roots())
'''


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.write("app.py", APP)
    try:
        desk.node("app:docs", "--region", "eu").until("try")
        yield desk
    finally:
        desk.close()


class Terminal:
    """A command on a terminal: what it shows is read, and answers are typed."""

    def __init__(self, desk: Desk, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "longreach.cli", *words], cwd=desk.folder, env=desk.environment,
            stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def until(self, text: str, timeout_s: float = 30.0) -> None:
        give_up_at = time.monotonic() + timeout_s
        while text not in self.shown:
            assert time.monotonic() < give_up_at, f"it never showed {text!r}: {self.shown!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self.shown += os.read(self._ours, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def ends(self) -> tuple[int, str]:
        try:
            printed, _ = self.process.communicate(timeout=30)
            return self.process.returncode, printed.decode()
        finally:
            self.process.kill()
            os.close(self._ours)


def test_prompts_and_resources_are_listed_and_described(desk: Desk):
    shown = json.loads(desk.longreach("ls", "--json").stdout)

    assert [prompt["name"] for prompt in shown["prompts"]] == ["docs.greet"]
    assert [(row["uri"], row["template"]) for row in shown["resources"]] == [
        ("mem://notes", False), ("mem://logo/{size}", True),
    ]  # fmt: skip
    assert "longreach prompt docs.greet who=..." in desk.longreach("describe", "docs.greet").stdout
    assert "text/plain" in desk.longreach("describe", "docs", "mem://notes").stdout


def test_a_prompt_is_filled_in(desk: Desk):
    done = desk.longreach("prompt", "docs.greet", "who=ann")

    assert (done.returncode, done.stdout, done.stderr) == (0, "hello ann\n", "")
    assert desk.longreach("prompt", "docs.great").returncode == 3


def test_a_resource_is_read(desk: Desk):
    text = desk.longreach("read", "docs", "mem://notes")
    refused = desk.longreach("read", "docs", "mem://logo/2")
    written = desk.longreach("read", "docs", "mem://logo/2", "--output", "logo.png")

    assert (text.returncode, text.stdout) == (0, "rain\n")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert written.returncode == 0
    assert Path(desk.folder / "logo.png").read_bytes() == b"\x00\xff" * 2
    assert desk.longreach("read", "docs", "mem://none").returncode == 1


def test_a_tool_asks_on_the_terminal(desk: Desk):
    terminal = Terminal(desk, "call", "docs.book", "--logs", "info")

    terminal.until("seats: ")
    terminal.type("many\n")
    terminal.until("seats takes integer")
    terminal.type("3\n")
    terminal.until("window")
    terminal.type("yes\n")
    terminal.until("send this?")
    terminal.type("\n")
    code, printed = terminal.ends()

    assert (code, printed) == (0, "accept: Booking(seats=3, window=True)\n")
    assert "info: asking" in terminal.shown
    assert "docs.book asks: How many seats?" in terminal.shown


def test_a_question_is_dismissed_or_interrupted(desk: Desk):
    dismissed, interrupted = Terminal(desk, "call", "docs.book"), Terminal(desk, "call", "docs.book")

    dismissed.until("seats: ")
    dismissed.type("\x04")
    assert dismissed.ends() == (0, "cancel: None\n")

    interrupted.until("seats: ")
    interrupted.process.send_signal(signal.SIGINT)
    assert interrupted.ends() == (130, "")


def test_without_a_terminal_it_is_said_what_is_missing(desk: Desk):
    done = desk.longreach("call", "docs.book")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "longreach: docs.book asks the user something: run the command on a terminal\n"
    assert "--root" in desk.longreach("call", "docs.where").stderr
    assert desk.longreach("call", "docs.where", "--root", "/tmp").stdout == "file:///tmp\n"
