"""The benchmarks run and measure what they say; how fast it is, is not for a test on a busy machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import call, gateway, load
from benchmarks.processes import broker, peer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_all_scenarios_run_and_write_their_values(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--rounds", "2", "--json", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "framework")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    results = {each["name"]: each for each in json.loads(out.read_text())["results"]}
    assert len(results["calls, 64 in flight"]["longreach"]) == 2
    assert all(
        min(each["longreach"] + each.get("bare", each.get("FastMCP", []))) > 0
        for each in results.values()
        if "CPU" not in each["name"]
    )
    assert "tools/call, one server, 64 connections" in results
    assert "import longreach" in results
    assert "memory of an idle node (longreach run)" in results


def test_the_bare_side_sends_the_very_bytes_that_longreach_sends() -> None:
    with broker() as running, peer("node", running.url), peer("caller", running.url, text="hello") as caller:
        request, response = asyncio.run(call.capture(running.url, caller))
    asked, answered = json.loads(request), json.loads(response)
    assert asked["method"] == "tools/call"
    assert asked["params"]["name"] == "echo"
    assert asked["params"]["arguments"] == {"text": "hello"}
    assert answered["id"] == asked["id"]
    assert answered["result"]["content"] == [{"type": "text", "text": "hello"}]


async def test_without_wrk_a_generator_of_ours_makes_the_same_requests() -> None:
    post = gateway.request_of(0, "/mcp/bench", "echo")
    request = load.encode_post(post).encode()
    seen: set[bytes] = set()
    ended = asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(len(request)):
                seen.add(data)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            ended.release()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        found = await load.generate(port, request, connections=3, seconds=0.2)
        async with asyncio.timeout(10):  # else the loop closes before its connections have
            for _ in range(3):
                await ended.acquire()

    assert seen == {request}
    assert request.endswith(post.body)
    assert found["requests"] >= 3
    assert found["failed"] == 0
