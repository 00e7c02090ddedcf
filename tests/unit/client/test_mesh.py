from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest
from tests.support.hosts import node
from tests.support.puppet import Puppet, result, tools

from longreach import Mesh, Server, ToolError, connect
from longreach.errors import ConfigError, InvalidResult, NotFound, RemoteError
from longreach.transport.memory import MemoryBroker

maths = Server("maths", version="2.1.0")


@dataclass
class Point:
    x: int
    y: int = 0


@maths.tool(read_only=True)
async def move(point: Point, by: int = 1) -> Point:
    return Point(point.x + by, point.y)


@maths.tool
def add(a: int, b: int) -> int:
    return a + b


@maths.tool
async def greet(name: str) -> str:
    return f"hello {name}"


@maths.tool
async def nothing() -> None:
    return None


@maths.tool
async def fail() -> int:
    raise ToolError("no more")


@maths.tool
async def anything():
    return {"a": 1}


@pytest.fixture
async def mesh(broker: MemoryBroker) -> AsyncIterator[Mesh]:
    async with node(broker, maths), connect(link=broker.link(), timeout_s=5) as mesh:
        yield mesh


async def test_a_function_is_called_with_its_own_types(mesh: Mesh):
    assert await mesh.call(move, Point(1, 2), by=3) == Point(4, 2)
    assert await mesh.call(add, 1, b=2) == 3
    assert await mesh.call(greet, "you") == "hello you"
    assert await mesh.call(nothing) is None
    assert (await mesh.call(anything)).structured == {"a": 1}


async def test_a_tool_that_fails_raises_for_functions_and_tells_by_name(mesh: Mesh):
    with pytest.raises(ToolError, match="no more") as failed:
        await mesh.call(fail)
    assert failed.value.result.is_error
    result = await mesh.call("maths.fail")
    assert (result.is_error, result.text) == (True, "no more")


@pytest.mark.parametrize("wrong", ["maths", ".add", "maths.", "", "."])
async def test_a_name_is_a_server_and_a_tool(mesh: Mesh, wrong: str):
    with pytest.raises(ConfigError, match=r"server\.tool"):
        await mesh.call(wrong)


async def test_what_is_no_tool_says_so(mesh: Mesh):
    with pytest.raises(ConfigError, match="is no tool"):
        await mesh.call(len, "x")


async def test_wrong_arguments_of_a_function_send_nothing(mesh: Mesh):
    for wrong in ({}, {"a": 1}, {"a": 1, "b": 2, "c": 3}):
        with pytest.raises(TypeError):
            await mesh.call(add, **wrong)  # type: ignore[arg-type]
    assert mesh.stats.attempts == 0


async def test_arguments_that_have_no_json_send_nothing(mesh: Mesh):
    for wrong in (object(), "\ud800"):
        with pytest.raises(ConfigError, match="JSON"):
            await mesh.call("maths.greet", {"name": wrong})
    assert mesh.stats.calls == 0


async def test_a_function_of_another_major_version_is_not_called(broker: MemoryBroker):
    older = Server("maths", version="1.0.0")

    @older.tool(name="add")
    async def other(a: int, b: int) -> int:
        return -1

    async with node(broker, older), connect(link=broker.link(), timeout_s=0.1) as mesh:
        with pytest.raises(NotFound):
            await mesh.call(add, 1, 2)
        assert (await mesh.call("maths.add", {"a": 1, "b": 2})).structured == {"result": -1}


async def test_a_result_of_another_shape_than_promised_says_so(broker: MemoryBroker):
    puppet = Puppet(broker, tools("do"))

    server = Server("docs")

    @server.tool
    async def do() -> int:
        return 1

    puppet.on["call"] = lambda _: msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 1, "result": {"structuredContent": {"result": "text"}}}
    )
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        with pytest.raises(InvalidResult) as ended:
            await mesh.call(do)
    assert ended.value.delivered == "yes"


async def test_options_are_a_view_and_change_nothing(mesh: Mesh):
    quick = mesh.options(timeout_s=1, idempotent=True)
    assert await quick.call(add, 1, 2) == 3
    assert mesh._options.timeout_s == 5
    assert quick.stats is mesh.stats
    with pytest.raises(ConfigError):
        mesh.options(timeout_s=0)


async def test_residency_narrows_and_never_widens(broker: MemoryBroker):
    async with connect(link=broker.link(), residency=["eu", "ch"]) as mesh:
        assert mesh.options(residency=["eu"])._options.residency == frozenset({"eu"})
        for wrong in (None, ["us"], ["eu", "us"]):
            with pytest.raises(ConfigError, match="widen"):
                mesh.options(residency=wrong)


async def test_one_node_is_asked_where_it_is_named(broker: MemoryBroker):
    async with (
        node(broker, maths) as first,
        node(broker, maths) as second,
        connect(link=broker.link(), timeout_s=5) as mesh,
    ):
        for host in (first, second):
            pinned = mesh.options(node=host.name)
            assert {(await pinned.call("maths.nothing")).node for _ in range(5)} == {host.name}
        with pytest.raises(NotFound):
            await mesh.options(node="n1.gone", timeout_s=0.05).call("maths.nothing")


async def test_a_server_is_a_proxy(mesh: Mesh):
    assert (await mesh.server("maths").greet(name="you")).text == "hello you"
    assert not hasattr(mesh.server("maths"), "__deepcopy__")


async def test_tools_servers_and_nodes_are_listed(mesh: Mesh):
    assert [tool.qualified for tool in await mesh.tools("maths")] == [
        "maths.add", "maths.anything", "maths.fail", "maths.greet", "maths.move", "maths.nothing",
    ]  # fmt: skip
    assert await mesh.tools("nope") == []
    (server,) = await mesh.servers()
    assert (server.name, server.versions, server.tools, server.instances) == ("maths", ("2.1.0",), 6, 1)
    (host,) = await mesh.nodes()
    assert host.servers == ("maths",)


async def test_a_tool_removed_at_run_time_is_soon_not_found(broker: MemoryBroker):
    server = Server("docs")

    @server.tool
    async def there() -> str:
        return "x"

    async with node(broker, server), connect(link=broker.link(), timeout_s=5) as mesh:
        await mesh.call("docs.there")
        changes = mesh.watch()
        change = asyncio.get_running_loop().create_task(anext(changes))
        await asyncio.sleep(0)
        server.remove_tool("there")
        assert (await change).kind == "server_changed"
        with pytest.raises(NotFound, match="no tool called"):
            await mesh.call("docs.there")
        await changes.aclose()  # type: ignore[attr-defined]


async def test_watching_tells_of_nodes_that_come_and_go_and_ends_with_the_mesh(broker: MemoryBroker):
    seen: list[str] = []

    async def watch(mesh: Mesh) -> None:
        seen.extend([change.kind async for change in mesh.watch()])

    async with connect(link=broker.link()) as mesh:
        watching = asyncio.get_running_loop().create_task(watch(mesh))
        await asyncio.sleep(0)
        async with node(broker, maths):
            pass
        await mesh._session.link.fence(1)
    async with asyncio.timeout(30):
        await watching
        async for _ in mesh.watch():
            pytest.fail("a mesh that is closed has no changes")
    assert seen == ["node_up", "node_down"]
    assert len(mesh._session.discovery._listeners) == 1


async def test_a_slow_watcher_gets_one_resync(broker: MemoryBroker):
    puppet = Puppet(broker, tools("do"))
    async with connect(link=broker.link()) as mesh:
        changes = mesh.watch()
        first = asyncio.get_running_loop().create_task(anext(changes))
        await asyncio.sleep(0)
        for _ in range(600):
            puppet.announce("down")
            await asyncio.sleep(0)  # what changes within one turn is told as one
            puppet.announce("up")
            await asyncio.sleep(0)
        change = await first
        for _ in range(1000):  # no more than these were kept
            if change.kind == "resync":
                break
            change = await anext(changes)
        assert change.kind == "resync"
        await changes.aclose()  # type: ignore[attr-defined]


async def test_operators_ask_one_node(broker: MemoryBroker):
    async with node(broker, maths) as host, connect(link=broker.link()) as mesh:
        assert (await mesh.ops(host.name, "info"))["state"] == "serving"
        with pytest.raises(NotFound):
            await mesh.ops("n1.nope", "info")
        assert await mesh.ops(host.name, "drain") == {"state": "draining"}
        await host.drain()


@pytest.mark.parametrize("answer", [b"", b"[]", b"\xff"])
async def test_an_operators_answer_that_is_none_says_so(broker: MemoryBroker, answer: bytes):
    puppet = Puppet(broker, tools("do"))
    puppet.on["info"] = lambda _: answer
    async with connect(link=broker.link()) as mesh:
        with pytest.raises(RemoteError):
            await mesh.ops("puppet.p1", "info")


async def test_a_timeout_that_a_node_states_is_bounded(broker: MemoryBroker):
    puppet = Puppet(broker, tools("do", meta={"longreach/timeoutMs": 10**400}))
    puppet.on["call"] = lambda _: result()
    async with connect(link=broker.link()) as mesh:
        assert (await mesh.call("docs.do")).text == "done"
