from __future__ import annotations

import functools

import pytest

from longreach.actor.context import Context
from longreach.actor.server import Actor, Server, tool
from longreach.errors import ConfigError, DeclarationError
from longreach.wire.mcp import TIMEOUT_KEY, Icon


def plain(x: int) -> int:
    return x


def with_context(x: int, ctx: Context = Context.injected) -> int:
    return x


async def coroutine(x: int) -> int:
    return x


def test_the_decorators_leave_the_function_as_it_is_and_note_the_tool_on_it():
    server = Server("docs", version="1.4.0")

    @server.tool
    async def one(x: int) -> int:
        return x

    @server.tool(name="second", title="Two", read_only=True)
    def two() -> None:
        """Do nothing."""

    assert one.__longreach_tool__ is server.tools["one"]
    spec = two.__longreach_tool__
    assert (spec.server, spec.version, spec.name, spec.function) == ("docs", "1.4.0", "second", two)
    assert (spec.definition.title, spec.definition.description) == ("Two", "Do nothing.")
    assert [server.tools[name].kind for name in ("one", "second")] == ["async", "thread"]


def test_only_hints_that_were_stated_are_sent():
    server = Server("s")
    said = server.add_tool(coroutine, read_only=True, destructive=False).definition.annotations
    import msgspec

    assert msgspec.json.decode(msgspec.json.encode(said)) == {"readOnlyHint": True, "destructiveHint": False}
    unsaid = server.add_tool(plain).definition
    assert "annotations" not in msgspec.json.decode(msgspec.json.encode(unsaid))


def test_timeout_meta_and_icons_are_in_the_definition():
    spec = Server("s").add_tool(plain, timeout_s=1.5, meta={"a": 1}, icons=[Icon("data:x")])
    assert spec.definition.meta == {"a": 1, TIMEOUT_KEY: 1500}
    assert spec.definition.icons == [Icon("data:x")]


def test_defaults_are_those_of_the_kind():
    server = Server("s")
    assert server.add_tool(coroutine).concurrency == 100
    assert server.add_tool(plain).concurrency == 16
    assert server.add_tool(plain, name="p", process=True).kind == "process"
    spec = server.add_tool(plain, name="q", concurrency=3, mailbox=0, keep_running=True)
    assert (spec.concurrency, spec.mailbox, spec.keep_running) == (3, 0, True)


@pytest.mark.parametrize(
    ("function", "options", "hint"),
    [
        (coroutine, {"process": True}, "plain `def`"),
        (lambda: 1, {"process": True, "name": "l"}, "module-level"),
        (functools.partial(plain, 1), {"process": True, "name": "p"}, "module-level"),
        (with_context, {"process": True}, "'ctx'"),
        (plain, {"name": "no spaces"}, "no spaces"),
        (lambda x: x, {}, "name="),
    ],
)
def test_what_cannot_be_a_tool_is_refused_with_a_hint(function, options, hint):
    with pytest.raises(DeclarationError, match=hint):
        Server("s").add_tool(function, **options)


def test_generators_are_no_tools():
    def some():
        yield 1

    async def more():
        yield 1

    for function in (some, more):
        with pytest.raises(DeclarationError, match="one result"):
            Server("s").add_tool(function)


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"mailbox": -1}, {"timeout_s": 0}, {"timeout_s": float("inf")}]
)
def test_sizes_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Server("s").add_tool(plain, **options)


@pytest.mark.parametrize("options", [{"strategy": "all"}, {"intensity": -1}, {"period_s": 0}])
def test_a_server_checks_its_settings(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Server("s", **options)


def test_names_are_unique_and_a_refused_tool_leaves_no_trace():
    server = Server("s")
    server.add_tool(plain)
    with pytest.raises(DeclarationError, match="plain"):
        server.add_tool(plain)
    with pytest.raises(DeclarationError):
        server.add_tool(with_context, process=True)
    assert list(server.tools) == ["plain"]


def test_bound_methods_are_tools_too():
    class Greeter:
        async def greet(self, name: str) -> str:
            return name

    spec = Server("s").add_tool(Greeter().greet)
    assert spec.schema.input_schema["required"] == ["name"]
    assert spec.kind == "async"


def test_changes_are_told_until_nobody_listens():
    server, told = Server("s"), []
    end = server.on_change(lambda changed: told.append(len(changed.tools)))
    server.add_tool(plain)
    server.remove_tool("plain")
    end()
    server.add_tool(plain)
    assert told == [1, 0]
    with pytest.raises(ConfigError, match="missing"):
        server.remove_tool("missing")


class Store(Actor):
    @tool
    async def get(self, key: str) -> str:
        return key

    @tool(read_only=True, name="list")
    async def everything(self, ctx: Context) -> str:
        return ""

    async def internal(self) -> None: ...


def test_marked_methods_of_a_class_are_tools_of_the_server():
    server = Server("s")
    server.actor(concurrency=2)(Store)
    assert sorted(server.tools) == ["get", "list"]
    assert server.tools["get"].schema.input_schema["properties"].keys() == {"key"}
    assert server.actors["Store"].concurrency == 2
    with pytest.raises(ConfigError, match="can be removed"):
        server.remove_tool("get")
    with pytest.raises(DeclarationError, match="Store already"):
        server.add_actor(Store)


def test_a_class_that_cannot_be_an_actor_is_refused_with_a_hint():
    class NoTools(Actor):
        pass

    class SyncHook(Actor):
        def started(self) -> None: ...

        @tool
        async def x(self) -> str:
            return ""

    class Wants(Actor):
        def __init__(self, path: str) -> None: ...

        @tool
        async def x(self) -> str:
            return ""

    class Twice(Actor):
        @tool(name="x")
        async def a(self) -> str:
            return ""

        @tool(name="x")
        async def b(self) -> str:
            return ""

    cases = [
        (NoTools, "no tools"),
        (SyncHook, "async def"),
        (Wants, "path"),
        (Twice, "two tools"),
        (int, "Actor"),
    ]
    for cls, hint in cases:
        with pytest.raises(DeclarationError, match=hint):
            Server("s").add_actor(cls)
    with pytest.raises(DeclarationError, match="belongs to the class"):
        tool(concurrency=3)
    with pytest.raises(ConfigError, match="concurrency"):
        Server("s").add_actor(Store, concurrency=0)
