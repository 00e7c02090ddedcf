"""The examples, run as their own docstrings say, each on an embedded broker of its own."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from longreach import Mesh, connect
from longreach.errors import BrokerUnavailable, RemoteError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SERVERS = ["quickstart.py", "risk.py", "documents.py", "counter.py"]
COMMAND = re.compile(r"longreach (run|call|ls)([^\n`#]*)")
START_TIMEOUT_S = 30
COMMAND_TIMEOUT_S = 30

Start = Callable[[str], AbstractAsyncContextManager[Mesh]]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "framework")}


def commands(example: str) -> list[list[str]]:
    """What the docstring tells its reader to type."""
    said = ast.get_docstring(ast.parse((EXAMPLES / example).read_text())) or ""
    return [[verb, *shlex.split(rest)] for verb, rest in COMMAND.findall(said)]


def longreach(*arguments: str) -> str:
    """The output of a command that has to succeed."""
    command = [sys.executable, "-m", "longreach.cli", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Runs an example in a node, and connects to it; nobody else's broker is met."""
    monkeypatch.setenv("LONGREACH_RUNTIME_DIR", str(tmp_path))

    @asynccontextmanager
    async def started(example: str) -> AsyncIterator[Mesh]:
        process = launch(example, tmp_path / "log")
        try:
            await serving(process)
            async with connect() as mesh:
                yield mesh
            process.terminate()
            assert process.wait(10) == 0
        except BaseException:
            print((tmp_path / "log").read_text())
            raise
        finally:
            process.kill()
            process.wait()

    return started


def launch(example: str, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "longreach.cli", "run", f"examples/{example}"]
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=output, stderr=output)


async def serving(process: subprocess.Popen[bytes]) -> None:
    """Wait until a node offers its tools."""
    async with asyncio.timeout(START_TIMEOUT_S):
        while process.poll() is None:
            with contextlib.suppress(BrokerUnavailable):
                async with connect() as mesh:
                    if await mesh.tools():
                        return
            await asyncio.sleep(0.05)
    raise AssertionError(f"the example ended with code {process.returncode}")


@pytest.mark.parametrize("example", SERVERS)
async def test_an_example_does_what_its_docstring_says(start: Start, example: str) -> None:
    run, *others = commands(example)
    assert run == ["run", f"examples/{example}"]
    assert others
    async with start(example):
        for other in others:
            assert (await asyncio.to_thread(longreach, *other)).strip()


async def test_quickstart_is_called_in_five_lines(start: Start) -> None:
    async with start("quickstart.py"):
        command = [sys.executable, "examples/quickstart_call.py"]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=20
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Hello, Ada! Hello, Ada!  (from node ")
    assert done.stdout.rstrip().endswith("in region local)")


async def test_risk_reports_progress_and_refuses_what_it_does_not_know(start: Start) -> None:
    heard: list[tuple[float, float | None]] = []
    async with start("risk.py") as mesh:
        found = await mesh.call(
            "risk.value_at_risk",
            {"symbol": "IBM", "paths": 5_000},
            on_progress=lambda done, total, message: heard.append((done, total)),
        )
        unknown = await mesh.call("risk.volatility", {"symbol": "XYZ"})
        wrong = await mesh.call("risk.value_at_risk", {"symbol": "IBM", "paths": 3})
    assert 0 < found.structured["value_at_risk"] < found.structured["expected_shortfall"] < 1
    assert heard[0] == (250, 5_000)
    assert heard == sorted(heard)
    assert unknown.is_error
    assert unknown.text == "no prices for 'XYZ'; there are MSFT, AMZN, IBM, GOOG, AAPL"
    assert wrong.is_error
    assert "paths" in wrong.text


async def test_documents_are_real(start: Start) -> None:
    async with start("documents.py") as mesh:
        text = (await mesh.call("docs.extract_text", {"name": "markdown-it-py"})).text
        outline = (await mesh.call("docs.outline", {"name": "markdown-it-py"})).structured["result"]
        hits = (await mesh.call("docs.search", {"words": "CommonMark", "limit": 3})).structured["result"]
    assert "CommonMark" in text
    assert "](" not in text
    assert outline[0] == {"level": 1, "text": "markdown-it-py"}
    assert "markdown-it-py" in [hit["document"] for hit in hits]


async def test_a_counter_counts_and_begins_anew_after_a_crash(start: Start) -> None:
    async with start("counter.py") as mesh:
        assert (await mesh.call("counter.add", {"amount": 3})).structured == {"result": 3}
        assert (await mesh.call("counter.add")).structured == {"result": 4}
        refused = await mesh.call("counter.add", {"amount": 0})
        assert refused.is_error
        assert refused.text == "a counter does not count back: amount is 0"
        with pytest.raises(RemoteError) as crash:
            await mesh.call("counter.spoil")
        assert crash.value.delivered == "yes"
        assert (await mesh.call("counter.total")).structured == {"result": 0}


def test_each_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SERVERS, "quickstart_call.py"}
