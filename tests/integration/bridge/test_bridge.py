"""A foreign server behind a scripted channel, seen from the mesh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.bridges import (
    ErrorReply,
    Meshed,
    ScriptedServer,
    legacy_methods,
    listed,
    modern_methods,
)
from tests.support.links import eventually

from longreach import Mesh
from longreach.errors import CallTimeout, NotFound, NotStarted, OutcomeUnknown, RemoteError
from longreach.tasks import TaskSet
from longreach_bridge.bridge import Bridge
from longreach_bridge.foreign.channel import Lost

URI = "note://a"


class Foreign:
    """A bridge to scripted servers: a new one for each connection."""

    def __init__(self, methods: dict[str, Callable[[dict[str, Any]], Any]]) -> None:
        self.methods = methods
        self.runs: list[ScriptedServer] = []
        self.naps: list[float] = []
        self.may_wake = asyncio.Event()
        self.may_wake.set()
        self.max_naps = 1_000
        self.refuses: Lost | None = None

    def channel(self) -> ScriptedServer:
        run = ScriptedServer(self.methods)
        run.refuses = self.refuses
        self.runs.append(run)
        return run

    async def sleep(self, delay_s: float) -> None:
        self.naps.append(delay_s)
        if len(self.naps) >= self.max_naps:
            self.may_wake.clear()
        await self.may_wake.wait()
        await asyncio.sleep(0)

    def bridge(self, **options: Any) -> Bridge:
        return Bridge(self.channel, sleep=self.sleep, **options)

    @property
    def now(self) -> ScriptedServer:
        return self.runs[-1]


async def bridged(mesh_of: Meshed, foreign: Foreign, **options: Any) -> tuple[Any, Mesh]:
    bridge = foreign.bridge(**options)
    node = await mesh_of.host(await bridge.connect())
    return node, await mesh_of.caller()


@pytest.fixture
async def old() -> Foreign:
    return Foreign(legacy_methods())


@pytest.fixture
async def new() -> Foreign:
    return Foreign(modern_methods())


async def calling(tasks: TaskSet, mesh: Any, name: str, arguments: dict[str, Any] | None = None) -> Any:
    return tasks.spawn(mesh.call(name, arguments or {}))


@pytest.fixture
async def tasks() -> Any:
    made = TaskSet("calls", lambda name, error: None)
    yield made
    await made.close()


# What it offers


async def test_a_legacy_server_is_offered_with_its_own_words(old: Foreign, mesh_of: Meshed) -> None:
    _, mesh = await bridged(mesh_of, old)

    [server] = await mesh.servers()
    tools = await listed(mesh, "Old-One", "tools")

    assert (server.name, server.versions) == ("Old-One", ("3.1.0",))
    assert tools[0] == {
        "name": "echo",
        "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True},
        "odd": [1],
        "_meta": {"longreach/hints": "untrusted"},
    }
    assert old.now.of("initialize")[0]["params"]["capabilities"].keys() == {
        "elicitation",
        "sampling",
        "roots",
    }
    assert old.now.of("notifications/initialized")


async def test_hints_count_where_they_are_trusted(old: Foreign, mesh_of: Meshed) -> None:
    _, mesh = await bridged(mesh_of, old, trust_hints=True)

    assert all("_meta" not in tool for tool in await listed(mesh, "Old-One", "tools"))


async def test_a_modern_server_is_discovered_and_never_initialized(new: Foreign, mesh_of: Meshed) -> None:
    _, mesh = await bridged(mesh_of, new, name="renamed")

    assert (await mesh.call("renamed.echo", {"text": "hi"})).content[0].text == "hi"
    assert not new.now.of("initialize")


async def test_tools_prompts_resources_and_completions_pass(old: Foreign, mesh_of: Meshed) -> None:
    _, mesh = await bridged(mesh_of, old)

    assert (await mesh.call("Old-One.echo", {"text": "hi"})).content[0].text == "hi"
    assert (await mesh.read("Old-One", URI)).contents[0].text == "milk"
    assert (await mesh.read("Old-One", "note://unlisted")).contents[0].text == "milk"
    assert "hi" in str((await mesh.get_prompt("Old-One.greet", {})).messages)
    sent = old.now.of("tools/call")[-1]["params"]
    assert "_meta" not in sent, "a legacy server is told nothing of this era's envelope"


async def test_what_a_modern_server_is_sent_is_what_the_caller_sent(new: Foreign, mesh_of: Meshed) -> None:
    _, mesh = await bridged(mesh_of, new)

    await mesh.call("new.echo", {"text": "hi", "n": 12345678901234567890123})

    params = new.now.of("tools/call")[-1]["params"]
    assert params["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert "progressToken" not in params["_meta"]


async def test_what_is_no_definition_is_left_out_and_any_name_is_kept(old: Foreign, mesh_of: Meshed) -> None:
    schema = {"type": "object"}
    names = ("a/b", "ok", "")
    tools = [{"name": name, "inputSchema": schema} for name in names]
    old.methods["tools/list"] = lambda _: {"tools": [*tools, {"name": "no schema"}, {"inputSchema": schema}]}
    _, mesh = await bridged(mesh_of, old)

    assert [tool.name for tool in await mesh.tools()] == ["a/b", "ok"]


async def test_a_changed_list_is_announced_again(old: Foreign, mesh_of: Meshed) -> None:
    _, mesh = await bridged(mesh_of, old)
    old.methods["tools/list"] = lambda _: {"tools": [{"name": "fresh", "inputSchema": {"type": "object"}}]}

    old.now.say({"method": "notifications/tools/list_changed"})

    async with asyncio.timeout(30):
        while [tool.name for tool in await mesh.tools()] != ["fresh"]:
            await asyncio.sleep(0.01)


async def test_pages_are_turned(old: Foreign, mesh_of: Meshed) -> None:
    def page(params: dict[str, Any]) -> dict[str, Any]:
        number = int(params.get("cursor", "0"))
        more = {"nextCursor": str(number + 1)} if number < 2 else {}
        return {"tools": [{"name": f"t{number}", "inputSchema": {"type": "object"}}], **more}

    old.methods["tools/list"] = page
    _, mesh = await bridged(mesh_of, old)

    assert [tool.name for tool in await mesh.tools()] == ["t0", "t1", "t2"]


# Errors


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(-32602, -32602), (-32002, -32602), (-32001, -32603), (-31900, -32603), (-32042, -32603), (7, 7)],
)
async def test_errors_come_with_codes_of_this_era(
    old: Foreign, mesh_of: Meshed, theirs: int, ours: int
) -> None:
    old.methods["tools/call"] = lambda _: ErrorReply(theirs, "sorry", {"x": 1})
    _, mesh = await bridged(mesh_of, old)

    with pytest.raises(RemoteError, match="sorry") as caught:
        await mesh.call("Old-One.wait", {})

    assert caught.value.code == ours


# Notifications


async def test_progress_and_log_messages_reach_the_caller_who_wants_them(
    old: Foreign, mesh_of: Meshed, tasks: TaskSet
) -> None:
    logs: list[Any] = []
    bridge = old.bridge()
    await mesh_of.host(await bridge.connect())
    mesh = await mesh_of.caller(on_log=lambda *words: logs.append(words), log_level="warning")
    heard: list[Any] = []
    asking = mesh.options(on_progress=lambda *words: heard.append(words[0]))

    call = await calling(tasks, asking, "Old-One.wait")
    sent = await old.now.hears("tools/call")
    token = sent["params"]["_meta"]["progressToken"]
    old.now.say({"method": "notifications/progress", "params": {"progressToken": token, "progress": 0.5}})
    old.now.say({"method": "notifications/message", "params": {"level": "debug", "data": "no"}})
    old.now.say({"method": "notifications/message", "params": {"level": "error", "data": "yes"}})
    old.now.say({"id": sent["id"], "result": {"content": []}})
    async with asyncio.timeout(30):
        await call

    assert token == sent["id"], "the token is ours: two callers may have chosen the same"
    assert heard == [0.5]
    assert len(logs) == 1
    assert (await old.now.hears("logging/setLevel"))["params"] == {"level": "warning"}


async def test_a_cancel_is_passed_on(old: Foreign, mesh_of: Meshed, tasks: TaskSet) -> None:
    _, mesh = await bridged(mesh_of, old)
    call = await calling(tasks, mesh, "Old-One.wait")
    sent = await old.now.hears("tools/call")

    call.cancel()

    cancelled = await old.now.hears("notifications/cancelled")
    assert cancelled["params"]["requestId"] == sent["id"]


async def test_resources_are_followed_and_their_updates_told(old: Foreign, mesh_of: Meshed) -> None:
    node, mesh = await bridged(mesh_of, old)
    told: list[str] = []
    node.servers[0].on_update(told.append)

    assert (await old.now.hears("resources/subscribe"))["params"] == {"uri": URI}
    await mesh.read("Old-One", "note://b")
    assert (await old.now.hears("resources/subscribe", 2))["params"] == {"uri": "note://b"}
    old.now.say({"method": "notifications/resources/updated", "params": {"uri": "note://b"}})

    await eventually(lambda: told == ["note://b"])


async def test_a_modern_server_is_listened_to(new: Foreign, mesh_of: Meshed) -> None:
    node, mesh = await bridged(mesh_of, new)
    told: list[str] = []
    node.servers[0].on_update(told.append)

    listen = await new.now.hears("subscriptions/listen")
    assert listen["params"]["notifications"] == {
        "toolsListChanged": True,
        "resourcesListChanged": True,
        "resourceSubscriptions": [URI],
    }
    await mesh.read("new", "note://b")
    again = await new.now.hears("subscriptions/listen", 2)
    assert again["params"]["notifications"]["resourceSubscriptions"] == [URI, "note://b"]
    assert (await new.now.hears("notifications/cancelled"))["params"]["requestId"] == listen["id"]
    meta = {"io.modelcontextprotocol/subscriptionId": again["id"]}
    new.now.say({"method": "notifications/resources/updated", "params": {"uri": URI, "_meta": meta}})

    await eventually(lambda: told == [URI])


# Up and down


async def test_a_call_that_was_sent_to_a_server_that_died_may_have_run(
    old: Foreign, mesh_of: Meshed, tasks: TaskSet
) -> None:
    _, mesh = await bridged(mesh_of, old)
    call = await calling(tasks, mesh, "Old-One.wait")
    await old.now.hears("tools/call")

    old.now.die()

    with pytest.raises(OutcomeUnknown):
        async with asyncio.timeout(30):
            await call
    assert len(old.runs) < 3
    assert sum(len(run.of("tools/call")) for run in old.runs) == 1, "it is not run again"


async def test_untrusted_hints_do_not_make_it_run_again(
    old: Foreign, mesh_of: Meshed, tasks: TaskSet
) -> None:
    old.methods["tools/call"] = lambda _: None
    _, mesh = await bridged(mesh_of, old)
    call = await calling(tasks, mesh, "Old-One.echo")  # which says that it is read-only
    await old.now.hears("tools/call")

    old.now.die()

    with pytest.raises(OutcomeUnknown):
        async with asyncio.timeout(30):
            await call


async def test_trusted_hints_do(old: Foreign, mesh_of: Meshed, tasks: TaskSet) -> None:
    old.methods["tools/call"] = lambda _: None
    _, mesh = await bridged(mesh_of, old, trust_hints=True)
    call = await calling(tasks, mesh, "Old-One.echo")
    await old.now.hears("tools/call")
    old.methods["tools/call"] = lambda _: {"content": [{"type": "text", "text": "again"}]}

    old.now.die()

    async with asyncio.timeout(30):
        assert (await call).content[0].text == "again"


async def test_while_it_is_down_nothing_is_started_and_then_it_is_back(old: Foreign, mesh_of: Meshed) -> None:
    _, mesh = await bridged(mesh_of, old)
    old.may_wake.clear()

    old.now.die()
    await eventually(lambda: old.naps)
    with pytest.raises((NotStarted, NotFound, CallTimeout)) as caught:
        await mesh.options(timeout_s=0.5).call("Old-One.echo", {"text": "hi"})
    assert caught.value.delivered == "no"
    assert [tool.name for tool in await mesh.tools()] == ["echo", "wait"], "it stays announced"

    old.may_wake.set()
    result = await mesh.options(timeout_s=5).call("Old-One.echo", {"text": "hi"})
    assert result.content[0].text == "hi"
    assert len(old.runs) == 2
    assert old.runs[0].closed == 1


async def test_what_changed_meanwhile_is_announced_when_it_is_back(old: Foreign, mesh_of: Meshed) -> None:
    _, mesh = await bridged(mesh_of, old)
    old.methods["tools/list"] = lambda _: {"tools": [{"name": "fresh", "inputSchema": {"type": "object"}}]}

    old.now.die()

    async with asyncio.timeout(30):
        while [tool.name for tool in await mesh.tools()] != ["fresh"]:
            await asyncio.sleep(0.01)


async def test_failures_in_a_row_make_the_pauses_longer(old: Foreign, mesh_of: Meshed) -> None:
    node, _ = await bridged(mesh_of, old)
    old.refuses = Lost("no")
    old.max_naps = 6

    old.now.die()
    await eventually(lambda: len(old.naps) == 6)

    assert old.naps[0] < 0.5 < old.naps[5]
    assert node.state == "serving", "a foreign server never takes the node with it"


async def test_what_cannot_be_started_at_first_is_given_up(old: Foreign) -> None:
    old.refuses = Lost("no luck")
    with pytest.raises(Lost, match="no luck"):
        await old.bridge().connect()
    assert len(old.runs) == 4

    hopeless = Foreign(legacy_methods())
    hopeless.refuses = Lost("no such program", hopeless=True)
    with pytest.raises(Lost, match="no such program"):
        await hopeless.bridge().connect()
    assert len(hopeless.runs) == 1
    assert all(run.closed == 1 for run in old.runs + hopeless.runs)


async def test_when_the_node_drains_the_foreign_server_ends(old: Foreign, mesh_of: Meshed) -> None:
    node, _ = await bridged(mesh_of, old)

    await node.drain()

    assert old.now.closed == 1


async def test_a_process_that_ends_at_the_probe_is_asked_as_a_legacy_one(mesh_of: Meshed) -> None:
    foreign = Foreign(legacy_methods())
    foreign.methods["server/discover"] = lambda _: foreign.now.die("it does not know that")

    _, mesh = await bridged(mesh_of, foreign)

    assert len(foreign.runs) == 2
    assert (await mesh.call("Old-One.echo", {"text": "hi"})).content[0].text == "hi"
