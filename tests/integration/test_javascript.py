"""examples/javascript: a client and a node that use a NATS client and nothing of ours, together with ours."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.broker import Broker
from tests.support.outside import program, published

from longreach import Context, NatsOptions, Node, NodeSettings, Server, connect

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples" / "javascript"

docs = Server("docs", version="1.4.0")
cancelled = asyncio.Event()


@docs.tool
async def count(to: int, ctx: Context) -> str:
    """Count, one each 0.1 s."""
    try:
        for number in range(to):
            await asyncio.sleep(0.1)
            await ctx.progress(number + 1, to)
    except asyncio.CancelledError:
        cancelled.set()
        raise
    return str(to)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the example with what it depends on."""
    published("@nats-io/transport-node")
    made = tmp_path_factory.mktemp("js") / "javascript"
    shutil.copytree(SOURCE, made, ignore=shutil.ignore_patterns("node_modules"))
    command = [program("npm"), "ci", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=made, check=True, timeout=300, capture_output=True)
    return made


async def run(folder: Path, *arguments: str) -> list[str]:
    """Run a program of the example; return its lines."""
    process = await asyncio.create_subprocess_exec(
        program("node"), *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return out.decode().splitlines()


@asynccontextmanager
async def javascript_node(folder: Path, url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        program("node"), "node.mjs", url, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert b"serving javascript.shout" in await process.stdout.readline()
        yield
        process.terminate()
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_vectors_hold_in_javascript(folder: Path) -> None:
    (line,) = await run(folder, "vectors.mjs", str(ROOT / "docs" / "vectors"))
    assert line.endswith(" 0 wrong")


async def test_a_javascript_client_lists_calls_hears_progress_and_cancels(
    folder: Path, broker: Broker
) -> None:
    settings = NodeSettings(region="local", identity="n1", connection=NatsOptions(urls=(broker.url,)))
    async with Node(docs, settings=settings):
        assert await run(folder, "client.mjs", broker.url, "ls") == ["docs.count"]
        *notes, last = map(
            json.loads, await run(folder, "client.mjs", broker.url, "call", "docs.count", '{"to":5}')
        )
        assert last["message"]["result"]["content"] == [{"type": "text", "text": "5"}]
        assert notes[-1]["progress"] == 5
        call = ["call", "docs.count", '{"to":600}', "--cancel-after", "600"]
        last = json.loads((await run(folder, "client.mjs", broker.url, *call))[-1])
        assert last == {"ending": "unknown", "why": "cancelled"}
        async with asyncio.timeout(30):
            await cancelled.wait()


async def test_a_javascript_node_is_reached(folder: Path, broker: Broker) -> None:
    async with javascript_node(folder, broker.url), connect(broker.url) as mesh:
        heard: list[float] = []
        result = await mesh.call(
            "javascript.shout",
            {"text": "hej", "steps": 5},
            on_progress=lambda progress, _total, _message: heard.append(progress),
        )
        assert result.text == "HEJ"
        assert heard[-1] == 5
        lines = await run(folder, "client.mjs", broker.url, "call", "javascript.shout", '{"text":"a"}')
        assert json.loads(lines[-1])["message"]["result"]["content"][0]["text"] == "A"
