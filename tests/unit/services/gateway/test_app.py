"""What an HTTP client sees of the modern era: checks, statuses, codes."""

from __future__ import annotations

import asyncio
import base64
import gzip
from typing import Any

import pytest
from tests.support.asgi import World
from tests.support.gateways import VERSION, encode, headers_for, message

from longreach.front.endings import Answer
from longreach_gateway.guard import Guard

CALL = message("tools/call", {"name": "echo", "arguments": {"text": "hi"}}, 7)
LIST = message("tools/list")


def without(headers: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


async def test_a_request_goes_to_the_front_as_it_came_and_the_answer_comes_as_it_went(world: World):
    answer = b'{"jsonrpc":"2.0",  "id":7,"result":{"resultType":"complete"}}'
    world.front.handler = lambda *_: Answer(answer, None)
    body = b"  " + encode(CALL) + b"\n"

    reply = await world.ask(body, headers_for(CALL))

    assert (reply.status, reply.body) == (200, answer)
    assert reply.headers == {"content-type": "application/json", "content-length": str(len(answer))}
    request, caller, timeout_s = world.front.asked[0]
    assert (request.data, caller, timeout_s) == (body, None, None)


async def test_a_body_may_come_in_parts(world: World):
    body = encode(CALL)

    reply = await world.ask([body[:5], b"", body[5:40], body[40:], b""], headers_for(CALL))

    assert reply.status == 200
    assert world.front.asked[0][0].data == body


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (-32700, 400), (-32600, 400), (-32602, 400), (-32020, 400), (-32021, 400), (-32022, 400),
        (-32601, 404), (-32603, 200), (-31910, 200), (4711, 200),
    ],
)  # fmt: skip
async def test_errors_of_the_mesh_have_the_status_that_their_code_has(world: World, code: int, status: int):
    world.front.handler = lambda *_: Answer(b"{}", code)

    assert (await world.ask(encode(LIST), headers_for(LIST))).status == status


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"host": "evil.example.com"}, 421),
        ({"origin": "http://evil.example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:6274"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": None}, 415),
        ({"accept": "application/json"}, 406),
        ({"accept": "text/event-stream"}, 406),
        ({"accept": None}, 406),
        ({"accept": "*/*"}, 200),
        ({"accept": "text/event-stream, application/json"}, 200),
        ({"last-event-id": "3", "mcp-session-id": "x"}, 200),
    ],
)
async def test_what_http_demands(world: World, changes: dict[str, Any], status: int):
    headers = {**headers_for(LIST), **changes}
    reply = await world.ask(
        encode(LIST), {name: value for name, value in headers.items() if value is not None}
    )

    assert reply.status == status
    assert ("error" in reply.json) == (status != 200)


MISSING_META = {"jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": {}}
NO_CAPABILITIES: dict[str, Any] = message("tools/list", request_id=7)
del NO_CAPABILITIES["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
NO_VERSION: dict[str, Any] = message("tools/list", request_id=7)
del NO_VERSION["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"]
OTHER: dict[str, Any] = message(
    "tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}}, 7
)
NUMBER: dict[str, Any] = message("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": 3}}, 7)


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (CALL, headers_for(CALL, mcp_name="other"), -32020),
        (CALL, without(headers_for(CALL), "mcp-name"), -32020),
        (CALL, without(headers_for(CALL), "mcp-method"), -32020),
        (CALL, without(headers_for(CALL), "mcp-protocol-version"), -32020),
        (CALL, headers_for(CALL, mcp_protocol_version="2025-11-25"), -32020),
        (CALL, headers_for(CALL, mcp_protocol_version="2099-01-01"), -32020),
        (OTHER, headers_for(OTHER), -32020),
        (OTHER, headers_for(OTHER, mcp_protocol_version="2099-01-01"), -32022),
        (MISSING_META, headers_for(MISSING_META), -32602),
        (MISSING_META, headers_for(MISSING_META, mcp_method="wrong"), -32602),
        (NO_CAPABILITIES, headers_for(NO_CAPABILITIES), -32602),
        (NO_VERSION, headers_for(NO_VERSION), -32602),
        (NUMBER, headers_for(NUMBER), -32602),
        ({**LIST, "id": 7, "params": []}, headers_for(LIST), -32602),
    ],
)
async def test_requests_that_the_transport_refuses(
    world: World, body: dict[str, Any], headers: dict[str, str], code: int
):
    reply = await world.ask(encode(body), headers)

    assert (reply.status, reply.code, reply.json["id"]) == (400, code, 7)
    assert not world.front.asked


async def test_who_speaks_another_version_is_told_which_there_are(world: World):
    reply = await world.ask(encode(OTHER), headers_for(OTHER, mcp_protocol_version="2099-01-01"))

    assert reply.json["error"]["data"] == {"supported": [VERSION], "requested": "2099-01-01"}


async def test_a_mirrored_header_must_be_there_once(world: World):
    reply = await world.ask(encode(CALL), [*headers_for(CALL).items(), ("mcp-name", "echo")])
    other = await world.ask(encode(CALL), [*headers_for(CALL).items(), ("x-any", "1"), ("x-any", "2")])

    assert (reply.status, reply.code) == (400, -32020)
    assert other.status == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"nonsense", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 5000, -32600),
        (b"[]", -32600),
        (encode([LIST]), -32600),
        (b"3", -32600),
        (b"null", -32600),
        (encode({"jsonrpc": "2.0", "id": 1, "result": {}}), -32600),
        (encode({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}}), -32600),
        (encode({**LIST, "id": None}), -32600),
        (encode({**LIST, "id": 1.5}), -32600),
        (encode({**LIST, "jsonrpc": "1.0"}), -32600),
        (encode({"jsonrpc": "2.0"}), -32600),
    ],
)
async def test_bodies_that_are_no_request(world: World, body: bytes, code: int):
    reply = await world.ask(body, headers_for(LIST))

    assert (reply.status, reply.code) == (400, code)
    assert not world.front.asked


async def test_a_notification_is_taken_note_of(world: World):
    note = encode({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    headers = without(headers_for(LIST), "mcp-method")

    taken = await world.ask(note, headers)
    refused = await world.ask(note, {**headers, "mcp-protocol-version": "2099-01-01"})

    assert (taken.status, taken.body) == (202, b"")
    assert (refused.status, refused.code) == (400, -32022)


@pytest.mark.parametrize("known", [True, False])
async def test_arguments_with_a_header_of_their_own_are_compared_with_it(world: World, known: bool):
    schemas = world.front.schemas if known else world.front.learned
    schemas["echo"] = {"properties": {"text": {"type": "string", "x-mcp-header": "Text"}}}
    encoded = f"=?base64?{base64.b64encode(b'hi').decode()}?="

    replies = [
        await world.ask(encode(CALL), {**headers_for(CALL), **more})
        for more in ({"mcp-param-text": "hi"}, {"mcp-param-text": encoded}, {"mcp-param-text": "ho"}, {})
    ]

    assert [reply.status for reply in replies] == [200, 200, 400, 400]
    assert [reply.code for reply in replies[2:]] == [-32020, -32020]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD", "OPTIONS"])
async def test_mcp_is_spoken_by_post(world: World, method: str):
    reply = await world.ask(None, headers_for(LIST), method=method)

    assert (reply.status, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("headers", "parts"),
    [({"content-length": "10001"}, [b""]), ({"content-length": "9" * 5000}, [b""]), ({}, [b"x" * 6000] * 2)],
)
async def test_a_body_that_is_too_large_is_not_read_to_its_end(
    world: World, headers: dict[str, str], parts: list[bytes]
):
    reply = await world.ask(parts, {**headers_for(LIST), **headers})

    assert (reply.status, reply.code) == (413, -32600)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "identity, gzip"])
async def test_a_body_that_is_compressed_is_refused_by_name(world: World, encoding: str):
    reply = await world.ask(
        [gzip.compress(encode(LIST))], {**headers_for(LIST), "content-encoding": encoding}
    )

    assert (reply.status, reply.code) == (415, -32600)
    assert f"encoded as {encoding.lower()}" in reply.json["error"]["message"]


async def test_a_body_that_says_it_is_not_compressed_is_taken(world: World):
    reply = await world.ask(encode(LIST), {**headers_for(LIST), "content-encoding": "identity"})

    assert reply.status == 200


async def test_paths_that_are_none(world: World):
    assert (await world.ask(encode(LIST), headers_for(LIST), path="/mcp/a/b")).status == 404
    assert (await world.ask(encode(LIST), headers_for(LIST), path="/other")).status == 404
    world.front.is_there = False
    assert (await world.ask(encode(LIST), headers_for(LIST), path="/mcp/nobody")).status == 404


async def test_health_is_told_to_whoever_asks_and_readiness_follows_the_broker(world: World):
    strange = {"host": "10.0.0.9:8808"}

    assert (await world.ask(None, strange, path="/healthz", method="GET")).status == 200
    assert (await world.ask(None, strange, path="/readyz", method="GET")).status == 200
    world.ready = False
    assert (await world.ask(None, strange, path="/readyz", method="GET")).status == 503


INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
PLAIN = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("method", "body", "headers"),
    [
        ("POST", INITIALIZE, PLAIN),
        ("POST", PING, {**PLAIN, "mcp-session-id": "x"}),
        ("POST", PING, {**PLAIN, "mcp-protocol-version": "2025-06-18"}),
        ("POST", [PING], {**PLAIN, "mcp-session-id": "x"}),
        ("GET", None, {"accept": "text/event-stream", "mcp-session-id": "x"}),
        ("GET", None, {"accept": "text/event-stream", "mcp-protocol-version": "2025-11-25"}),
        ("DELETE", None, {"mcp-session-id": "x"}),
    ],
)
async def test_the_era_before_is_for_whoever_speaks_it(make_world: Any, method: str, body: Any, headers: Any):
    seen: list[tuple[bytes | None, str | None, str | None]] = []

    async def legacy(
        scope: Any, receive: Any, send: Any, *, body: Any, server: Any, caller: Any, principal: Any
    ) -> None:
        assert principal is None
        seen.append((body, server, caller))
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    encoded = None if body is None else encode(body)
    told = await make_world().ask(encoded, headers, method=method)
    reply = await make_world(legacy=legacy).ask(encoded, headers, method=method, path="/mcp/docs")

    assert reply.status == 299
    assert seen == [(encoded, "docs", None)]
    if method == "POST":
        assert (told.status, told.code, told.json["error"]["data"]) == (400, -32022, {"supported": [VERSION]})


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (message("initialize"), headers_for(message("initialize")), None),
        (PING, PLAIN, -32602),
        (LIST, {**PLAIN, "mcp-session-id": "x"}, -32020),
    ],
)
async def test_what_says_that_it_is_modern_is_modern(
    make_world: Any, body: Any, headers: Any, code: int | None
):
    async def legacy(*_: Any, **__: Any) -> None:
        raise AssertionError("it is modern")

    reply = await make_world(legacy=legacy).ask(encode(body), headers)

    assert reply.json.get("error", {}).get("code") == code


async def test_a_defect_is_an_answer_too(world: World):
    def fail(*_: Any) -> Any:
        raise KeyError("internal")

    world.front.handler = fail
    reply = await world.ask(encode(LIST), headers_for(LIST))

    assert (reply.status, reply.code) == (500, -32603)
    assert "internal'" not in reply.body.decode()


async def test_other_protocols_than_http_are_none_of_its_business(world: World):
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async with asyncio.timeout(30):
        await world.app(
            {"type": "websocket", "path": "/mcp", "headers": [], "scheme": "ws", "query_string": b""},
            receive,
            send,
        )

    assert sent[0]["type"] == "websocket.close"


async def test_names_that_are_allowed_elsewhere(make_world: Any):
    world = make_world(guard=Guard("0.0.0.0", hosts=["mcp.example.com"]))

    assert (await world.ask(encode(LIST), headers_for(LIST, host="mcp.example.com"))).status == 200
    assert (await world.ask(encode(LIST), headers_for(LIST, host="10.0.0.1"))).status == 421


async def test_a_browser_is_told_what_a_page_of_an_allowed_origin_may_send_and_read(make_world: Any):
    world = make_world(guard=Guard("0.0.0.0", origins=["https://app.example.com"]))
    asked = {
        "origin": "https://app.example.com",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,mcp-method",
    }

    told = await world.ask(None, asked, method="OPTIONS")
    strange = await world.ask(None, {**asked, "origin": "https://evil.example.com"}, method="OPTIONS")
    answer = await world.ask(encode(LIST), headers_for(LIST, origin="https://app.example.com"))
    plain = await world.ask(encode(LIST), headers_for(LIST))

    assert (told.status, strange.status, answer.status) == (204, 403, 200)
    assert told.headers["access-control-allow-headers"] == "content-type,mcp-method"
    assert told.headers["access-control-allow-origin"] == "https://app.example.com"
    assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    assert answer.headers["vary"] == "origin"
    assert "access-control-allow-origin" not in strange.headers
    assert "access-control-allow-origin" not in plain.headers
