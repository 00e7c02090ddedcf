"""docs/binding.md is true: its examples are run, byte for byte, and each of its MUSTs is cited by a test."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import nats
import pytest
from tests.support.broker import Broker

from longreach import NatsOptions, Node, NodeSettings, Server

ROOT = Path(__file__).parents[2]
BINDING = (ROOT / "docs" / "binding.md").read_text()

docs = Server("docs", version="1.4.0")


@docs.tool(read_only=True)
async def echo(text: str) -> str:
    """Echo."""
    if text == "slow":
        await asyncio.sleep(0.3)
    return text


def exchanges() -> list[tuple[list[str], list[tuple[str, str, str]]]]:
    """(subject, reply, body) sent and [(subject, frame, body)] heard, of section 12."""
    found: list[tuple[list[str], list[tuple[str, str, str]]]] = []
    for block in re.findall(r"```\n(PUB .*?)```", BINDING.split("## 12.")[1], flags=re.DOTALL):
        lines = block.splitlines()
        for head, body in zip(lines[::2], lines[1::2], strict=True):
            words = head.split()
            if words[0] == "PUB":
                found.append(([words[1], words[2], body], []))
            else:
                found[-1][1].append((words[1], words[2] if len(words) > 2 else "", body))
    return found


async def test_the_worked_examples_are_what_happens(broker: Broker) -> None:
    heard: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
    settings = NodeSettings(region="eu", identity="n1", connection=NatsOptions(urls=(broker.url,)))
    nc = await nats.connect(broker.url)

    async def take(message: Any) -> None:
        frame = (message.headers or {}).get("Lr", "")
        body = re.sub(r'("clockMs":)\d+', r"\1CLOCK", message.data.decode())
        await heard.put((message.subject, frame, body.replace(node.instance, "INSTANCE")))

    try:
        await nc.subscribe("lr.v1.default.*.rep._._.0f8e2a.*", cb=take)
        async with Node(docs, settings=settings) as node:
            for (subject, reply, body), expected in exchanges():
                await nc.publish(subject.replace("INSTANCE", node.instance), body.encode(), reply=reply)
                async with asyncio.timeout(30):
                    got = [await heard.get() for _ in expected]
                assert got == expected
    finally:
        await nc.close()


def test_there_are_examples() -> None:
    assert len(exchanges()) >= 7


CITED = "\n".join(
    path.read_text() for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)
)


@pytest.mark.parametrize("must", re.findall(r"\*\*(M\d+\.\d+)\*\*", BINDING))
def test_each_must_is_cited_by_a_test(must: str) -> None:
    assert re.search(rf"\b{re.escape(must)}\b", CITED), f"no test cites {must}"
