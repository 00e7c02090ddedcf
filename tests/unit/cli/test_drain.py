from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from click.testing import Result

from longreach.cli.drain import pick_node
from longreach.client.info import NodeInfo
from longreach.errors import NotFound


def node(identity: str, instance: str) -> NodeInfo:
    return NodeInfo(identity, instance, "eu", {}, (), 0.0, 0)


NODES = [node("a.b", "1"), node("c", "2"), node("c", "3")]


@pytest.mark.parametrize(
    ("wanted", "name"), [("a.b.1", "a.b.1"), ("a.b", "a.b.1"), ("c.2", "c.2"), ("3", "c.3")]
)
def test_a_node_is_named_by_as_much_as_is_unique(wanted: str, name: str):
    assert pick_node(NODES, wanted) == name


def test_what_is_not_unique_is_not_guessed():
    with pytest.raises(NotFound, match=r"2 nodes; name one: c\.2, c\.3"):
        pick_node(NODES, "c")


def test_nobody_is_nobody():
    with pytest.raises(NotFound, match="longreach ls nodes"):
        pick_node(NODES, "a")


class FakeMesh:
    """One node, which goes when it is asked to drain, or not."""

    def __init__(self, *, goes: bool) -> None:
        self._left = [NODES[0]]
        self._goes = goes
        self.asked: list[tuple[str, str]] = []

    async def __aenter__(self) -> FakeMesh:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def nodes(self) -> list[NodeInfo]:
        return self._left

    async def ops(self, node: str, verb: str) -> dict[str, str]:
        self.asked.append((node, verb))
        return {"state": "draining"}

    async def watch(self) -> AsyncIterator[None]:
        while True:
            if not self._goes:
                await asyncio.Event().wait()
            self._left = []
            yield None


@pytest.mark.parametrize(
    ("goes", "words", "code", "said"),
    [
        (True, [], 0, "a.b.1 has drained\n"),
        (False, ["--no-wait"], 0, "a.b.1 drains\n"),
        (False, ["--timeout", "0.01"], 5, "longreach: a.b.1 still drains after 0.01 s\n"),
    ],
)
def test_the_command_waits_until_the_node_is_gone(
    longreach: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    goes: bool,
    words: list[str],
    code: int,
    said: str,
):
    mesh = FakeMesh(goes=goes)
    monkeypatch.setattr("longreach.cli.loop.open_mesh", lambda *_: mesh)

    done = longreach("drain", "a.b", *words)

    assert (done.exit_code, done.output) == (code, said)
    assert mesh.asked == [("a.b.1", "drain")]
