"""Working directories with a server in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands import Desk, RunningNode

APP = '''
import asyncio
from typing import Literal

import msgspec

from longreach import Context, Server, ToolError

docs = Server("docs", version="1.4.0", title="Documents")


class Extract(msgspec.Struct):
    text: str
    pages: int


@docs.tool(read_only=True)
async def extract_text(
    url: str, pages: int = 1, tags: list[str] = [], mode: Literal["fast", "slow"] | None = None
) -> Extract:
    """Extract the text of a document.

    Args:
        url: where the document is.
    """
    return Extract(f"{url} {tags} {mode}", pages)


@docs.tool
async def locate(zip: str) -> str:
    """Says which zip code it got."""
    return f"zip {zip!r}"


@docs.tool
async def slow(seconds: float, ctx: Context) -> str:
    """Takes its time."""
    await ctx.progress(1, 2, "half way")
    await asyncio.sleep(seconds)
    return "done"


@docs.tool
async def fail() -> str:
    """Fails."""
    raise ToolError("no luck today")
'''


def _desk(folder: Path) -> Iterator[Desk]:
    desk = Desk(folder)
    desk.write("app.py", APP)
    try:
        yield desk
    finally:
        desk.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield from _desk(tmp_path)


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One for all tests of a module; `shared_node` serves there."""
    yield from _desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def shared_node(shared_desk: Desk) -> RunningNode:
    node = shared_desk.node("app:docs", "--region", "eu", "--label", "disk=ssd")
    node.until("try")
    return node
