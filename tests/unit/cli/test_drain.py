from __future__ import annotations

import pytest

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
