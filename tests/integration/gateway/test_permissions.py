"""A gateway with no more than the permissions of docs/gateway.md."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.integration.gateway.conftest import ask
from tests.support.broker import Broker
from tests.support.gateways import GatewayProcess

from longreach import Context, NatsOptions, Node, NodeSettings, Server

P = "lr.v1.acme.eu."
PUBLISH = ["req.*.*.g1.>", "all.*.g1.*.*", "node.*.*.g1.*.*", "who.g1.*", "gw.>"]
SUBSCRIBE = ["rep.g1.>", "adv.>", "evt.>", "gw.g1.>"]
TOKEN = "0123456789abcdef"


def _listed(subjects: list[str]) -> str:
    return ", ".join(f'"{P}{subject}"' for subject in subjects)


CONFIG = f"""
authorization {{ users: [
  {{ user: g1, password: pw, permissions: {{
    publish: {{ allow: [{_listed(PUBLISH)}] }}, subscribe: {{ allow: [{_listed(SUBSCRIBE)}] }}
  }} }}
  {{ user: root, password: pw }}
] }}
"""


@pytest.fixture
async def callers() -> AsyncIterator[tuple[Broker, list[str | None]]]:
    docs, seen = Server("docs"), []

    @docs.tool(read_only=True)
    async def echo(text: str, ctx: Context) -> str:
        seen.append(f"{ctx.via}.{ctx.caller}")
        return text

    with Broker(CONFIG) as broker:
        connection = NatsOptions(urls=(broker.url,), user="root", password="pw")
        settings = NodeSettings(region="eu", namespace="acme", connection=connection)
        async with Node(docs, settings=settings):
            yield broker, seen


async def test_a_gateway_needs_no_more_than_it_should_have(
    callers: tuple[Broker, list[str | None]], http: httpx2.AsyncClient, tmp_path: Path
):
    broker, seen = callers
    (tmp_path / "tokens").write_text(f"carol:{TOKEN}\n")
    (tmp_path / "password").write_text("pw\n")
    flags = (
        "--user", "g1", "--password-file", str(tmp_path / "password"), "--namespace", "acme",
        "--region", "eu", "--residency", "eu", "--bearer-tokens", str(tmp_path / "tokens"),
    )  # fmt: skip
    with await asyncio.to_thread(GatewayProcess, broker.url, *flags, "--gateway-id", "g1") as gateway:
        reply = await ask(
            http, f"{gateway.mcp}/docs", "tools/call", {"name": "echo", "arguments": {"text": "hi"}},
            authorization=f"Bearer {TOKEN}",
        )  # fmt: skip
        assert reply.status_code == 200, reply.text
        assert seen == ["g1.carol"]
    assert "iolation" not in broker.log

    with await asyncio.to_thread(GatewayProcess, broker.url, *flags, "--gateway-id", "g2") as forged:
        reply = await ask(
            http, f"{forged.mcp}", "tools/call", {"name": "docs__echo", "arguments": {"text": "hi"}},
            authorization=f"Bearer {TOKEN}",
        )  # fmt: skip
        assert "error" in reply.json()
    assert seen == ["g1.carol"]
