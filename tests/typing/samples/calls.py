"""What a type checker makes of calls; checked by mypy, and never run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_type

from longreach import CallResult, Context, Elicited, Mesh, Message, Server, connect
from longreach.client.sync import SyncMesh
from longreach.wire.inputs import Root

docs = Server("docs")


@dataclass
class Extract:
    text: str


@docs.tool(read_only=True)
async def extract(url: str, pages: int = 1, ctx: Context = Context.injected) -> Extract:
    return Extract(url)


@docs.tool
def add(a: int, b: int) -> int:
    return a + b


@docs.tool
async def forget(url: str) -> None:
    return None


@docs.prompt(title="Greet")
async def greet(name: str) -> list[Message]:
    return [Message(name)]


@docs.resource("docs://{page}")
def page(page: str) -> bytes:
    return page.encode()


@docs.completion("greet", "name")
async def names(so_far: str) -> list[str]:
    return [so_far]


async def what_is_declared_stays_what_it_is() -> None:
    assert_type(await greet("x"), list[Message])
    assert_type(page("x"), bytes)
    assert_type(await names("x"), list[str])


async def by_function(mesh: Mesh) -> None:
    assert_type(await mesh.call(extract, "u"), Extract)
    assert_type(await mesh.call(extract, url="u", pages=2), Extract)
    assert_type(await mesh.call(add, 1, b=2), int)
    await mesh.call(forget, "u")
    assert_type(await mesh.options(timeout_s=1, idempotent=True).call(add, 1, 2), int)


async def by_name(mesh: Mesh) -> None:
    assert_type(await mesh.call("docs.extract", {"url": "u"}), CallResult)
    assert_type(await mesh.call("docs.extract", timeout_s=1, idempotent=True), CallResult)
    assert_type(await mesh.server("docs").extract(url="u"), CallResult)


def blocking(mesh: SyncMesh) -> None:
    assert_type(mesh.call(extract, "u"), Extract)
    assert_type(mesh.call(add, 1, b=2), int)
    assert_type(mesh.call("docs.extract", {"url": "u"}), CallResult)


async def connecting() -> None:
    async with connect("nats://localhost") as mesh:
        assert_type(mesh, Mesh)
    assert_type(await connect("nats://localhost"), Mesh)


async def decorated_functions_stay_what_they_are() -> None:
    assert_type(await extract("u"), Extract)
    assert_type(add(1, 2), int)


async def asking(ctx: Context) -> None:
    assert_type(await ctx.elicit("?", Extract), Elicited[Extract])
    assert_type(await ctx.elicit("?", bool), Elicited[bool])
    assert_type(await ctx.elicit("?"), Elicited[dict[str, Any]])
    assert_type(await ctx.step("k", lambda: 1, type=Extract), Extract)
    assert_type(await ctx.roots(), list[Root])
