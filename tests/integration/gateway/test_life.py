"""A gateway's life: it starts, is up or not, drains, ends; and what it refuses on real connections."""

from __future__ import annotations

import asyncio
import signal

import httpx2
from tests.integration.gateway.conftest import Docs, StartGateway, ask
from tests.support.broker import Broker, free_port
from tests.support.commands import Desk
from tests.support.gateways import GatewayProcess, encode, events, headers_for, message


async def test_the_first_signal_lets_calls_and_streams_end(
    start_gateway: StartGateway, http: httpx2.AsyncClient, docs: Docs
):
    gateway = await start_gateway()
    url = f"{gateway.mcp}/docs"
    listen = message("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, "l1")
    streamed = ""

    async def subscribe(heard: asyncio.Event) -> str:
        text = ""
        async with http.stream("POST", url, content=encode(listen), headers=headers_for(listen)) as reply:
            async for part in reply.aiter_text():
                text += part
                heard.set()
        return text

    heard = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        call = group.create_task(ask(http, url, "tools/call", {"name": "wait", "arguments": {}}))
        stream = group.create_task(subscribe(heard))
        await docs.running.wait()
        await heard.wait()
        gateway.terminate()
        streamed = await stream
        assert not call.done()
        docs.release.set()
        reply = await call

    assert reply.json()["result"]["content"][0]["text"] == "released"
    assert events(streamed)[-1]["id"] == "l1"
    assert "result" in events(streamed)[-1]
    assert await asyncio.to_thread(gateway.ended) == 0


async def test_a_second_signal_cuts_off_what_still_runs(
    start_gateway: StartGateway, http: httpx2.AsyncClient, docs: Docs
):
    gateway = await start_gateway()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        call = group.create_task(
            ask(http, f"{gateway.mcp}/docs", "tools/call", {"name": "wait", "arguments": {}})
        )
        await docs.running.wait()
        gateway.terminate()
        await asyncio.to_thread(gateway.running.until, "gateway.draining")
        gateway.running.signal(signal.SIGINT)
        reply = await call
        await docs.cancelled.wait()

    assert (reply.status_code, reply.json()["error"]["data"]) == (503, {"delivered": "unknown"})
    assert await asyncio.to_thread(gateway.ended) == 0


async def test_what_outlives_the_bound_of_draining_is_cut_off(
    start_gateway: StartGateway, http: httpx2.AsyncClient, docs: Docs
):
    gateway = await start_gateway("--drain-timeout", "0.5")
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        call = group.create_task(
            ask(http, f"{gateway.mcp}/docs", "tools/call", {"name": "wait", "arguments": {}})
        )
        await docs.running.wait()
        gateway.terminate()
        reply = await call

    assert reply.status_code == 503
    assert await asyncio.to_thread(gateway.ended) == 0


async def test_readiness_follows_the_broker(http: httpx2.AsyncClient):
    with Broker() as broker, GatewayProcess(broker.url) as gateway:

        async def until(status: int) -> None:
            async with asyncio.timeout(20):
                while (await http.get(f"{gateway.url}/readyz")).status_code != status:
                    await asyncio.sleep(0.05)

        await until(200)
        broker.kill()
        await until(503)
        assert (await http.get(f"{gateway.url}/healthz")).status_code == 200
        broker.start()
        await until(200)


async def test_without_a_broker_it_says_so_and_ends(tmp_path):
    desk = Desk(tmp_path)
    ended = await asyncio.to_thread(desk.longreach, "gateway", "--port", "0")
    unreachable = await asyncio.to_thread(
        desk.longreach, "gateway", "--port", "0", "--nats", f"nats://127.0.0.1:{free_port()}"
    )

    assert (ended.returncode, unreachable.returncode) == (6, 6)
    assert ended.stderr.startswith("longreach: no broker")
    assert "Traceback" not in ended.stderr + unreachable.stderr


async def _exchange(port: int, *parts: bytes, wait_s: float = 0.0) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(15 + wait_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def _head(body: bytes, **others: str) -> bytes:
    headers = {**headers_for(message("tools/list")), "host": "127.0.0.1", "connection": "close", **others}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /mcp HTTP/1.1\r\n{lines}".encode() + b"content-length: %d\r\n\r\n" % len(body)


async def test_what_comes_too_slowly_or_is_too_much(start_gateway: StartGateway):
    gateway = await start_gateway("--body-timeout", "0.5", "--max-body", "1000")
    body = encode(message("tools/list"))

    good, slow_body, slow_head, nothing, large, wrong_host = await asyncio.gather(
        _exchange(gateway.port, _head(body), body),
        _exchange(gateway.port, _head(body), body[:10]),
        _exchange(gateway.port, _head(body)[:60]),
        _exchange(gateway.port),
        _exchange(gateway.port, _head(b"x" * 2000), b"x" * 2000),
        _exchange(gateway.port, _head(body, host="evil.example.com"), body),
    )

    assert good.startswith(b"HTTP/1.1 200 ")
    assert slow_body.startswith(b"HTTP/1.1 408 ")
    assert (slow_head, nothing) == (b"", b"")
    assert large.startswith(b"HTTP/1.1 413 ")
    assert wrong_host.startswith(b"HTTP/1.1 421 ")
