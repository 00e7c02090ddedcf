"""A broker, a node, a gateway: calls as an HTTP client makes them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2
from tests.integration.gateway.conftest import Docs, StartGateway, ask
from tests.support.gateways import encode, events, headers_for, message


async def test_one_server_and_the_whole_mesh(
    start_gateway: StartGateway, http: httpx2.AsyncClient, docs: Docs
):
    gateway = await start_gateway("--gateway-id", "g1")

    one = await ask(http, f"{gateway.mcp}/docs", "tools/call", {"name": "echo", "arguments": {"text": "hi"}})
    whole = await ask(http, gateway.mcp, "tools/call", {"name": "docs__echo", "arguments": {"text": "ho"}})
    listed = [
        {tool["name"] for tool in (await ask(http, url, "tools/list")).json()["result"]["tools"]}
        for url in (f"{gateway.mcp}/docs", gateway.mcp, f"{gateway.mcp}?server=other")
    ]

    assert one.status_code == whole.status_code == 200
    assert one.headers["content-type"] == "application/json"
    assert [reply.json()["result"]["content"][0]["text"] for reply in (one, whole)] == ["hi", "ho"]
    assert listed == [{"echo", "count", "wait"}, {"docs__echo", "docs__count", "docs__wait"}, set()]
    assert docs.callers == ["g1.None", "g1.None"]


async def test_errors_have_their_statuses(start_gateway: StartGateway, http: httpx2.AsyncClient):
    gateway = await start_gateway()
    url = f"{gateway.mcp}/docs"

    unknown_tool = await ask(http, url, "tools/call", {"name": "none"})
    unknown_method = await ask(http, url, "tools/dance")
    bad_arguments = await ask(http, url, "tools/call", {"name": "echo", "arguments": {"text": 3}})
    unknown_server = await ask(http, f"{gateway.mcp}/none", "tools/list")

    assert (unknown_tool.status_code, unknown_tool.json()["error"]["code"]) == (400, -32602)
    assert (unknown_method.status_code, unknown_method.json()["error"]["code"]) == (404, -32601)
    assert (bad_arguments.status_code, bad_arguments.json()["result"]["isError"]) == (200, True)
    assert unknown_server.status_code == 404


async def test_progress_comes_as_events(start_gateway: StartGateway, http: httpx2.AsyncClient):
    gateway = await start_gateway()
    params = {"name": "count", "arguments": {"to": 20}, "_meta": {"progressToken": "p1"}}

    reply = await ask(http, f"{gateway.mcp}/docs", "tools/call", params)

    found = events(reply.text)
    assert reply.headers["content-type"] == "text/event-stream"
    assert [note["params"]["progress"] for note in found[:-1]] == list(range(1, 21))
    assert {note["params"]["progressToken"] for note in found[:-1]} == {"p1"}
    assert found[-1]["result"]["content"][0]["text"] == "counted"


async def test_a_call_without_progress_token_is_one_json(
    start_gateway: StartGateway, http: httpx2.AsyncClient
):
    gateway = await start_gateway()

    reply = await ask(http, f"{gateway.mcp}/docs", "tools/call", {"name": "count", "arguments": {"to": 3}})

    assert reply.headers["content-type"] == "application/json"


async def test_a_client_that_goes_away_cancels_the_handler(start_gateway: StartGateway, docs: Docs):
    gateway = await start_gateway()
    body = message("tools/call", {"name": "wait", "arguments": {}})

    async with asyncio.timeout(20), httpx2.AsyncClient() as http, asyncio.TaskGroup() as group:
        call = group.create_task(
            http.post(f"{gateway.mcp}/docs", content=encode(body), headers=headers_for(body))
        )
        await docs.running.wait()
        call.cancel()
        await docs.cancelled.wait()


async def test_a_client_that_closes_its_stream_cancels_the_handler(start_gateway: StartGateway, docs: Docs):
    gateway = await start_gateway()
    body = message("tools/call", {"name": "wait", "arguments": {}, "_meta": {"progressToken": 1}})

    async with (
        httpx2.AsyncClient(timeout=20) as http,
        http.stream("POST", f"{gateway.mcp}/docs", content=encode(body), headers=headers_for(body)) as reply,
    ):
        async for line in reply.aiter_lines():
            if line.startswith("data: "):
                break

    async with asyncio.timeout(10):
        await docs.cancelled.wait()


async def test_changes_are_heard_through_a_subscription(
    start_gateway: StartGateway, http: httpx2.AsyncClient, docs: Docs
):
    gateways = [await start_gateway(), await start_gateway()]
    body = message("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, "l1")
    heard: list[list[dict[str, Any]]] = [[], []]
    acknowledged = asyncio.Barrier(3)

    async def listen(number: int) -> None:
        url = f"{gateways[number].mcp}/docs"
        async with http.stream("POST", url, content=encode(body), headers=headers_for(body)) as reply:
            async for line in reply.aiter_lines():
                if line.startswith("data: "):
                    heard[number].append(json.loads(line.removeprefix("data: ")))
                    if len(heard[number]) == 1:
                        await acknowledged.wait()
                    else:
                        return

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for number in range(2):
            group.create_task(listen(number))
        await acknowledged.wait()

        @docs.server.tool
        async def added() -> str:
            return "new"

    for messages in heard:
        assert [each["method"] for each in messages] == [
            "notifications/subscriptions/acknowledged",
            "notifications/tools/list_changed",
        ]
        assert {each["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] for each in messages} == {
            "l1"
        }


async def test_any_gateway_answers_any_request(start_gateway: StartGateway, http: httpx2.AsyncClient):
    gateways = [await start_gateway(), await start_gateway()]

    replies = [
        await ask(
            http,
            f"{gateways[number % 2].mcp}/docs",
            "tools/call",
            {"name": "echo", "arguments": {"text": "x"}},
        )
        for number in range(10)
    ]

    assert [reply.status_code for reply in replies] == [200] * 10
