"""Announcements come late, twice and in any order; what is left is always the newest of each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longreach.policy.catalog import Catalog, Hearing
from longreach.wire.digest import digest
from longreach.wire.frames import Announcement
from longreach.wire.manifest import build_bundle
from longreach.wire.mcp import Tool


@st.composite
def announcements(draw: st.DrawFn) -> list[Announcement]:
    """What a few nodes said, each `seq` once."""
    return [
        Announcement(
            server=draw(st.sampled_from(["docs", "mail"])),
            version=draw(st.sampled_from(["1.0.0", "2.0.0"])),
            digest=draw(st.sampled_from(["a", "b"])),
            region="eu",
            identity="n",
            instance=instance,
            state=draw(st.sampled_from(["up", "up", "down"])),
            seq=seq,
            clock_ms=0,
        )
        for instance in draw(st.sets(st.sampled_from("123"), min_size=1))
        for seq in range(1, draw(st.integers(1, 5)) + 1)
    ]


def hear(heard: list[Announcement]) -> Catalog:
    catalog, hearing = Catalog(), Hearing()
    for announcement in heard:
        if hearing.is_news(announcement):
            hearing.heard(announcement, 0.0)
            after = catalog.apply(announcement)
            assert (after is catalog) == (after.revision == catalog.revision)
            assert (after is catalog) == (after.instances == catalog.instances)
            catalog = after
    return catalog


@given(said=announcements(), data=st.data())
def test_the_order_of_announcements_does_not_matter(said, data):
    heard = data.draw(st.permutations(said + data.draw(st.lists(st.sampled_from(said)))))
    newest = {}
    for announcement in sorted(said, key=lambda a: a.seq):
        newest[announcement.identity, announcement.instance, announcement.server] = announcement
    expected = {key: (a.version, a.digest) for key, a in newest.items() if a.state == "up"}
    found = {key: (i.version, i.digest) for key, i in hear(heard).instances.items()}
    assert found == expected


@given(names=st.sets(st.sampled_from("abcdef"), max_size=6), junk=st.lists(st.binary()), data=st.data())
def test_blobs_in_any_order_and_with_any_junk_make_the_same_catalog(names, junk, data):
    tools = [Tool(name=name, input_schema={"type": "object"}) for name in names]
    offered = build_bundle("docs", "1", title=None, instructions=None, tools=tools)
    catalog = Catalog().apply(
        Announcement("docs", "1", offered.digest, "eu", "n", "1", "up", seq=1, clock_ms=0)
    )
    rubbish = {
        data.draw(st.sampled_from([digest(data_), *offered.blobs, offered.digest])): data_ for data_ in junk
    }
    catalog = catalog.with_blobs(rubbish).with_blobs({offered.digest: offered.manifest})
    for name in data.draw(st.permutations(list(offered.blobs))):
        assert name in {missing for missing, _ in catalog.missing({"docs"})}
        catalog = catalog.with_blobs({**rubbish, name: offered.blobs[name]})
    assert catalog.missing({"docs"}) == []
    assert {entry.name for entry in catalog.list_tools()} == names
