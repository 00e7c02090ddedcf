"""An elicitation whose rounds land on different nodes; its state is good for nobody and nothing else."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.support.broker import Broker
from tests.support.nodes import NodeProcess
from tests.support.rounds import accept

from longreach import Context, Node, Server, connect
from longreach.client.mesh import Mesh
from longreach.policy.sealing import key_line, new_key
from longreach.wire.inputs import ElicitParams

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
}
ANSWER = {"who": accept(name="Al", seats=2)}
_ids = itertools.count(1)


class Place(NamedTuple):
    """Two nodes that share a key ring, on one broker."""

    url: str
    first: NodeProcess
    second: NodeProcess
    file: Path

    def effects(self) -> Counter[str]:
        """How often each thing was done."""
        return Counter(line.split()[0] for line in self.file.read_text().splitlines())


@pytest.fixture
async def place(broker: Broker, tmp_path: Path) -> AsyncIterator[Place]:
    file = tmp_path / "effects"
    file.with_name("effects.keys").write_text(key_line(new_key(secrets.token_bytes)) + "\n")
    module = "tests.support.rounds_node"
    nodes = [await NodeProcess.start(broker.url, effects=str(file), module=module) for _ in range(2)]
    try:
        yield Place(broker.url, nodes[0], nodes[1], file)
    finally:
        for node in nodes:
            await node.close()


async def book(
    mesh: Mesh,
    to: NodeProcess,
    *,
    show: str = "Hamlet",
    state: str | None = None,
    responses: Mapping[str, Any] | None = None,
    caller: str | None = None,
) -> Any:
    """One request to one node, and its response."""
    params: dict[str, Any] = {"name": "book", "arguments": {"show": show}, "_meta": META}
    if state is not None:
        params["requestState"] = state
    if responses is not None:
        params["inputResponses"] = responses
    request = {"jsonrpc": "2.0", "id": next(_ids), "method": "tools/call", "params": params}
    answer = await mesh.forward(
        "rounds",
        msgspec.json.encode(request),
        method="tools/call",
        name="book",
        to_node=to.name,
        caller=caller,
    )
    return msgspec.json.decode(answer)


async def test_the_second_round_goes_on_on_another_node_and_steps_happen_once(place: Place) -> None:
    async with connect(place.url, timeout_s=10) as mesh:
        first = (await book(mesh, place.first))["result"]
        assert first["resultType"] == "input_required"
        assert first["inputRequests"]["who"]["params"]["message"] == "Who goes to Hamlet?"
        assert first["_meta"]["longreach/node"] == place.first.name

        second = (await book(mesh, place.second, state=first["requestState"], responses=ANSWER))["result"]
        assert second["resultType"] == "complete"
        assert second["content"][0]["text"] == f"reserve pay 2 for Al at {place.second.name}"
    assert place.effects() == {"run": 2, "reserve": 1, "pay": 1}


async def test_a_client_of_ours_answers_by_itself(place: Place) -> None:
    asked: list[str] = []

    def answer(params: ElicitParams) -> dict[str, Any]:
        asked.append(params.message)
        return {"name": "Bo"}

    async with connect(place.url, timeout_s=10, on_elicit=answer) as mesh:
        for _ in range(8):  # wherever each round lands
            result = await mesh.call("rounds.book", {"show": "Lear"})
            assert "reserve pay 1 for Bo" in str(result.content[0])
    assert asked == ["Who goes to Lear?"] * 8
    assert place.effects() == {"run": 16, "reserve": 8, "pay": 8}


async def test_a_state_is_refused_for_anybody_and_anything_else(place: Place) -> None:
    async with connect(place.url, timeout_s=10, via="gw") as mesh:
        first = await book(mesh, place.first, caller="alice")
        state = first["result"]["requestState"]
        middle = len(state) // 2
        altered = state[:middle] + ("x" if state[middle] != "x" else "y") + state[middle + 1 :]
        tries = {
            "state_other_caller": {"caller": "mallory", "state": state},
            "state_altered": {"caller": "alice", "state": altered},
            "state_other_arguments": {"caller": "alice", "state": state, "show": "Macbeth"},
        }
        for reason, changed in tries.items():
            error = (await book(mesh, place.second, responses=ANSWER, **changed))["error"]
            assert (error["code"], error["data"]["reason"]) == (-32602, reason)
            assert "without" in error["message"]
        assert place.effects() == {"run": 1, "reserve": 1}
        answered = await book(mesh, place.second, caller="alice", state=state, responses=ANSWER)
        assert answered["result"]["resultType"] == "complete"


async def test_a_state_ends_with_its_time(place: Place) -> None:
    async with connect(place.url, timeout_s=10) as mesh:
        state = (await book(mesh, place.first))["result"]["requestState"]
        async with asyncio.timeout(10):
            while True:  # asking without an answer keeps nothing alive
                answer = await book(mesh, place.second, state=state)
                if "error" in answer:
                    break
                await asyncio.sleep(0.1)
    assert answer["error"]["data"]["reason"] == "state_expired"


async def test_a_key_that_is_new_on_one_node_is_taken_by_both_once_both_have_it(place: Place) -> None:
    keys = place.file.with_name("effects.keys")
    old = keys.read_text()
    async with connect(place.url, timeout_s=10) as mesh:
        before = (await book(mesh, place.first))["result"]["requestState"]
        keys.write_text(key_line(new_key(secrets.token_bytes)) + "\n" + old)
        after = (await book(mesh, place.first))["result"]["requestState"]
        assert after.split(".")[1] != before.split(".")[1]
        for state in (before, after):
            answer = await book(mesh, place.second, state=state, responses=ANSWER)
            assert answer["result"]["resultType"] == "complete"
        keys.write_text(old)
        error = (await book(mesh, place.second, state=after, responses=ANSWER))["error"]
        assert error["data"]["reason"] == "state_unknown_key"


async def test_nodes_on_the_users_own_broker_share_a_ring_without_any_setup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGREACH_RUNTIME_DIR", str(tmp_path / "run"))

    def server() -> Server:
        made = Server("greeter")

        @made.tool
        async def greet(ctx: Context) -> str:
            return f"Hello, {(await ctx.elicit('Name?', str, key='name')).content}, from {ctx.node}!"

        return made

    async with Node(server()) as one, Node(server()) as two, connect(timeout_s=10) as mesh:
        assert not (tmp_path / "run" / "state.keys").exists()
        request = {"name": "greet", "_meta": META}

        async def send(node: Node, **more: Any) -> Any:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**request, **more}}
            answer = await mesh.forward(
                "greeter", msgspec.json.encode(body), method="tools/call", name="greet", to_node=node.name
            )
            return msgspec.json.decode(answer)["result"]

        first = await send(one)
        second = await send(
            two, requestState=first["requestState"], inputResponses={"name": accept(value="Al")}
        )
        assert second["content"][0]["text"] == f"Hello, Al, from {two.name}!"
        assert (tmp_path / "run" / "state.keys").stat().st_mode & 0o777 == 0o600
