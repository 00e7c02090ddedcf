"""Tokens, at a gateway that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.integration.gateway.conftest import Docs, StartGateway, ask
from tests.support.jwts import ISSUER, Signer, jwks

STATIC = "0123456789abcdef"
CALL = {"name": "echo", "arguments": {"text": "hi"}}


class KeyServer:
    """Serves a JWKS, which can be replaced."""

    def __init__(self) -> None:
        self.document = b""
        self.asked = 0
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(self.document)
        writer.write(head + self.document)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def keys() -> AsyncIterator[KeyServer]:
    made = KeyServer()
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    async with server:
        yield made


async def test_static_tokens(
    start_gateway: StartGateway, http: httpx2.AsyncClient, docs: Docs, tmp_path: Path
):
    (tmp_path / "tokens").write_text(f"carol:{STATIC}\n")
    gateway = await start_gateway("--bearer-tokens", str(tmp_path / "tokens"), "--gateway-id", "g1")
    url = f"{gateway.mcp}/docs"

    allowed = await ask(http, url, "tools/call", CALL, authorization=f"Bearer {STATIC}")
    refused = await ask(http, url, "tools/call", CALL)
    wrong = await ask(http, url, "tools/call", CALL, authorization=f"Bearer {STATIC}x")

    assert [reply.status_code for reply in (allowed, refused, wrong)] == [200, 401, 401]
    assert docs.callers == ["g1.carol"]
    assert (await http.get(f"{gateway.url}/readyz")).status_code == 200
    assert STATIC not in gateway.running.said


async def test_jwts_whose_keys_rotate(
    start_gateway: StartGateway, http: httpx2.AsyncClient, docs: Docs, tmp_path: Path
):
    old, new = Signer("k1", "RS256"), Signer("k2")
    (tmp_path / "jwks").write_bytes(jwks(old))
    gateway = await start_gateway(
        "--jwks-file", str(tmp_path / "jwks"), "--issuer", ISSUER, "--audience", "mesh", "--gateway-id", "g1"
    )  # fmt: skip
    url = f"{gateway.mcp}/docs"

    async def status(signer: Signer, **claims: object) -> int:
        token = signer.token(**{"aud": "mesh", "sub": "dave", **claims})
        return (await ask(http, url, "tools/call", CALL, authorization=f"Bearer {token}")).status_code

    assert await status(old) == 200
    assert await status(old, aud="other") == 401
    assert await status(new) == 401
    (tmp_path / "jwks").write_bytes(jwks(new))
    async with asyncio.timeout(20):
        while await status(new) != 200:
            await asyncio.sleep(0.2)
    assert await status(old) == 401
    assert set(docs.callers) == {"g1.dave"}


async def test_jwts_whose_keys_are_elsewhere(
    start_gateway: StartGateway, http: httpx2.AsyncClient, keys: KeyServer
):
    signer, stranger = Signer("k1"), Signer("k9")
    keys.document = jwks(signer)
    gateway = await start_gateway(
        "--jwks-url", keys.url, "--issuer", ISSUER, "--public-url", "https://mcp.example.com",
        "--allowed-host", "127.0.0.1",
    )  # fmt: skip
    mcp = gateway.running.said
    assert "https://mcp.example.com/mcp" in mcp
    port = gateway_port(gateway.pid)
    url = f"http://127.0.0.1:{port}/mcp/docs"

    allowed = await ask(http, url, "tools/call", CALL, authorization=f"Bearer {signer.token()}")
    forged = [
        (await ask(http, url, "tools/call", CALL, authorization=f"Bearer {stranger.token()}")).status_code
        for _ in range(20)
    ]
    challenged = await ask(http, url, "tools/call", CALL)
    metadata = await http.get(f"http://127.0.0.1:{port}/.well-known/oauth-protected-resource/mcp/docs")

    assert allowed.status_code == 200
    assert forged == [401] * 20
    assert keys.asked <= 2
    expected = 'resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp/docs"'
    assert expected in challenged.headers["www-authenticate"]
    assert metadata.json()["resource"] == "https://mcp.example.com/mcp/docs"
    assert metadata.json()["authorization_servers"] == [ISSUER]


def gateway_port(pid: int) -> int:
    import psutil

    (listening,) = (
        each for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_LISTEN
    )
    return int(listening.laddr.port)
