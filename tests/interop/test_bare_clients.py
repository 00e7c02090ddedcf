"""Whoever has a NATS client and docs/binding.md can list tools and call them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from tests.support.broker import Broker
from tests.support.nodes import NodeProcess
from tests.support.outside import program

HERE = Path(__file__).parent


async def run(*command: str) -> dict[str, object]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    answer: dict[str, object] = json.loads(out)
    return answer


@pytest.mark.parametrize("language", ["python", "javascript"])
async def test_a_client_from_the_binding_alone(language: str, broker: Broker) -> None:
    if language == "python":
        command = [sys.executable, str(HERE / "bare_client.py"), broker.url]
    else:
        command = [program("node"), str(HERE / "bare_client.mjs"), "127.0.0.1", str(broker.port)]
    served = await NodeProcess.start(broker.url)
    try:
        answer = await run(*command)
    finally:
        await served.close()
    assert isinstance(answer["tools"], list)
    assert {"look", "change", "poke", "drained_19"} <= set(answer["tools"])
    assert answer["quick"] == "a"
    assert answer["slow"] == "b"
    assert answer["frames"] == ["accepted"]
    assert answer["absent"] == "no responders"
