"""What a legacy client is answered, message by message."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.faces import Asked, FaceDouble, Refused, complete, text_result
from tests.support.legacy import talking
from tests.support.links import eventually

from longreach.policy.limits import Limits as CallerLimits
from longreach_gateway.legacy.conversation import Conversation
from longreach_gateway.legacy.limits import Limits, Load


async def test_initialize_says_what_the_mesh_is() -> None:
    async with talking(Conversation(FaceDouble())) as wire:
        result = await wire.initialize("2025-06-18")
    assert result["protocolVersion"] == "2025-06-18"
    assert result["serverInfo"] == {"name": "double", "version": "9"}
    assert result["capabilities"]["tools"] == {"listChanged": True}
    assert result["instructions"] == "be kind"


async def test_initialize_succeeds_though_the_mesh_says_nothing() -> None:
    async def never(asked: Asked) -> Any:
        await asyncio.Event().wait()

    face = FaceDouble(server_discover=never)
    async with talking(Conversation(face, name="far", limits=Limits(discover_s=0.01))) as wire:
        result = await wire.initialize()
    assert result["serverInfo"]["name"] == "far"
    assert face.cancelled == ["server/discover"]


async def test_nothing_but_ping_comes_before_initialize() -> None:
    async with talking(Conversation(FaceDouble())) as wire:
        assert await wire.result("ping") == {}
        assert (await wire.error("tools/list"))["code"] == -32600
        assert (await wire.error("initialize", {}))["code"] == -32602
        await wire.initialize()
        assert (await wire.error("initialize", {}))["code"] == -32600


async def test_unknown_methods_are_not_found() -> None:
    async with talking(Conversation(FaceDouble())) as wire:
        await wire.initialize()
        assert (await wire.error("tasks/list"))["code"] == -32601
        assert (await wire.error("subscriptions/listen"))["code"] == -32601


async def test_a_call_goes_there_and_back_and_loses_nothing() -> None:
    result = {
        "content": [{"type": "text", "text": "x", "annotations": {"priority": 0.5}, "odd": None}],
        "structuredContent": {"n": 12345678901234567890123, "f": 1.5},
        "_meta": {"longreach/node": "a.b"},
        "isError": False,
        "unknown": [1],
    }

    async def call(asked: Asked) -> Any:
        return {"resultType": "complete", **result}

    face = FaceDouble(tools_call=call)
    async with talking(Conversation(face, caller="alice")) as wire:
        await wire.initialize()
        assert await wire.result("tools/call", {"name": "t", "arguments": {"a": 1}, "odd": 2}) == result
    asked = face.asked[-1]
    assert asked.caller == "alice"
    assert asked.request.name == "t"
    assert asked.params["odd"] == 2
    assert asked.meta["io.modelcontextprotocol/clientInfo"] == {"name": "tests", "version": "1"}


async def test_cursors_go_both_ways() -> None:
    async def listing(asked: Asked) -> Any:
        return complete(
            tools=[], nextCursor=asked.params.get("cursor", "") + "+", ttlMs=1, cacheScope="public"
        )

    async with talking(Conversation(FaceDouble(tools_list=listing))) as wire:
        await wire.initialize()
        assert await wire.result("tools/list") == {"tools": [], "nextCursor": "+"}
        assert await wire.result("tools/list", {"cursor": "c"}) == {"tools": [], "nextCursor": "c+"}


async def test_an_error_keeps_its_code_and_data() -> None:
    async def read(asked: Asked) -> Any:
        raise Refused(-32602, "Resource not found", {"uri": "a:b"})

    async with talking(Conversation(FaceDouble(resources_read=read))) as wire:
        await wire.initialize()
        error = await wire.error("resources/read", {"uri": "a:b"})
    assert error == {"code": -32002, "message": "Resource not found", "data": {"uri": "a:b"}}


async def test_what_breaks_inside_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def call(asked: Asked) -> Any:
        raise RuntimeError("secret")

    async with talking(Conversation(FaceDouble(tools_call=call))) as wire:
        await wire.initialize()
        error = await wire.error("tools/call", {"name": "t"})
    assert error["code"] == -32603
    assert "secret" not in str(error)
    assert [record.message for record in caplog.records] == ["request.failed"]


async def test_progress_and_logs_come_before_the_answer_and_in_order() -> None:
    async def call(asked: Asked) -> Any:
        for step in (0, 50, 100):
            asked.note("notifications/progress", {"progressToken": "p", "progress": step})
        asked.note("notifications/message", {"level": "info", "data": {"k": 1}})
        return text_result("done")

    face = FaceDouble(tools_call=call)
    async with talking(Conversation(face)) as wire:
        await wire.initialize()
        await wire.result("tools/call", {"name": "t", "_meta": {"progressToken": "p"}})
        assert [note["params"].get("progress") for note in wire.notifications] == [0, 50, 100, None]
        assert wire.notifications[-1]["params"] == {"level": "info", "data": {"k": 1}}
    assert face.asked[-1].meta["progressToken"] == "p"


async def test_the_level_of_logs_goes_with_every_request() -> None:
    async def call(asked: Asked) -> Any:
        return text_result(asked.meta["io.modelcontextprotocol/logLevel"])

    async with talking(Conversation(FaceDouble(tools_call=call))) as wire:
        await wire.initialize()
        assert (await wire.result("tools/call", {"name": "t"}))["content"][0]["text"] == "info"
        assert await wire.result("logging/setLevel", {"level": "error"}) == {}
        assert (await wire.result("tools/call", {"name": "t"}))["content"][0]["text"] == "error"
        assert (await wire.error("logging/setLevel", {"level": "loud"}))["code"] == -32602


async def test_a_cancelled_call_ends_on_the_mesh_and_is_not_answered() -> None:
    begun = asyncio.Event()

    async def call(asked: Asked) -> Any:
        begun.set()
        await asyncio.Event().wait()

    face = FaceDouble(tools_call=call)
    async with talking(Conversation(face)) as wire:
        await wire.initialize()
        request_id = await wire.start("tools/call", {"name": "t"})
        await begun.wait()
        await wire.send({"method": "notifications/cancelled", "params": {"requestId": request_id}})
        await eventually(lambda: face.cancelled == ["tools/call"])
        assert await wire.result("ping") == {}
        assert not wire._responses[request_id].done()


async def test_a_client_that_goes_cancels_its_calls() -> None:
    begun = asyncio.Event()

    async def call(asked: Asked) -> Any:
        begun.set()
        await asyncio.Event().wait()

    face = FaceDouble(tools_call=call)
    async with talking(Conversation(face)) as wire:
        await wire.initialize()
        await wire.start("tools/call", {"name": "t"})
        await begun.wait()
    assert face.cancelled == ["tools/call"]
    assert face.open_listens == 0


async def test_more_than_the_allowed_calls_are_refused() -> None:
    release = asyncio.Event()

    async def call(asked: Asked) -> Any:
        await release.wait()
        return text_result("x")

    face = FaceDouble(tools_call=call)
    async with talking(Conversation(face, limits=Limits(concurrent=1))) as wire:
        await wire.initialize()
        first = await wire.start("tools/call", {"name": "t"})
        await eventually(lambda: face.asked[-1].request.method == "tools/call")
        error = await wire.error("tools/call", {"name": "t"})
        assert error["data"] == {"reason": "busy", "delivered": "no"}
        assert await wire.result("ping") == {}
        release.set()
        assert "result" in await wire.response(first)


async def test_what_a_principal_keeps_busy_counts_over_all_its_sessions() -> None:
    release = asyncio.Event()

    async def call(asked: Asked) -> Any:
        await release.wait()
        return text_result("x")

    face = FaceDouble(tools_call=call)
    limits = Limits(calls=3, calls_per_caller=2)
    load = Load(limits)

    def conversation(caller: str | None) -> Conversation:
        return Conversation(face, caller=caller, limits=limits, load=load)

    async with (
        talking(conversation("a")) as one,
        talking(conversation("a")) as two,
        talking(conversation(None)) as three,
    ):
        for wire in (one, two, three):
            await wire.initialize()
        running = [(wire, await wire.start("tools/call", {"name": "t"})) for wire in (one, two)]
        await eventually(lambda: len([each for each in face.asked if each.request.name == "t"]) == 2)
        assert (await two.error("tools/call", {"name": "t"}))["data"]["reason"] == "busy"
        running.append((three, await three.start("tools/call", {"name": "t"})))
        await eventually(lambda: len([each for each in face.asked if each.request.name == "t"]) == 3)
        assert (await three.error("tools/list"))["data"]["reason"] == "busy"
        release.set()
        for wire, request_id in running:
            assert "result" in await wire.response(request_id)
        assert "result" in await two.request("tools/call", {"name": "t"})


async def test_params_of_another_shape_are_invalid() -> None:
    async with talking(Conversation(FaceDouble())) as wire:
        await wire.initialize()
        error = await wire.error("tools/call", {"name": {}, "_meta": 7})
    assert error["code"] == -32602


async def test_how_often_a_principal_asks_counts_over_all_its_sessions() -> None:
    limits = Limits(rate=CallerLimits(rate_per_s=0.001, burst=3))
    load, face = Load(limits, now=lambda: 0.0), FaceDouble()
    async with (
        talking(Conversation(face, caller="a", limits=limits, load=load)) as one,
        talking(Conversation(face, caller="a", limits=limits, load=load)) as two,
        talking(Conversation(face, caller="b", limits=limits, load=load)) as other,
    ):
        for wire in (one, two, other):
            await wire.initialize()
        assert "result" in await wire.response(await wire.start("ping"))
        await other.error("tools/none")
        assert (await one.error("tools/none"))["code"] == -32601
        refused = await two.error("tools/none")
        assert (refused["data"]["reason"], refused["data"]["limit"]) == ("busy", "rate")
        assert refused["data"]["retryAfterMs"] > 0
