"""What a legacy client is told without having asked."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.faces import FaceDouble
from tests.support.legacy import talking
from tests.support.links import eventually

from longreach.policy.backoff import Backoff
from longreach.wire.jsonrpc import encode_notification
from longreach_gateway.legacy import subscriptions
from longreach_gateway.legacy.conversation import Conversation
from longreach_gateway.legacy.limits import Limits

LISTS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
UPDATED = "notifications/resources/updated"


async def test_changed_lists_are_told_once_the_client_is_initialized() -> None:
    face = FaceDouble()
    async with talking(Conversation(face)) as wire:
        await wire.initialize()
        await eventually(lambda: face.listens)
        assert face.listens == [LISTS]
        face.tell("notifications/tools/list_changed")
        await eventually(lambda: wire.notifications)
        assert wire.notifications == [{"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}]
    assert face.open_listens == 0


async def test_a_resource_is_subscribed_to_and_unsubscribed_from() -> None:
    face = FaceDouble()
    async with talking(Conversation(face)) as wire:
        await wire.initialize()
        await eventually(lambda: len(face.listens) == 1)
        assert await wire.result("resources/subscribe", {"uri": "a:b"}) == {}
        assert face.listens[-1] == {"resourceSubscriptions": ["a:b"]}
        face.streams[-1].put_nowait(
            b'{"jsonrpc":"2.0","method":"%b","params":{"uri":"a:b","_meta":{"k":1}}}' % UPDATED.encode()
        )
        await eventually(lambda: wire.notifications)
        assert wire.notifications[-1]["params"] == {"uri": "a:b", "_meta": {"k": 1}}
        assert await wire.result("resources/subscribe", {"uri": "a:b"}) == {}
        assert len(face.listens) == 2
        assert await wire.result("resources/unsubscribe", {"uri": "a:b"}) == {}
        await eventually(lambda: face.open_listens == 1)
        assert await wire.result("resources/unsubscribe", {"uri": "a:b"}) == {}


async def test_a_subscription_needs_a_uri() -> None:
    async with talking(Conversation(FaceDouble())) as wire:
        await wire.initialize()
        for params in ({}, {"uri": 3}, {"uri": ""}):
            assert (await wire.error("resources/subscribe", params))["code"] == -32602


async def test_subscriptions_are_bounded() -> None:
    async with talking(Conversation(FaceDouble(), limits=Limits(subscriptions=1))) as wire:
        await wire.initialize()
        await wire.result("resources/subscribe", {"uri": "a:1"})
        assert "unsubscribe" in (await wire.error("resources/subscribe", {"uri": "a:2"}))["message"]
        await wire.result("resources/unsubscribe", {"uri": "a:1"})
        await wire.result("resources/subscribe", {"uri": "a:2"})


class Stingy(FaceDouble):
    """Grants nothing."""

    async def listen(self, request: Any, *, caller: str | None = None) -> Any:
        yield encode_notification("notifications/subscriptions/acknowledged", {"notifications": {}})


class Refusing(FaceDouble):
    async def listen(self, request: Any, *, caller: str | None = None) -> Any:
        yield b'{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no such thing"}}'


async def test_a_subscription_that_is_not_granted_is_refused() -> None:
    async with talking(Conversation(Stingy())) as wire:
        await wire.initialize()
        error = await wire.error("resources/subscribe", {"uri": "a:1"})
    assert error["code"] == -32602
    assert "a:1" in error["message"]


async def test_a_subscription_that_fails_says_why() -> None:
    async with talking(Conversation(Refusing())) as wire:
        await wire.initialize()
        error = await wire.error("resources/subscribe", {"uri": "a:1"})
    assert error == {"code": -32602, "message": "no such thing"}


async def test_a_mesh_that_does_not_confirm_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscriptions, "_ACKNOWLEDGE_S", 0.01)
    face = FaceDouble()
    face.acknowledge = False
    async with talking(Conversation(face)) as wire:
        await wire.initialize()
        error = await wire.error("resources/subscribe", {"uri": "a:1"})
        assert "try again" in error["message"]
        await eventually(lambda: face.open_listens == 1)  # the lists


async def test_a_broken_stream_is_begun_again_and_what_was_missed_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscriptions, "_AGAIN", Backoff(first_s=0.001))
    face = FaceDouble()
    async with talking(Conversation(face)) as wire:
        await wire.initialize()
        await wire.result("resources/subscribe", {"uri": "a:b"})
        await eventually(lambda: len(face.streams) == 2)
        face.break_off()
        await eventually(lambda: len(wire.notifications) == 4)
        told = sorted(note["method"].split("/", 1)[1] for note in wire.notifications)
        assert told == [
            "prompts/list_changed", "resources/list_changed", "resources/updated", "tools/list_changed"
        ]  # fmt: skip
        face.tell("notifications/prompts/list_changed")
        await eventually(lambda: len(wire.notifications) == 6)  # both streams of the double say it
