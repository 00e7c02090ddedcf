"""The HTTP channel over a scripted transport: what becomes of one request, and of the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from longreach.errors import ProtocolError
from longreach_bridge.foreign import httpclient
from longreach_bridge.foreign.calls import Ask, ForeignCall, Params
from longreach_bridge.foreign.channel import Lost
from longreach_bridge.foreign.http import HttpChannel
from longreach_bridge.foreign.peer import Peer

Answer = Callable[[httpx2.Request], Any]


class Ears:
    def __init__(self) -> None:
        self.told_of: list[tuple[str, int | None]] = []

    def asked(self, ask: Ask, call: ForeignCall | None) -> None:
        self.told_of.append((ask.method, call.id if call is not None else None))

    def told(self, method: str, params: Params, call: ForeignCall | None) -> None:
        self.told_of.append((method, call.id if call is not None else None))


class Site(httpx2.AsyncBaseTransport):
    """Answers each POST as it is told, and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        self.asked.append(request)
        found = self.answer(request)
        if isinstance(found, Exception):
            raise found
        return found


class Stream(httpx2.AsyncByteStream):
    def __init__(self, *parts: bytes | Exception) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part

    async def aclose(self) -> None:
        pass


def result(request: httpx2.Request) -> httpx2.Response:
    body = json.loads(request.content)
    return httpx2.Response(200, json={"jsonrpc": "2.0", "id": body["id"], "result": {"x": 1}})


def events(*bodies: dict[str, Any] | Exception) -> Stream:
    return Stream(
        *(
            body if isinstance(body, Exception) else f"data: {json.dumps(body)}\n\n".encode()
            for body in bodies
        )
    )


def streamed(stream: Stream, kind: str = "text/event-stream") -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": kind}, stream=stream)


@asynccontextmanager
async def opened(answer: Answer, **secrets: str) -> AsyncIterator[tuple[Peer, Site, Ears]]:
    site, ears = Site(answer), Ears()
    peer = Peer("site", HttpChannel("site", "https://x.test/mcp", lambda: secrets, site), ears)
    await peer.open()
    peer.version = "2026-07-28"
    try:
        yield peer, site, ears
    finally:
        await peer.close()


async def outcome(peer: Peer, **options: Any) -> Any:
    return await peer.request("tools/call", {"name": "t"}, 5, **options)


async def test_requests_carry_their_headers_and_the_secrets() -> None:
    async with opened(result, Authorization="Bearer hunter2") as (peer, site, _):
        assert bytes(await outcome(peer, headers={"mcp-name": "t"})) == b'{"x":1}'

    headers = site.asked[0].headers
    assert headers["authorization"] == "Bearer hunter2"
    assert headers["mcp-protocol-version"] == "2026-07-28"
    assert headers["mcp-method"] == "tools/call"
    assert headers["mcp-name"] == "t"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["https://evil.test/mcp", "http://x.test/mcp", "https://x.test:444/mcp"])
async def test_secrets_go_to_no_other_origin(status: int, location: str) -> None:
    """Not where a redirect points, whatever the client under it would do."""
    there = httpx2.Response(status, headers={"location": location})
    async with opened(lambda _: there, **{"X-Api-Key": "hunter2"}) as (peer, site, _):
        with pytest.raises((ProtocolError, Lost)):
            await outcome(peer)
    assert {request.url.host for request in site.asked} == {"x.test"}
    assert {(request.url.scheme, request.url.port) for request in site.asked} == {("https", None)}


async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpclient, "MAX_BODY_BYTES", 1000)
    read: list[int] = []

    class Endless(Stream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'{"jsonrpc":"2.0","id":1,"result":{"x":"'
            while len(read) < 1000:
                read.append(100)
                yield b"y" * 100

    async with opened(lambda _: streamed(Endless(), "application/json")) as (peer, _, _):
        with pytest.raises((ProtocolError, Lost)):
            await outcome(peer)
    assert len(read) < 20


@pytest.mark.parametrize("trouble", [httpx2.ConnectError("x"), httpx2.ConnectTimeout("x")])
async def test_what_cannot_be_reached_was_not_sent_and_ends_the_connection(trouble: Exception) -> None:
    async with opened(lambda _: trouble) as (peer, _, _):
        with pytest.raises(Lost, match="cannot be reached") as caught:
            await outcome(peer)
        async with asyncio.timeout(30):
            await peer.gone()
    assert not caught.value.sent
    assert not caught.value.hopeless


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: httpx2.ReadError("x"),
        lambda _: httpx2.RemoteProtocolError("x"),
        lambda _: httpx2.Response(503, text="gone for tea"),
        lambda _: streamed(Stream(b'{"jsonrpc":', httpx2.ReadError("x")), "application/json"),
        lambda _: streamed(events(httpx2.ReadError("x"))),
        lambda _: streamed(events()),
    ],
    ids=["no head", "broken head", "503", "half a body", "broken stream", "ended stream"],
)
async def test_an_answer_that_breaks_costs_one_call_and_not_the_connection(answer: Answer) -> None:
    answers = iter([answer, result])
    async with opened(lambda request: next(answers)(request)) as (peer, _, _):
        with pytest.raises(Lost) as caught:
            await outcome(peer)
        assert caught.value.sent, "it may have run"
        assert bytes(await outcome(peer)) == b'{"x":1}'


@pytest.mark.parametrize("body", [{"text": "no"}, {"json": {"error": "invalid_token"}}])
async def test_rejected_credentials_are_said(body: dict[str, Any]) -> None:
    async with opened(lambda _: httpx2.Response(401, **body)) as (peer, _, _):
        with pytest.raises(Lost, match="credentials") as caught:
            await outcome(peer)
    assert caught.value.hopeless
    assert not caught.value.sent


async def test_an_error_in_the_body_is_the_servers_own() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        error = {"code": -32602, "message": "bad"}
        return httpx2.Response(400, json={"jsonrpc": "2.0", "id": None, "error": error})

    async with opened(refuse) as (peer, _, _):
        with pytest.raises(ProtocolError, match="bad") as caught:
            await outcome(peer)
    assert caught.value.code == -32602


async def test_what_comes_on_a_calls_stream_is_the_calls() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        number = json.loads(request.content)["id"]
        return streamed(
            events(
                {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": number}},
                {"jsonrpc": "2.0", "id": f"q{number}", "method": "elicitation/create", "params": {}},
                {"jsonrpc": "2.0", "id": number, "result": {}},
            )
        )

    async with opened(answer) as (peer, _, ears):
        await asyncio.gather(*(outcome(peer) for _ in range(3)))

    assert sorted(ears.told_of) == sorted(
        [("notifications/message", number) for number in (1, 2, 3)]
        + [("elicitation/create", number) for number in (1, 2, 3)]
    )


async def test_a_cancel_of_this_era_closes_the_stream() -> None:
    closed = asyncio.Event()

    class Endless(Stream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b": hello\n\n"
            await asyncio.Event().wait()

        async def aclose(self) -> None:
            closed.set()

    async with opened(lambda _: streamed(Endless())) as (peer, site, _):
        call = peer.prepare("tools/call")
        await peer.send(call, {"name": "t"})
        async with asyncio.timeout(30):
            while not site.asked:
                await asyncio.sleep(0)
            peer.cancel(call, "enough")
            await closed.wait()
    assert len(site.asked) == 1
