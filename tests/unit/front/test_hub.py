"""Who listens, and who is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from tests.support.fronts import META, StringMesh, bundle, request, resource, tool
from tests.support.oracle import agree, models

from longreach.errors import BrokerUnavailable
from longreach.front import UNAVAILABLE, Filters, Front, hub
from longreach.wire import codes

ALL_KINDS = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
WATCHED = "longreach://docs/file:///a"


def offer(*tools: str, **more: Any) -> Any:
    return bundle("docs", tools=[tool(name) for name in tools], resources=[resource("file:///a")], **more)


@pytest.fixture
def mesh() -> StringMesh:
    mesh = StringMesh()
    mesh.up(offer("a"))
    return mesh


class Listening:
    """One subscription, read message by message."""

    def __init__(self, front: Front, request_id: int | str = 1, **notifications: Any) -> None:
        asked = request("subscriptions/listen", request_id, notifications=notifications)
        self.stream: AsyncGenerator[bytes, None] = front.listen(asked)

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(30):
            message: dict[str, Any] = json.loads(await anext(self.stream))
        return message

    async def nothing(self) -> None:
        """Nothing is waiting to be read, now that everybody has had their turn."""
        reading = asyncio.get_running_loop().create_task(anext(self.stream))  # type: ignore[arg-type]
        for _ in range(5):
            await asyncio.sleep(0)
        assert not reading.done(), reading.result()
        reading.cancel()
        await asyncio.wait({reading})

    async def close(self) -> None:
        await self.stream.aclose()


async def test_first_comes_the_acknowledgement_of_what_is_honoured(mesh: StringMesh) -> None:
    uris = [WATCHED, "file:///a", "longreach://nobody/x", WATCHED]
    listening = Listening(Front(mesh), "s", toolsListChanged=True, resourceSubscriptions=uris, unknown=1)

    first = await listening.next()

    assert first == {
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": {
            "_meta": {"io.modelcontextprotocol/subscriptionId": "s"},
            "notifications": {"toolsListChanged": True, "resourceSubscriptions": [WATCHED]},
        },
    }
    agree(json.dumps(first).encode(), models.SubscriptionsAcknowledgedNotification)
    await listening.close()


async def test_a_change_of_what_is_offered_is_told_once_and_only_to_who_asked(mesh: StringMesh) -> None:
    front = Front(mesh)
    both, prompts = Listening(front, 1, **ALL_KINDS), Listening(front, 2, promptsListChanged=True)
    await both.next()
    await prompts.next()

    mesh.up(offer("a", "b"))

    told = await both.next()
    assert told["method"] == "notifications/tools/list_changed"
    assert told["params"] == {"_meta": {"io.modelcontextprotocol/subscriptionId": 1}}
    agree(json.dumps(told).encode(), models.ToolListChangedNotification)
    await both.nothing()
    await prompts.nothing()


@pytest.mark.parametrize("what", ["replica", "heartbeat", "version", "other_server", "fetching"])
async def test_what_changes_nothing_that_is_offered_is_not_told(mesh: StringMesh, what: str) -> None:
    front = Front(mesh, filters=Filters.of(servers=["docs"]))
    listening = Listening(front, **ALL_KINDS)
    await listening.next()

    if what == "replica":
        mesh.up(offer("a"), instance="2", region="us")
        mesh.down(instance="1")
    elif what == "heartbeat":
        mesh.up(offer("a"))
    elif what == "version":
        mesh.up(offer("a", version="1.0.1"), version="1.0.1")
    elif what == "other_server":
        mesh.up(bundle("maths", tools=[tool("add")]), server="maths")
    else:
        mesh.up(offer("a", "b"), fetched=False)

    await listening.nothing()


async def test_a_server_that_comes_or_goes_changes_the_lists(mesh: StringMesh) -> None:
    listening = Listening(Front(mesh), **ALL_KINDS)
    await listening.next()

    mesh.down()

    assert {(await listening.next())["method"] for _ in range(2)} == {
        "notifications/tools/list_changed",
        "notifications/resources/list_changed",
    }
    await listening.nothing()


async def test_while_tools_are_searched_for_their_list_stays_what_it_is(mesh: StringMesh) -> None:
    listening = Listening(Front(mesh, search_above=1), toolsListChanged=True)
    await listening.next()

    mesh.up(offer("a", "b"))
    assert (await listening.next())["method"] == "notifications/tools/list_changed"
    mesh.up(offer("a", "b", "c"))
    await listening.nothing()


async def test_a_resource_that_changed_is_told_under_the_uri_that_was_asked_for(mesh: StringMesh) -> None:
    whole, one = Front(mesh), Front(mesh, server="docs")
    listenings = [
        Listening(whole, 1, resourceSubscriptions=[WATCHED]),
        Listening(one, 2, resourceSubscriptions=["file:///a"]),
    ]
    for listening in listenings:
        await listening.next()

    mesh.update("docs", "file:///a")

    told = await listenings[0].next()
    assert told["params"] == {"_meta": {"io.modelcontextprotocol/subscriptionId": 1}, "uri": WATCHED}
    agree(json.dumps(told).encode(), models.ResourceUpdatedNotification)
    assert (await listenings[1].next())["params"]["uri"] == "file:///a"


async def test_what_filters_hide_is_not_listened_to(mesh: StringMesh) -> None:
    hidden = Front(mesh, filters=Filters.of(tags=["x"]))
    listening = Listening(hidden, resourceSubscriptions=[WATCHED])

    assert "resourceSubscriptions" not in (await listening.next())["params"]["notifications"]
    await listening.close()


async def test_what_cannot_be_subscribed_to_is_an_error_that_leaves_nothing(
    mesh: StringMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_updated = mesh.on_updated

    def refuse(server: str, uri: str, listener: Any) -> Any:
        if uri == "x:2":
            raise BrokerUnavailable("the mesh is closed")
        return on_updated(server, uri, listener)

    monkeypatch.setattr(mesh, "on_updated", refuse)
    front = Front(mesh, server="docs")
    listening = Listening(front, resourceSubscriptions=["x:1", "x:2", "x:3"])

    assert (await listening.next())["error"]["code"] == UNAVAILABLE
    with pytest.raises(StopAsyncIteration):
        await listening.next()
    assert (mesh.subscribed, mesh.watchers, front.listeners) == ([], 0, 0)


async def test_thousands_share_one_watch_and_one_subscription_for_each_resource(mesh: StringMesh) -> None:
    front = Front(mesh)
    listenings = [
        Listening(front, n, resourceSubscriptions=[WATCHED], toolsListChanged=True) for n in range(2000)
    ]
    for listening in listenings:
        await listening.next()
    assert mesh.subscribed == [("docs", "file:///a")]
    assert (mesh.watchers, front.listeners) == (2, 2000)

    mesh.update("docs", "file:///a")
    assert {(await listening.next())["params"]["uri"] for listening in listenings} == {WATCHED}
    for listening in listenings[:1999]:
        await listening.close()
    assert (mesh.subscribed, front.listeners) == ([("docs", "file:///a")], 1)
    await listenings[1999].close()

    assert (mesh.subscribed, mesh.watchers, front.listeners) == ([], 0, 0)
    mesh.up(offer("z"))
    mesh.update("docs", "file:///a")


async def test_nothing_is_left_of_a_listener_whose_task_is_cancelled(mesh: StringMesh) -> None:
    front = Front(mesh)
    listening = Listening(front, resourceSubscriptions=[WATCHED])
    await listening.next()
    reading = asyncio.get_running_loop().create_task(listening.next())
    await asyncio.sleep(0)

    reading.cancel()
    await asyncio.wait({reading})

    assert (mesh.subscribed, mesh.watchers, front.listeners) == ([], 0, 0)


async def test_nothing_is_left_of_one_that_goes_before_it_has_begun(mesh: StringMesh) -> None:
    front = Front(mesh)
    await Listening(front, resourceSubscriptions=[WATCHED]).close()

    assert (mesh.subscribed, mesh.watchers, front.listeners) == ([], 0, 0)


async def test_who_reads_slowly_gets_each_kind_and_each_resource_once(
    mesh: StringMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longreach.front.hub._COMPARES_PER_S", 1_000_000)  # none is put off for later
    listening = Listening(Front(mesh), resourceSubscriptions=[WATCHED], **ALL_KINDS)
    await listening.next()
    for n in range(100):
        mesh.up(offer("a", f"t{n}"))
        mesh.update("docs", "file:///a")

    assert [(await listening.next())["method"] for _ in range(2)] == [
        "notifications/tools/list_changed",
        "notifications/resources/updated",
    ]
    await listening.nothing()


@pytest.mark.parametrize("who", ["front", "mesh"])
async def test_the_response_comes_last_where_the_front_ends_it(mesh: StringMesh, who: str) -> None:
    front = Front(mesh)
    listening = Listening(front, "s", toolsListChanged=True)
    await listening.next()
    mesh.up(offer("a", "b"))

    front.close() if who == "front" else mesh.close()

    assert (await listening.next())["method"] == "notifications/tools/list_changed"
    last = await listening.next()
    assert last == {
        "jsonrpc": "2.0",
        "id": "s",
        "result": {"resultType": "complete", "_meta": {"io.modelcontextprotocol/subscriptionId": "s"}},
    }
    with pytest.raises(StopAsyncIteration):
        await listening.next()
    assert (mesh.subscribed, mesh.watchers, front.listeners) == ([], 0, 0)


async def test_a_closed_front_ends_who_comes_late(mesh: StringMesh) -> None:
    front = Front(mesh)
    front.close()
    listening = Listening(front, toolsListChanged=True)

    assert (await listening.next())["method"] == "notifications/subscriptions/acknowledged"
    assert "result" in await listening.next()
    assert mesh.watchers == 0


async def test_no_more_resources_than_so_many_are_honoured(
    mesh: StringMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "MAX_URIS", 3)
    uris = [f"longreach://docs/x:{n}" for n in range(10)]
    listening = Listening(Front(mesh), resourceSubscriptions=uris)

    assert (await listening.next())["params"]["notifications"]["resourceSubscriptions"] == uris[:3]
    await listening.close()


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, codes.INVALID_PARAMS),
        ({"notifications": []}, codes.INVALID_PARAMS),
        ({"notifications": {"toolsListChanged": 1}}, codes.INVALID_PARAMS),
        ({"notifications": {"resourceSubscriptions": [1]}}, codes.INVALID_PARAMS),
        ({"notifications": {}, "meta": {}}, codes.INVALID_PARAMS),
        (
            {
                "notifications": {},
                "meta": {**META, "io.modelcontextprotocol/protocolVersion": "2030-01-01"},
            },
            codes.UNSUPPORTED_VERSION,
        ),
    ],
)
async def test_a_wrong_request_gets_one_error(mesh: StringMesh, params: dict[str, Any], code: int) -> None:
    front = Front(mesh)
    messages = [json.loads(data) async for data in front.listen(request("subscriptions/listen", **params))]

    assert [message["error"]["code"] for message in messages] == [code]
    assert front.listeners == 0
