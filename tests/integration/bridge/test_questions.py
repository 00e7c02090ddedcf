"""What a legacy server asks in the middle of a call."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.support.bridges import ErrorReply, Meshed, ScriptedServer, legacy_methods
from tests.support.links import eventually

from longreach import Mesh
from longreach.tasks import TaskSet
from longreach_bridge.bridge import Bridge

ELICIT = {
    "method": "elicitation/create",
    "params": {
        "message": "Who?",
        "requestedSchema": {"type": "object", "properties": {}},
        "task": {"ttl": 1},
    },
}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
}


class World:
    def __init__(
        self, server: ScriptedServer, mesh: Mesh, tasks: TaskSet, node: Any, mesh_of: Meshed
    ) -> None:
        self.server = server
        self.mesh = mesh
        self.tasks = tasks
        self.node = node
        self.mesh_of = mesh_of

    async def ask(self, params: dict[str, Any], mesh: Mesh | None = None) -> dict[str, Any]:
        """One request of the mesh, as it is; the whole response."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        to_node = self.node.name if "requestState" in params else None
        answer = await (mesh or self.mesh).forward(
            "Old-One", msgspec.json.encode(body), method="tools/call", name=params["name"], to_node=to_node
        )
        return msgspec.json.decode(answer)

    def asking(self, params: dict[str, Any], mesh: Mesh | None = None) -> asyncio.Task[dict[str, Any]]:
        return self.tasks.spawn(self.ask(params, mesh))

    async def call(self, times: int = 1) -> int:
        """The id of the latest call at the foreign server."""
        return (await self.server.hears("tools/call", times))["id"]


@pytest.fixture
async def world(mesh_of: Meshed) -> Any:
    made: list[ScriptedServer] = []

    def channel() -> ScriptedServer:
        made.append(ScriptedServer(legacy_methods()))
        return made[-1]

    node = await mesh_of.host(await Bridge(channel).connect())
    tasks = TaskSet("asks", lambda name, error: None)
    yield World(made[0], await mesh_of.caller(), tasks, node, mesh_of)
    await tasks.close()


def waiting(meta: dict[str, Any] = META, **more: Any) -> dict[str, Any]:
    return {"name": "wait", "arguments": {"a": 1}, "_meta": meta, **more}


async def within(task: asyncio.Task[Any]) -> Any:
    async with asyncio.timeout(30):
        return await task


async def test_a_question_ends_the_round_and_the_answer_goes_on_with_the_call(world: World) -> None:
    first = world.asking(waiting())
    call = await world.call()
    world.server.say({"id": "q1", **ELICIT})

    asked = (await within(first))["result"]
    assert asked["resultType"] == "input_required"
    assert asked["requestState"].startswith(f"lr~{world.node.name}~")
    [(key, request)] = asked["inputRequests"].items()
    assert request["method"] == "elicitation/create"
    assert "task" not in request["params"], "what belongs to the other era is left out"

    answer = {"action": "accept", "content": {"name": "joe"}}
    second = world.asking(waiting(inputResponses={key: answer}, requestState=asked["requestState"]))
    assert (await world.server.answered("q1"))["result"] == answer
    world.server.say({"id": call, "result": {"content": [], "_meta": {"x": 1}}})

    done = (await within(second))["result"]
    assert done["resultType"] == "complete"
    assert done["_meta"]["x"] == 1
    assert len(world.server.of("tools/call")) == 1, "the foreign call is one and the same"


async def test_a_client_that_answers_by_itself_sees_only_the_result(world: World) -> None:
    mesh = await world.mesh_of.caller(on_elicit=lambda params: {"said": params.message})
    calling = world.tasks.spawn(mesh.call("Old-One.wait", {}))
    call = await world.call()
    world.server.say({"id": "q1", **ELICIT})

    content = (await world.server.answered("q1"))["result"]["content"]
    world.server.say({"id": call, "result": {"content": [{"type": "text", "text": content["said"]}]}})

    assert (await within(calling)).content[0].text == "Who?"


@pytest.mark.parametrize("change", ["caller", "arguments", "tool", "state"])
async def test_an_answer_is_taken_from_the_same_request_only(world: World, change: str) -> None:
    first = world.asking(waiting())
    await world.call()
    world.server.say({"id": "q1", **ELICIT})
    state = (await within(first))["result"]["requestState"]
    retry = waiting(inputResponses={"1": {"action": "cancel"}}, requestState=state)
    mesh = None
    match change:
        case "caller":
            mesh = await world.mesh_of.caller(caller="mallory")
        case "arguments":
            retry["arguments"] = {"a": 2}
        case "tool":
            retry["name"] = "echo"
        case "state":
            retry["requestState"] = state[:-1] + ("A" if state[-1] != "A" else "B")

    refused = await within(world.asking(retry, mesh))

    assert refused["error"]["code"] == -32602
    assert refused["error"]["data"]["reason"] == "invalid_request_state"
    assert not world.server.answers


async def test_a_state_is_good_once(world: World) -> None:
    first = world.asking(waiting())
    await world.call()
    world.server.say({"id": "q1", **ELICIT})
    state = (await within(first))["result"]["requestState"]
    retry = waiting(inputResponses={"1": {"action": "cancel"}}, requestState=state)
    going_on = world.asking(retry)
    await world.server.answered("q1")

    again = await within(world.asking(retry))

    assert again["error"]["data"]["reason"] == "invalid_request_state"
    assert not going_on.done()


async def test_a_retry_without_the_answer_is_asked_again(world: World) -> None:
    first = world.asking(waiting())
    await world.call()
    world.server.say({"id": "q1", **ELICIT})
    state = (await within(first))["result"]["requestState"]

    again = (await within(world.asking(waiting(requestState=state))))["result"]

    assert again["resultType"] == "input_required"
    assert again["requestState"] != state


async def test_a_caller_who_cannot_answer_is_not_asked(world: World) -> None:
    calling = world.asking(waiting({**META, "io.modelcontextprotocol/clientCapabilities": {}}))
    call = await world.call()
    world.server.say({"id": "q1", **ELICIT})
    world.server.say({"id": "q2", "method": "roots/list"})

    assert (await world.server.answered("q1"))["error"]["code"] == -32601
    assert (await world.server.answered("q2"))["result"] == {"roots": []}
    world.server.say({"id": call, "result": {"content": []}})
    assert (await within(calling))["result"]["resultType"] == "complete"


async def test_what_it_asks_for_itself_is_answered_here(world: World) -> None:
    world.server.say({"id": "p", "method": "ping"})
    world.server.say({"id": "r", "method": "roots/list"})
    world.server.say({"id": "e", **ELICIT})
    world.server.say({"id": "x", "method": "tasks/list"})

    assert (await world.server.answered("p"))["result"] == {}
    assert (await world.server.answered("r"))["result"] == {"roots": []}
    assert "error" in await world.server.answered("e"), "no caller is meant, and none is asked"
    assert (await world.server.answered("x"))["error"]["code"] == -32601


async def test_where_two_calls_run_no_caller_is_asked_what_another_one_may_be_meant_by(world: World) -> None:
    one, two = world.asking(waiting()), world.asking(waiting({**META, "mine": 2}))
    await world.call(2)
    first, second = (body["id"] for body in world.server.of("tools/call"))
    world.server.say({"id": "q1", **ELICIT})
    world.server.say({"id": first, "result": {"content": []}})

    done, _ = await asyncio.wait({one, two}, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    await asyncio.wait({one, two}, timeout=5)

    kinds = sorted(task.result()["result"]["resultType"] for task in (one, two))
    assert kinds == ["complete", "input_required"], "the one that was left is the one that asked"
    assert len(done) >= 1
    assert second


async def test_a_server_that_has_asked_gets_one_call_at_a_time(world: World) -> None:
    first = world.asking(waiting())
    call = await world.call()
    world.server.say({"id": "q1", **ELICIT})
    state = (await within(first))["result"]["requestState"]

    second = world.asking(waiting())  # the first waits for its caller, and lets others pass
    await world.call(2)
    third = world.asking(waiting())
    retry = world.asking(waiting(inputResponses={"1": {"action": "cancel"}}, requestState=state))
    await eventually(lambda: world.node.in_flight == 3)
    assert len(world.server.of("tools/call")) == 2
    assert not world.server.answers
    world.server.say({"id": world.server.of("tools/call")[1]["id"], "result": {"content": []}})
    await within(second)

    await world.call(3)
    world.server.say({"id": world.server.of("tools/call")[2]["id"], "result": {"content": []}})
    await within(third)
    await world.server.answered("q1")
    world.server.say({"id": call, "result": {"content": []}})
    assert (await within(retry))["result"]["resultType"] == "complete"


async def test_the_pages_that_a_server_wants_visited_are_a_round(world: World) -> None:
    page = {"mode": "url", "url": "https://x.test/", "message": "Log in", "elicitationId": "7"}
    world.server.methods["tools/call"] = lambda _: ErrorReply(
        -32042, "log in first", {"elicitations": [page]}
    )
    meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"url": {}}}}

    asked = (await within(world.asking(waiting(meta))))["result"]
    world.server.methods["tools/call"] = lambda _: {"content": []}
    retry = waiting(meta, inputResponses={"1": {"action": "accept"}}, requestState=asked["requestState"])
    done = await within(world.asking(retry))

    assert asked["inputRequests"]["1"]["params"]["url"] == "https://x.test/"
    assert done["result"]["resultType"] == "complete"
    assert len(world.server.of("tools/call")) == 2
    assert "requestState" not in world.server.of("tools/call")[1]["params"]


async def test_when_it_dies_what_waits_is_forgotten(world: World) -> None:
    first = world.asking(waiting())
    await world.call()
    world.server.say({"id": "q1", **ELICIT})
    state = (await within(first))["result"]["requestState"]

    world.server.die()
    await eventually(lambda: world.server.closed)
    async with asyncio.timeout(30):
        while (await world.ask({"name": "echo", "arguments": {}, "_meta": META})).get("result") is None:
            pass
    refused = await within(world.asking(waiting(inputResponses={"1": {}}, requestState=state)))

    assert refused["error"]["data"]["reason"] == "invalid_request_state"
