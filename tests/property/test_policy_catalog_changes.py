"""After any changes the catalog is what one would make from scratch, and its differences are true.

`Plain` keeps sets and computes everything anew at each step, as `policy.catalog` must not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from longreach.policy.catalog import SILENT_S, Catalog, Hearing
from longreach.policy.changes import LIST_KINDS, ListChanges
from longreach.policy.instances import Instance
from longreach.policy.offers import KINDS
from longreach.wire.frames import Announcement
from longreach.wire.manifest import Bundle, Definition, Manifest, Offer, build_bundle, decode_manifest

SERVERS = ("docs", "mail")
NODES = [("n", "1"), ("n", "2"), ("m", "1")]
GOOD = [Definition(name, b'{"name":"%s","inputSchema":{}}' % name.encode()) for name in "abc"]
BROKEN = Definition("x", b'{"name":7}')
RESOURCE = Definition("mem://r", b'{"uri":"mem://r","name":"r"}')


def _bundles() -> list[Bundle]:
    """What servers may offer; they share definitions, and one has what is no definition."""
    offers = [
        ("docs", Offer(tools=GOOD[:2])),
        ("docs", Offer(tools=GOOD[1:], prompts=[BROKEN])),
        ("docs", Offer(tools=GOOD[:1], resources=[RESOURCE])),
        ("mail", Offer(tools=GOOD[:1])),
        ("mail", Offer()),
    ]
    return [
        build_bundle(server, f"{number}.0", title=None, instructions=None, offer=offer)
        for number, (server, offer) in enumerate(offers)
    ]


BUNDLES = _bundles()
BLOBS = {digest: data for bundle in BUNDLES for digest, data in bundle.blobs.items()}
MANIFESTS = {bundle.digest: bundle.manifest for bundle in BUNDLES}
DIGESTS = [*MANIFESTS, "unknown"]


@dataclass
class Plain:
    """A catalog without any counting."""

    instances: dict[Any, Instance] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)
    """Definitions: "here", "broken" or "withheld"."""

    @property
    def announced(self) -> set[str]:
        return {instance.digest for instance in self.instances.values()}

    def prune(self) -> None:
        changing = {i.server for i in self.instances.values() if i.digest not in self.manifests}
        self.manifests = {
            digest: manifest
            for digest, manifest in self.manifests.items()
            if digest in self.announced or manifest.server in changing
        }
        named = {each for manifest in self.manifests.values() for each in manifest.digests}
        self.settled = {digest: how for digest, how in self.settled.items() if digest in named}

    def arrive(self, digests: list[str]) -> None:
        for digest in digests:
            if digest in self.announced and digest in MANIFESTS:
                self.manifests[digest] = decode_manifest(MANIFESTS[digest])
        named = {each for manifest in self.manifests.values() for each in manifest.digests}
        for digest in digests:
            if digest in named and self.settled.get(digest) in (None, "withheld"):
                self.settled[digest] = "broken" if BLOBS[digest] == BROKEN.data else "here"
        self.prune()

    def withhold(self, digests: list[str]) -> None:
        named = {each for manifest in self.manifests.values() for each in manifest.digests}
        for digest in digests:
            if digest in named:
                self.settled.setdefault(digest, "withheld")

    def is_whole(self, digest: str) -> bool:
        known = self.manifests.get(digest)
        return known is not None and all(each in self.settled for each in known.digests)

    def missing(self, server: str) -> set[str]:
        found: set[str] = set()
        for instance in self.instances.values():
            if instance.server == server:
                known = self.manifests.get(instance.digest)
                wanted = [instance.digest] if known is None else known.digests
                found |= {each for each in wanted if each not in self.settled}
        return found


def check(catalog: Catalog, plain: Plain) -> None:
    """Everything that can be asked of a catalog, and everything that it counts."""
    assert dict(catalog.instances) == plain.instances
    assert catalog.size == len(catalog.instances) == len(plain.instances)
    assert dict(catalog.manifests) == plain.manifests
    for how, found in (("here", catalog.raw), ("broken", catalog.broken), ("withheld", catalog.withheld)):
        assert set(found) == {digest for digest, state in plain.settled.items() if state == how}
    assert {each for kind in KINDS for each in getattr(catalog, kind)} == set(catalog.raw)
    assert set(catalog.names) == {digest for digest in plain.announced if plain.is_whole(digest)}
    for digest, names in catalog.names.items():
        manifest = plain.manifests[digest]
        offered = {each for kind in KINDS for each in names.of(kind).values()}
        assert offered == {each for each in manifest.digests if plain.settled[each] == "here"}
        assert set(names.withheld) == {e for e in manifest.digests if plain.settled[e] == "withheld"}
    for server in SERVERS:
        mine = [instance for instance in plain.instances.values() if instance.server == server]
        assert {instance.key for instance in catalog.of_server(server)} == {i.key for i in mine}
        assert sorted(map(repr, mine)) == sorted(map(repr, catalog.of_server(server)))
        counts = {sort: [i.sort for i in mine].count(sort) for sort in {i.sort for i in mine}}
        assert dict(catalog.sorts_of(server)) == counts
        assert set(catalog.digests_of(server)) == {instance.digest for instance in mine}
        missing = plain.missing(server)
        assert {digest for digest, _ in catalog.missing({server})} == missing
        for digest, holders in catalog.missing({server}):
            assert holders
            assert set(holders) <= {instance.node for instance in mine}, digest
        unread = {i.digest for i in mine if i.digest not in plain.manifests}
        unknown = {i.digest for i in mine if not plain.is_whole(i.digest)}
        known = catalog.servers.get(server)
        assert (known is None) == (not mine)
        assert known is None or (known.unread, known.unknown) == (len(unread), len(unknown))
        assert catalog.lacks(server) == bool(unknown)
        listed = {entry.name for entry in catalog.list_tools(server)}
        assert listed == {name for i in mine for name in catalog.names.get(i.digest, _NONE).tools}
    nodes: dict[Any, set[str]] = {}
    for key in plain.instances:
        nodes.setdefault(key[:2], set()).add(key[2])
    assert {node: set(servers) for node, servers in catalog.nodes.items()} == nodes
    assert set(catalog.announced) == plain.announced
    assert set(catalog.lacking_count) == set(plain.manifests)
    named = {each for manifest in plain.manifests.values() for each in manifest.digests}
    assert set(catalog.named) == named
    stale = {digest for digests in catalog.stale.values() for digest in digests}
    assert set(plain.manifests) - plain.announced <= stale


_NONE: Any = type("Nothing", (), {"tools": {}})()

nodes = st.sampled_from(NODES)
steps = st.one_of(
    st.tuples(
        st.just("up"),
        nodes,
        st.sampled_from(SERVERS),
        st.sampled_from(DIGESTS),
        st.sampled_from(["eu", "us"]),
    ),
    st.tuples(st.just("down"), nodes, st.sampled_from(SERVERS)),
    st.tuples(st.just("dead"), nodes),
    st.tuples(st.just("expire"), st.sampled_from([1.0, SILENT_S])),
    st.tuples(st.just("blobs"), st.lists(st.sampled_from([*MANIFESTS, *BLOBS]), max_size=6)),
    st.tuples(st.just("withheld"), st.lists(st.sampled_from([*BLOBS, *MANIFESTS]), max_size=2)),
)


@settings(max_examples=300)
@given(told=st.lists(steps, min_size=5, max_size=40), looks=st.sets(st.integers(0, 40)))
def test_it_is_what_one_would_make_from_scratch_and_says_what_has_changed(told, looks):
    catalog, hearing, plain = Catalog(), Hearing(), Plain()
    now, seen, shown = 0.0, Catalog(), dict[Any, Instance]()
    changes, lists = ListChanges(None, LIST_KINDS), set[tuple[str, str]]()
    for seq, step in enumerate(told):
        before = catalog
        match step:
            case ("up" | "down" as state, (identity, instance), server, *more):
                digest, region = more or ("", "eu")
                said = Announcement(
                    server, "1", digest, region, identity, instance, state, seq=seq, clock_ms=0
                )
                hearing.heard(said, now)
                catalog = catalog.apply(said)
                if state == "down":
                    plain.instances.pop((identity, instance, server), None)
                else:
                    made = Instance(server, identity, instance, region, "1", digest, ())
                    plain.instances[made.key] = made
            case ("dead", node):
                catalog = catalog.without_node(*node)
                hearing.left([key for key in plain.instances if key[:2] == node], now)
                plain.instances = {k: i for k, i in plain.instances.items() if k[:2] != node}
            case ("expire", after_s):
                now += after_s
                silent = {k for k, i in plain.instances.items() if hearing.last_heard(i) < now - SILENT_S}
                catalog = catalog.expire(now, hearing)
                hearing.left(silent, now)
                plain.instances = {k: i for k, i in plain.instances.items() if k not in silent}
            case ("blobs", digests):
                catalog = catalog.with_blobs({d: {**MANIFESTS, **BLOBS}[d] for d in digests})
                plain.arrive(digests)
            case ("fetch" | "giveup" as how, count):
                missing = [digest for digest, _ in catalog.missing(SERVERS)][:count]
                if how == "giveup":
                    catalog = catalog.with_withheld(missing)
                    plain.withhold(missing)
                else:
                    had = {**MANIFESTS, **BLOBS}
                    catalog = catalog.with_blobs({d: had[d] for d in missing if d in had})
                    plain.arrive([d for d in missing if d in had])
            case ("withheld", digests):
                catalog = catalog.with_withheld(digests)
                plain.withhold(digests)
        plain.prune()
        check(catalog, plain)
        assert (catalog is before) == (catalog.revision == before.revision)
        if seq in looks:  # not at each step: what is told may have come in many
            for key, (was, is_now) in catalog.moved(seen).items():
                assert shown.pop(key, None) == was != is_now
                if is_now is not None:
                    shown[key] = is_now
            assert shown == dict(catalog.instances)
            changed = catalog.changed_servers(seen)
            for server in set(SERVERS) - set(changed):
                assert catalog.list_tools(server) == seen.list_tools(server)
                assert catalog.manifests_of(server) == seen.manifests_of(server)
                assert catalog.missing({server}) == [] or catalog.servers[server] is seen.servers[server]
            told_of = changes.update(catalog)
            assert {change.server for change in told_of} <= set(changed)
            lists |= {(change.server, change.kind) for change in told_of}
            seen = catalog


@given(told=st.lists(st.tuples(st.integers(0, 30), st.integers(-5000, 5000), st.booleans()), max_size=60))
def test_the_furthest_clock_and_the_longest_silence_are_those_of_all_that_are_up(told):
    hearing, up = Hearing(), dict[int, tuple[int, int]]()
    for seq, (number, skew_ms, is_up) in enumerate(told):
        state = "up" if is_up else "down"
        said = Announcement(
            "docs", "1", "d", "eu", "n", str(number), state, seq=seq, clock_ms=10_000 + skew_ms
        )
        hearing.heard(said, float(seq), 10_000)
        up.pop(number, None)
        if is_up:
            up[number] = (seq, skew_ms)
        furthest = min(max([0, *(skew for _, skew in up.values())]), 2000)
        assert furthest <= hearing.ahead_ms < furthest + 50
        assert len(hearing) == len(up)
        assert hearing.remembered == len({n for n, _, _ in told[: seq + 1]}) - len(up)
        assert [key[1] for key in hearing.silent(float(seq))] == [
            str(n) for n, (at, _) in up.items() if at < seq
        ]
        assert not hearing.is_news(said)
