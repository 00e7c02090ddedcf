"""The official client in its legacy mode, at two gateways behind a balancer that knows no sessions."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import mcp.types as types
import pytest
from mcp import ClientSession, MCPError
from mcp.shared.exceptions import MCPDeprecationWarning
from tests.conformance.balancer import Balancer
from tests.support.broker import Broker
from tests.support.gateways import GatewayProcess
from tests.support.links import eventually
from tests.support.services import Service, write_state_keys
from tests.support.sessions import Heard, over_http

NOTE = "note://today"
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
INITIALIZE = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    },
}  # fmt: skip


@pytest.fixture
def guestbook(broker: Broker, tmp_path: Path) -> Iterator[str]:
    keys = write_state_keys(tmp_path / "keys")
    words = (
        "run", "tests.interop.guestbook:app", "--nats", broker.url, "--state-keys", str(keys),
        "--drain-timeout", "1",
    )  # fmt: skip
    with Service.longreach(tmp_path / "node.log", *words):
        yield broker.url


@pytest.fixture
def gateways(guestbook: str) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    with GatewayProcess(guestbook) as one, GatewayProcess(guestbook) as two:
        yield one, two


@pytest.fixture
async def balancer(gateways: tuple[GatewayProcess, GatewayProcess]) -> AsyncIterator[str]:
    balancing = Balancer([gateway.port for gateway in gateways])
    port = await balancing.start()
    url = f"http://127.0.0.1:{port}/mcp/guestbook"
    await until_there(url)
    yield url
    await balancing.close()
    assert min(balancing.requests.values()) > 1


async def until_there(url: str) -> None:
    """Wait until the gateways know of the server."""
    async with httpx2.AsyncClient() as http, asyncio.timeout(20):
        for _ in range(2):
            while (await http.post(url, json=INITIALIZE, headers=HEADERS)).status_code == 404:
                await asyncio.sleep(0.05)


def text_of(result: types.CallToolResult) -> str:
    assert isinstance(result.content[0], types.TextContent), result
    return result.content[0].text


async def visit(session: ClientSession, heard: Heard) -> None:
    """List, call with progress, log level, elicit, read, cancel, subscribe."""
    tools = [tool.name for tool in (await session.list_tools()).tools]
    assert {"change", "count", "greet", "state_of", "wait"} <= set(tools)
    assert [str(each.uri) for each in (await session.list_resources()).resources] == [NOTE]
    progress: list[float] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    counted = await session.call_tool("count", {"upto": 3}, progress_callback=on_progress)
    assert (text_of(counted), progress) == ("counted to 3", [1, 2, 3])
    with pytest.warns(MCPDeprecationWarning):
        await session.set_logging_level("error")
    assert text_of(await session.call_tool("greet", {})) == "Hello, Ada!"
    assert heard.questions == ["Who are you?"]
    assert (await session.read_resource(NOTE)).contents[0].text == "Buy milk."  # type: ignore[union-attr]
    await cancel(session)
    with pytest.warns(MCPDeprecationWarning):
        await session.subscribe_resource(NOTE)
    await session.call_tool("change", {})
    await eventually(lambda: set(heard.changes) == {NOTE, "tools"})
    with pytest.warns(MCPDeprecationWarning):
        await session.unsubscribe_resource(NOTE)
    await session.send_ping()


async def test_the_whole_mesh_is_one_server(gateways: tuple[GatewayProcess, GatewayProcess]) -> None:
    await until_there(f"{gateways[0].mcp}/guestbook")
    async with over_http(gateways[0].mcp) as (session, heard):
        assert "guestbook__count" in [tool.name for tool in (await session.list_tools()).tools]
        assert text_of(await session.call_tool("guestbook__greet", {})) == "Hello, Ada!"
        uri = f"longreach://guestbook/{NOTE}"
        assert (await session.read_resource(uri)).contents[0].text == "Buy milk."  # type: ignore[union-attr]
        with pytest.warns(MCPDeprecationWarning):
            await session.subscribe_resource(uri)
        await session.call_tool("guestbook__change", {})
        await eventually(lambda: set(heard.changes) == {uri, "tools"})
        with pytest.raises(MCPError) as missing:
            await session.read_resource("longreach://guestbook/note://nothing")
        assert missing.value.code == -32002


async def cancel(session: ClientSession) -> None:
    key = secrets.token_hex(8)

    async def until(state: str) -> None:
        while text_of(await session.call_tool("state_of", {"key": key})) != state:
            await asyncio.sleep(0.02)

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(session.call_tool("wait", {"key": key}))
        await until("waiting")
        waiting.cancel()
    await until("cancelled")


async def test_a_session_works_through_any_gateway(balancer: str) -> None:
    for _ in range(2):  # each gateway is the owner once
        async with over_http(balancer) as (session, heard):
            await visit(session, heard)


async def test_the_owner_killed_means_a_session_that_is_not_found(
    gateways: tuple[GatewayProcess, GatewayProcess],
) -> None:
    owner, other = gateways
    await until_there(f"{owner.mcp}/guestbook")
    async with httpx2.AsyncClient(timeout=20) as http:
        began = await http.post(f"{owner.mcp}/guestbook", json=INITIALIZE, headers=HEADERS)
        headers = {**HEADERS, "mcp-session-id": began.headers["mcp-session-id"]}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        url = f"{other.mcp}/guestbook"
        assert (await http.post(url, json=ping, headers=headers)).status_code == 200
        async with http.stream("GET", url, headers=headers) as stream:
            assert stream.status_code == 200
            call = {
                "jsonrpc": "2.0", "id": 3, "method": "tools/call",
                "params": {"name": "wait", "arguments": {"key": "owner-killed"}},
            }  # fmt: skip
            calling = asyncio.get_running_loop().create_task(http.post(url, json=call, headers=headers))
            while b"waiting" not in (await http.post(url, json=state_of(), headers=headers)).content:
                await asyncio.sleep(0.02)
            owner.running.signal(9)
            async with asyncio.timeout(10):
                async for _ in stream.aiter_bytes():
                    pass
                answer = (await calling).text
        assert "session_lost" in answer
        gone = await http.post(url, json=ping, headers=headers)
        assert gone.status_code == 404
        assert "initialize" in gone.json()["error"]["message"]
        assert (await http.post(url, json=INITIALIZE, headers=HEADERS)).status_code == 200


def state_of() -> dict[str, Any]:
    params = {"name": "state_of", "arguments": {"key": "owner-killed"}}
    return {"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": params}


async def test_idle_sessions_end(guestbook: str) -> None:
    with GatewayProcess(guestbook, "--session-idle", "0.3") as gateway:
        async with httpx2.AsyncClient() as http:
            began = await http.post(gateway.mcp, json=INITIALIZE, headers=HEADERS)
            headers = {**HEADERS, "mcp-session-id": began.headers["mcp-session-id"]}
            async with http.stream("GET", gateway.mcp, headers=headers) as stream:
                assert stream.status_code == 200
                for _ in range(8):  # while a stream is open it is in use
                    await asyncio.sleep(0.1)
                ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
                assert (await http.post(gateway.mcp, json=ping, headers=headers)).status_code == 200
            async with asyncio.timeout(10):
                while await still_there(http, gateway, headers["mcp-session-id"]):
                    await asyncio.sleep(0.5)


async def still_there(http: httpx2.AsyncClient, gateway: GatewayProcess, session: str) -> bool:
    ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
    answer = await http.post(gateway.mcp, json=ping, headers={**HEADERS, "mcp-session-id": session})
    return answer.status_code == 200


async def test_a_gateway_that_drains_ends_streams_and_itself(guestbook: str) -> None:
    with GatewayProcess(guestbook) as gateway:
        async with httpx2.AsyncClient(timeout=20) as http:
            began = await http.post(gateway.mcp, json=INITIALIZE, headers=HEADERS)
            headers = {**HEADERS, "mcp-session-id": began.headers["mcp-session-id"]}
            async with http.stream("GET", gateway.mcp, headers=headers) as stream:
                assert stream.status_code == 200
                gateway.terminate()
                async for _ in stream.aiter_bytes():
                    pass
        assert await asyncio.to_thread(gateway.ended, 15) == 0
