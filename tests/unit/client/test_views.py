from __future__ import annotations

from typing import Any

import msgspec

from longreach.client.views import diff, list_nodes, list_servers, list_tools
from longreach.policy.catalog import Catalog, Hearing
from longreach.wire.frames import Announcement
from longreach.wire.manifest import build_bundle
from longreach.wire.mcp import Tool

_seq = 0


def announcement(server: str, instance: str, **changes: Any) -> Announcement:
    global _seq
    _seq += 1
    known = {
        "version": "1.0.0", "digest": f"digest-{server}", "region": "eu", "identity": "n", "state": "up",
        "clock_ms": 1000, "labels": {},
    }  # fmt: skip
    return Announcement(server=server, instance=instance, seq=_seq, **{**known, **changes})


def catalog(*announcements: Announcement) -> Catalog:
    result = Catalog()
    for each in announcements:
        result = result.apply(each)
    return result


def test_servers_are_summed_over_their_instances():
    tool = Tool(name="t", input_schema=msgspec.Raw(b'{"type":"object"}'))
    bundle = build_bundle("a", "2.0.0", title="A", instructions=None, tools=[tool])
    known = catalog(
        announcement("b", "2"),
        announcement("a", "1", version="1.0.0"),
        announcement("a", "2", version="2.0.0", region="us", digest=bundle.digest),
    )
    known = known.with_blobs({bundle.digest: bundle.manifest}).with_blobs(dict(bundle.blobs))
    first, second = list_servers(known)
    assert (first.name, first.title, first.versions) == ("a", "A", ("1.0.0", "2.0.0"))
    assert (first.regions, first.instances, first.tools) == (("eu", "us"), 2, 1)
    assert (second.name, second.title, second.tools) == ("b", None, 0)
    (listed,) = list_tools(known, "a")
    assert (listed.qualified, listed.regions, listed.versions) == ("a.t", ("us",), ("2.0.0",))
    assert listed.input_schema == {"type": "object"}
    assert (listed.title, listed.description, listed.output_schema, listed.annotations) == (
        None,
        None,
        None,
        {},
    )
    assert list_tools(known, "b") == []


def test_nodes_have_their_servers_and_when_they_were_heard():
    said = [announcement("b", "1"), announcement("a", "1", labels={"gpu": "1"}), announcement("a", "2")]
    hearing = Hearing()
    for at, each in enumerate(said):
        hearing.heard(each, float(at), 900)
    first, second = list_nodes(catalog(*said), hearing, 10.0)
    assert (first.name, first.servers, first.heard_s_ago, first.skew_ms) == ("n.1", ("a", "b"), 9.0, 100)
    assert (second.name, second.heard_s_ago) == ("n.2", 8.0)


def test_what_changed_is_told_by_instance():
    before = catalog(announcement("a", "1"), announcement("a", "2"))
    after = before.apply(announcement("a", "3", region="us"))
    after = after.apply(announcement("a", "1", digest="other")).without_node("n", "2")
    changes = {(change.kind, change.node, change.region) for change in diff(before, after, overflow=False)}
    assert changes == {("server_changed", "n.1", "eu"), ("node_up", "n.3", "us"), ("node_down", "n.2", "eu")}
    assert {change.revision for change in diff(before, after, overflow=False)} == {after.revision}
    assert list(diff(after, after, overflow=False)) == []


def test_who_fell_behind_is_told_to_look_again():
    (change,) = diff(Catalog(), catalog(announcement("a", "1")), overflow=True)
    assert (change.kind, change.server, change.node) == ("resync", None, None)
