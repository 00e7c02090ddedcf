"""The catalog. Source: docs/binding.md 8 (M8.1, M8.3, M8.4, M8.5)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from longreach.policy.catalog import SILENT_S, Catalog, Hearing
from longreach.policy.hints import Hints
from longreach.policy.liveness import NodeId
from longreach.wire.frames import Announcement
from longreach.wire.manifest import Bundle, Definition, Offer, build_bundle
from longreach.wire.mcp import TIMEOUT_KEY, Tool, ToolAnnotations


def tool(name: str, *, read_only: bool | None = None, idempotent: bool | None = None, **more) -> Tool:
    hints = {"read_only_hint": read_only, "idempotent_hint": idempotent}
    stated = {key: value for key, value in hints.items() if value is not None}
    return Tool(
        name=name,
        input_schema={"type": "object"},
        annotations=ToolAnnotations(**stated),
        **more,
    )


def bundle(*tools: Tool, server: str = "docs", version: str = "1.0.0") -> Bundle:
    return build_bundle(server, version, title=None, instructions=None, tools=tools)


@dataclass
class Mesh:
    """A catalog, and how it changes."""

    catalog: Catalog = field(default_factory=Catalog)
    hearing: Hearing = field(default_factory=Hearing)
    seq: int = 0

    def announce(self, digest: str = "d", now: float = 0.0, wall_ms: int = 0, **changes) -> Catalog:
        self.seq += 1
        fields = {
            "server": "docs",
            "version": "1.0.0",
            "digest": digest,
            "region": "eu",
            "identity": "n",
            "instance": "1",
            "state": "up",
            "seq": self.seq,
            "clock_ms": 0,
            **changes,
        }
        announcement = Announcement(**fields)
        if self.hearing.is_news(announcement):
            self.hearing.heard(announcement, now, wall_ms)
            self.catalog = self.catalog.apply(announcement)
        return self.catalog

    def offer(self, offered: Bundle, **changes) -> Catalog:
        """Announce it and fetch it all."""
        self.announce(offered.digest, **changes)
        self.catalog = self.catalog.with_blobs({offered.digest: offered.manifest})
        self.catalog = self.catalog.with_blobs(offered.blobs)
        return self.catalog


# Announcements


def test_a_heartbeat_changes_nothing():
    mesh = Mesh()
    first = mesh.announce()
    assert mesh.announce(now=12.0) is first
    assert first.revision == 1


def test_neither_jitter_of_the_network_nor_a_clock_that_is_off_changes_an_instance():
    """A heartbeat that is late would be a change for everybody who listens; the clock is kept apart."""
    mesh = Mesh()
    first = mesh.announce(clock_ms=1000, wall_ms=1000)
    assert mesh.announce(clock_ms=2000, wall_ms=2050) is first
    after = mesh.announce(clock_ms=9000, wall_ms=4000)
    assert after is first
    assert [mesh.hearing.skew_ms(instance) for instance in after.instances.values()] == [5000]


def test_an_older_announcement_is_ignored():
    mesh = Mesh()
    mesh.announce(seq=5, version="2.0.0")
    mesh.announce(seq=4, version="1.0.0")
    mesh.announce(seq=5, version="1.0.0")
    assert [instance.version for instance in mesh.catalog.instances.values()] == ["2.0.0"]


def test_a_node_that_goes_down_leaves_with_that_server_alone():
    mesh = Mesh()
    mesh.announce()
    mesh.announce(server="mail")
    after = mesh.announce(state="down")
    assert [instance.server for instance in after.instances.values()] == ["mail"]
    assert mesh.announce(state="down") is after


def test_an_older_catalog_is_left_as_it_was():
    mesh = Mesh()
    before = mesh.announce()
    mesh.announce(instance="2")
    assert len(before.instances) == 1
    with pytest.raises(TypeError):
        before.instances["x"] = None  # type: ignore[index]


def test_three_missed_heartbeats_and_it_is_gone():
    mesh = Mesh()
    mesh.announce(now=0.0)
    mesh.announce(now=20.0, instance="2")
    assert mesh.catalog.expire(SILENT_S, mesh.hearing) is mesh.catalog
    after = mesh.catalog.expire(SILENT_S + 0.1, mesh.hearing)
    assert [instance.instance for instance in after.instances.values()] == ["2"]


def test_a_node_declared_dead_comes_back_with_its_next_announcement_only():
    mesh = Mesh()
    mesh.announce(seq=3)
    mesh.announce(server="mail", seq=3)
    mesh.announce(instance="2", seq=3)
    mesh.catalog = mesh.catalog.without_node("n", "1")
    assert [instance.node for instance in mesh.catalog.instances.values()] == [NodeId("eu", "n", "2")]
    mesh.announce(seq=3)  # one that was on its way
    assert len(mesh.catalog.instances) == 1
    mesh.announce(seq=4)
    assert len(mesh.catalog.instances) == 2


def test_a_stranger_who_is_declared_dead_changes_nothing():
    mesh = Mesh()
    mesh.announce()
    assert mesh.catalog.without_node("n", "other") is mesh.catalog


# What digests stand for


def test_the_manifest_is_missing_first_then_its_tools_then_nothing():
    offered, mesh = bundle(tool("a"), tool("b")), Mesh()
    mesh.announce(offered.digest)
    mesh.announce(offered.digest, instance="2")
    holders = (NodeId("eu", "n", "1"), NodeId("eu", "n", "2"))
    assert mesh.catalog.missing({"docs"}) == [(offered.digest, holders)]
    assert mesh.catalog.missing({"mail"}) == []
    mesh.catalog = mesh.catalog.with_blobs({offered.digest: offered.manifest})
    assert mesh.catalog.missing({"docs"}) == [(digest, holders) for digest in offered.blobs]
    mesh.catalog = mesh.catalog.with_blobs(offered.blobs)
    assert mesh.catalog.missing({"docs"}) == []


def test_one_changed_tool_costs_the_manifest_and_that_tool():
    before = bundle(tool("a"), tool("b"), tool("c"))
    after = bundle(tool("a"), tool("b", title="new"), tool("c"))
    mesh = Mesh()
    mesh.offer(before)
    mesh.announce(before.digest, instance="2")
    mesh.announce(after.digest)
    assert [digest for digest, _ in mesh.catalog.missing({"docs"})] == [after.digest]
    mesh.catalog = mesh.catalog.with_blobs({after.digest: after.manifest})
    assert {
        digest for digest, _ in mesh.catalog.missing({"docs"})
    } == after.blobs.keys() - before.blobs.keys()


def test_blobs_that_do_not_match_or_were_not_asked_for_are_left_out():
    offered, foreign, mesh = bundle(tool("a")), bundle(tool("evil")), Mesh()
    mesh.announce(offered.digest)
    before = mesh.catalog
    assert before.with_blobs({offered.digest: foreign.manifest}) is before
    assert before.with_blobs({foreign.digest: foreign.manifest}) is before
    assert before.with_blobs(offered.blobs) is before  # nobody has named them yet


def test_what_nobody_announces_any_more_is_not_kept():
    old, new, mesh = bundle(tool("a"), tool("b")), bundle(tool("a"), tool("c")), Mesh()
    mesh.offer(old)
    mesh.offer(new)
    assert mesh.catalog.manifests.keys() == {new.digest}
    mesh.offer(new)
    assert mesh.catalog.tools.keys() == new.blobs.keys()
    mesh.announce(state="down")
    assert (mesh.catalog.manifests, mesh.catalog.tools, mesh.catalog.names) == ({}, {}, {})


# Prompts, resources, templates

GREET = Definition("greet", b'{"name":"greet","odd":{"kept":1},"arguments":[{"name":"who"}]}')
NOTES = Definition("mem://notes", b'{"uri":"mem://notes","name":"notes"}')
FILES = Definition("mem://{+path}", b'{"uriTemplate":"mem://{+path}","name":"files"}')
ECHO = Definition("echo", b'{"name":"echo","inputSchema":{"type":"object"}}')


def whole(**changes) -> Bundle:
    kinds = {"tools": [ECHO], "prompts": [GREET], "resources": [NOTES], "templates": [FILES]}
    return build_bundle("docs", "1.0.0", title=None, instructions=None, offer=Offer(**kinds | changes))


def test_every_kind_is_listed_with_the_very_bytes_that_were_announced():
    mesh, offered = Mesh(), whole()
    known = mesh.offer(offered)
    for listed, definition in (
        (known.list_tools("docs"), ECHO),
        (known.list_prompts(), GREET),
        (known.list_resources("docs"), NOTES),
        (known.list_templates(), FILES),
    ):
        (entry,) = listed
        assert (entry.server, entry.name, entry.raw) == ("docs", *definition)
        assert known.raw[entry.digest] == definition.data
    assert known.find("docs", "greet", "prompts").missing is None
    wrong = known.find("docs", "great", "prompts")
    assert (wrong.missing, "did you mean greet?" in wrong.message) == ("no_such_prompt", True)
    assert known.list_prompts("other") == []
    mesh.announce(state="down")
    assert (mesh.catalog.raw, mesh.catalog.prompts, mesh.catalog.resources) == ({}, {}, {})


def test_a_changed_prompt_costs_the_manifest_and_that_prompt():
    mesh = Mesh()
    before = whole()
    mesh.offer(before)
    mesh.announce(before.digest, instance="2")
    after = whole(prompts=[GREET, Definition("bye", b'{"name":"bye"}')])
    mesh.announce(after.digest)
    mesh.catalog = mesh.catalog.with_blobs({after.digest: after.manifest})
    (missing,) = mesh.catalog.missing({"docs"})
    assert after.blobs[missing[0]] == b'{"name":"bye"}'


def test_a_definition_that_is_none_hides_nothing_else():
    mesh = Mesh()
    broken = Definition("x", b'{"name":7}')
    known = mesh.offer(whole(prompts=[broken, GREET], resources=[broken]))
    assert [entry.name for entry in known.list_prompts()] == ["greet"]
    assert (known.list_resources(), len(known.list_tools())) == ([], 1)
    assert known.missing({"docs"}) == []
    assert len(known.broken) == 1
    assert mesh.announce(state="down").broken == frozenset()


def test_the_newest_version_comes_first():
    mesh = Mesh()
    for instance, version in enumerate(("1.9.0", "1.10.0", "1.10.0-rc.1", "0.3")):
        offered = bundle(tool("a"), version=version)
        mesh.offer(offered, instance=str(instance), version=version)
    versions = [manifest.version for manifest in mesh.catalog.manifests_of("docs")]
    assert versions.index("1.10.0") < versions.index("1.9.0") < versions.index("0.3")


def test_what_only_retrieves_may_be_asked_twice_but_not_of_whom_nobody_trusts():
    mesh = Mesh()
    mesh.offer(whole())
    assert mesh.catalog.retrieval_hints("docs").read_only
    mesh.announce("unknown", instance="2")
    assert not mesh.catalog.retrieval_hints("docs").read_only
    untrusted = Definition("hello", b'{"name":"hello","_meta":{"longreach/hints":"untrusted"}}')
    mesh.offer(whole(prompts=[untrusted]), instance="2")
    assert not mesh.catalog.retrieval_hints("docs").read_only


def test_hints_that_nobody_vouches_for_do_not_count():
    mesh = Mesh()
    mesh.offer(bundle(tool("a", read_only=True, meta={"longreach/hints": "untrusted"})))
    assert mesh.catalog.hints("docs", "a") == Hints()
    mesh.offer(bundle(tool("a", read_only=True, meta={"longreach/hints": "else"})))
    assert mesh.catalog.hints("docs", "a").read_only


# Looking things up


def test_a_tool_is_found_or_the_reason_says_why_not():
    mesh = Mesh()
    assert mesh.catalog.find("docs", "extract").missing == "no_such_server"
    offered = bundle(tool("extract_text"))
    mesh.announce(offered.digest)
    assert mesh.catalog.find("docs", "extract_text").missing == "not_fetched"
    mesh.offer(offered)
    assert mesh.catalog.find("docs", "extract_text") == (next(iter(offered.blobs)), None, "")
    wrong = mesh.catalog.find("docs", "extract_txt")
    assert wrong.missing == "no_such_tool"
    assert "did you mean extract_text?" in wrong.message
    assert "did you mean docs?" in mesh.catalog.find("dosc", "x").message


def test_a_tool_that_one_version_has_is_found():
    mesh = Mesh()
    mesh.offer(bundle(tool("a")))
    mesh.offer(bundle(tool("a"), tool("b"), version="2.0.0"), instance="2", version="2.0.0")
    assert mesh.catalog.find("docs", "b").missing is None


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (tool("a", read_only=True), tool("a", read_only=True), Hints(True, True)),
        (tool("a", read_only=True), tool("a"), Hints(False, False)),
        (tool("a", idempotent=True), tool("a", idempotent=True), Hints(False, True)),
        (tool("a", read_only=True), tool("a", idempotent=True), Hints(False, True)),
        (tool("a", read_only=True), tool("a", read_only=False, idempotent=False), Hints(False, False)),
    ],
)
def test_only_what_every_live_version_says_is_believed(one, other, expected):
    mesh = Mesh()
    mesh.offer(bundle(one))
    mesh.offer(bundle(other, version="2.0.0"), instance="2", version="2.0.0")
    assert mesh.catalog.hints("docs", "a") == expected


def test_a_version_that_is_not_known_yet_may_say_anything():
    mesh = Mesh()
    mesh.offer(bundle(tool("a", read_only=True)))
    mesh.announce("unknown", instance="2")
    assert mesh.catalog.hints("docs", "a") == Hints()


def test_a_tool_without_annotations_says_nothing():
    mesh = Mesh()
    mesh.offer(bundle(Tool(name="a", input_schema={})))
    assert mesh.catalog.hints("docs", "a") == Hints()
    assert mesh.catalog.hints("docs", "missing") == Hints()


def test_the_longest_stated_time_counts():
    mesh = Mesh()
    mesh.offer(bundle(tool("a", meta={TIMEOUT_KEY: 1000})))
    mesh.offer(bundle(tool("a", meta={TIMEOUT_KEY: 5000}), version="2.0.0"), instance="2", version="2.0.0")
    mesh.offer(bundle(tool("a", meta={TIMEOUT_KEY: "soon"}), version="3.0.0"), instance="3", version="3.0.0")
    assert mesh.catalog.timeout_ms("docs", "a") == 5000
    assert mesh.catalog.timeout_ms("docs", "b") is None


def test_tools_are_listed_by_server_and_name_with_where_they_are():
    same = bundle(tool("b"), tool("a"))
    mesh = Mesh()
    mesh.offer(same)
    mesh.offer(same, instance="2", region="us", version="1.0.1")
    mesh.offer(bundle(tool("z"), server="archive"), server="archive")
    listed = [
        (entry.server, entry.name, entry.versions, entry.regions) for entry in mesh.catalog.list_tools()
    ]
    assert listed == [
        ("archive", "z", ("1.0.0",), ("eu",)),
        ("docs", "a", ("1.0.0", "1.0.1"), ("eu", "us")),
        ("docs", "b", ("1.0.0", "1.0.1"), ("eu", "us")),
    ]
    assert {entry.server for entry in mesh.catalog.list_tools("archive")} == {"archive"}


def test_hearing_forgets_who_was_silent_for_long():
    mesh = Mesh()
    mesh.announce(seq=7, now=0.0)
    mesh.hearing.forget_before(1.0)
    (instance,) = mesh.catalog.instances.values()
    assert mesh.hearing.last_heard(instance) == float("-inf")
