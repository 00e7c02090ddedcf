"""Which era a client of standard input speaks, and what it is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.faces import Asked, FaceDouble, text_result
from tests.support.gateways import message
from tests.support.links import eventually
from tests.support.malformed import MALFORMED, line_of

from longreach_gateway.stdio.lines import TooLong
from longreach_gateway.stdio.modern import Modern
from longreach_gateway.stdio.serving import Eras


class Written:
    """An `Output` that keeps what is written."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def put(self, data: bytes) -> None:
        self.messages.append(json.loads(data))

    async def write(self, data: bytes) -> None:
        self.put(data)

    def answer(self, request_id: Any) -> dict[str, Any] | None:
        found = [each for each in self.messages if each.get("id") == request_id and "method" not in each]
        assert len(found) <= 1
        return found[0] if found else None

    async def answered(self, request_id: Any) -> dict[str, Any]:
        await eventually(lambda: self.answer(request_id))
        found = self.answer(request_id)
        assert found is not None
        return found


class Host:
    def __init__(self, eras: Eras, written: Written) -> None:
        self.eras = eras
        self.written = written

    async def send(self, body: Any) -> None:
        await self.eras.take(body if isinstance(body, bytes) else json.dumps(body).encode())

    async def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        await self.send(body)
        return await self.written.answered(body["id"])


FACE = FaceDouble


@pytest.fixture
def face() -> FaceDouble:
    return FaceDouble()


@pytest.fixture
async def host(face: FaceDouble) -> AsyncIterator[Host]:
    written = Written()
    eras = Eras(face, written)  # type: ignore[arg-type]
    yield Host(eras, written)
    await eras.close()


def initialize(request_id: int = 1) -> dict[str, Any]:
    params = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "h", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": request_id, "method": "initialize", "params": params}


async def test_initialize_begins_the_legacy_era(host: Host, face: FaceDouble) -> None:
    assert (await host.ask(initialize()))["result"]["protocolVersion"] == "2025-06-18"
    await host.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert await host.ask({"jsonrpc": "2.0", "id": 2, "method": "ping"}) == {
        "jsonrpc": "2.0",
        "id": 2,
        "result": {},
    }
    await eventually(lambda: face.open_listens == 1)


async def test_a_version_in_meta_begins_the_modern_era(host: Host, face: FaceDouble) -> None:
    async def call(asked: Asked) -> Any:
        return text_result("x", odd=1)

    face.handlers["tools/call"] = call
    answer = await host.ask(message("tools/call", {"name": "t"}, 5))
    assert answer["result"] == text_result("x", odd=1)
    face.handlers["initialize"] = call
    assert "result" in await host.ask(initialize(6))  # the front's own answer: the era stays
    assert face.asked[-1].request.method == "initialize"


async def test_probes_are_answered_and_choose_nothing(host: Host, face: FaceDouble) -> None:
    answer = await host.ask(message("server/discover", {}, "probe"))
    assert answer["result"]["supportedVersions"] == ["2026-07-28"]
    assert (await host.ask(initialize(2)))["result"]["protocolVersion"] == "2025-06-18"


async def test_what_comes_before_initialize_is_refused(host: Host) -> None:
    answer = await host.ask({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert answer["error"]["code"] == -32600
    assert "result" in await host.ask(initialize(2))


@pytest.mark.parametrize("era", ["none", "legacy", "modern"])
async def test_garbage_is_answered_and_ends_nothing(host: Host, era: str) -> None:
    if era == "legacy":
        await host.ask(initialize())
    elif era == "modern":
        await host.send(message("tools/list", {}, 1))
        await host.written.answered(1)
    for line, code in ((b"{", -32700), (b"[]", -32600), (b'{"jsonrpc":"2.0","id":{},"method":"x"}', -32600)):
        await host.send(line)
        error = host.written.messages[-1]
        assert error["error"]["code"] == code
        assert error["id"] is None
    await host.eras.take(TooLong())
    assert host.written.messages[-1]["error"]["code"] == -32600
    assert (await host.ask(initialize(9)))["id"] == 9


@pytest.mark.parametrize(
    ("era", "number"),
    [
        *((era, number) for era in ("legacy", "modern") for number in ("NaN", "Infinity", "-Infinity")),
        ("legacy", "1e999"),
    ],
)
async def test_a_number_that_json_does_not_have_is_refused(host: Host, era: str, number: str) -> None:
    await host.ask(initialize(1) if era == "legacy" else message("tools/list", {}, 1))
    wrong = json.dumps(message("tools/call", {"name": "echo", "arguments": {"x": 7.25}}, 9))
    before = len(host.written.messages)

    await host.send(wrong.replace("7.25", number).encode())

    await eventually(lambda: len(host.written.messages) > before)
    assert host.written.messages[-1]["error"]["code"] in (-32700, -32602)


async def test_a_cancelled_request_ends_and_is_not_answered(host: Host, face: FaceDouble) -> None:
    begun = asyncio.Event()

    async def call(asked: Asked) -> Any:
        begun.set()
        await asyncio.Event().wait()

    face.handlers["tools/call"] = call
    await host.send(message("tools/call", {"name": "t"}, "c"))
    await begun.wait()
    for params in ({}, {"requestId": "other"}, {"requestId": "c"}):
        await host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})
    await eventually(lambda: face.cancelled == ["tools/call"])
    assert host.written.messages == []


async def test_notes_come_before_the_answer(host: Host, face: FaceDouble) -> None:
    async def call(asked: Asked) -> Any:
        asked.note("notifications/progress", {"progressToken": 1, "progress": 1})
        return text_result("x")

    face.handlers["tools/call"] = call
    await host.ask(message("tools/call", {"name": "t"}, 1))
    assert [each.get("method") for each in host.written.messages] == ["notifications/progress", None]


async def test_a_subscription_lasts_until_it_is_cancelled(host: Host, face: FaceDouble) -> None:
    await host.send(message("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, "l"))
    await eventually(lambda: host.written.messages)
    face.tell("notifications/tools/list_changed")
    await eventually(lambda: len(host.written.messages) == 2)
    async with asyncio.timeout(30):
        await host.eras.quiet()  # a subscription keeps nobody waiting
    await host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "l"}})
    await eventually(lambda: face.open_listens == 0)


async def test_ids_are_unique_and_requests_bounded(face: FaceDouble) -> None:
    free = asyncio.Event()

    async def call(asked: Asked) -> Any:
        await free.wait()
        return text_result("x")

    face.handlers["tools/call"] = call
    written = Written()
    modern = Modern(face, written, concurrent=2)  # type: ignore[arg-type]
    for request_id in (1, 1, "1", 3):
        await modern.take(json.dumps(message("tools/call", {"name": "t"}, request_id)).encode())
    assert [(each["id"], each["error"]["code"]) for each in written.messages] == [(1, -32600), (3, -31910)]
    free.set()
    await modern.quiet()
    assert len(written.messages) == 4
    await modern.close()


async def test_responses_of_a_modern_client_are_passed_over(host: Host) -> None:
    await host.send(message("tools/list", {}, 1))
    await host.written.answered(1)
    await host.send({"jsonrpc": "2.0", "id": 7, "result": {}})
    assert host.written.answer(7) is None


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize(("line", "known"), MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_malformed_is_answered_once(
    host: Host, face: FaceDouble, era: str, line: bytes, known: int | None
) -> None:
    first = initialize() if era == "legacy" else message("tools/list")
    await host.ask(first)
    await host.send(line)
    await host.ask(
        {"jsonrpc": "2.0", "id": 2, "method": "ping"} if era == "legacy" else message("ping", {}, 2)
    )
    errors = [each for each in host.written.messages if each.get("id") not in (first["id"], 2)]
    assert len(errors) == 1
    assert errors[0]["error"]["message"]
    assert errors[0]["id"] in (known, 9 if known is None else known)


@pytest.mark.parametrize("line", [line for line, _ in MALFORMED], ids=range(len(MALFORMED)))
async def test_what_is_malformed_is_answered_before_an_era_is_chosen(host: Host, line: bytes) -> None:
    await host.send(line)
    [error] = host.written.messages
    assert error["error"]["message"]


async def test_an_id_that_is_none_is_named(host: Host) -> None:
    await host.send(line_of("1.5"))
    [error] = host.written.messages
    assert error["error"]["message"] == "the id must be a text or an integer, not 1.5"


async def test_all_that_came_in_one_piece_is_answered_before_it_is_quiet(
    host: Host, face: FaceDouble
) -> None:
    async def call(asked: Asked) -> Any:
        for _ in range(20):
            await asyncio.sleep(0)
        return text_result("x")

    face.handlers["tools/call"] = call
    await host.send(initialize())
    await host.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    for request_id in range(2, 12):
        body = {"method": "tools/call", "params": {"name": "t", "arguments": {}}}
        await host.send({"jsonrpc": "2.0", "id": request_id, **body})
    async with asyncio.timeout(20):
        await host.eras.quiet()
    assert all("result" in (host.written.answer(request_id) or {}) for request_id in range(1, 12))


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_what_is_not_done_when_the_process_ends_is_answered(
    host: Host, face: FaceDouble, era: str
) -> None:
    begun = asyncio.Event()

    async def call(asked: Asked) -> Any:
        begun.set()
        await asyncio.Event().wait()

    face.handlers["tools/call"] = call
    if era == "legacy":
        await host.send(initialize())
        body = {"method": "tools/call", "params": {"name": "t", "arguments": {}}}
        await host.send({"jsonrpc": "2.0", "id": 5, **body})
    else:
        await host.send(message("tools/call", {"name": "t"}, 5))
    async with asyncio.timeout(20):
        await begun.wait()
    await host.eras.close()
    answer = host.written.answer(5)
    assert answer is not None
    assert answer["error"]["data"]["delivered"] == "unknown"


async def test_a_front_that_raises_is_an_answer(host: Host, face: FaceDouble) -> None:
    async def broken(asked: Asked) -> Any:
        raise LookupError("no such thing")

    face.handlers["tools/call"] = broken
    answer = await host.ask(message("tools/call", {"name": "t"}, 5))
    assert answer["error"]["code"] == -32603
    await host.send(message("subscriptions/listen", {}, 6))  # without `notifications`: the double raises
    assert (await host.written.answered(6))["error"]["code"] == -32603


async def test_a_legacy_request_that_its_client_cancelled_holds_nothing_up(
    host: Host, face: FaceDouble
) -> None:
    begun = asyncio.Event()

    async def call(asked: Asked) -> Any:
        begun.set()
        await asyncio.Event().wait()

    face.handlers["tools/call"] = call
    await host.send(initialize())
    await host.send(
        {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "t", "arguments": {}}}
    )
    async with asyncio.timeout(20):
        await begun.wait()
        await host.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})
        await host.eras.quiet()
