"""Changes of lists, each told once however many replicas announce it."""

from __future__ import annotations

from tests.unit.policy.test_catalog import ECHO, FILES, GREET, NOTES, Mesh, whole

from longreach.policy.changes import LIST_KINDS, ListChanged, ListChanges
from longreach.wire.manifest import Definition

OTHER = Definition("other", b'{"name":"other","inputSchema":{"type":"object"}}')
ECHO_2 = Definition("echo", b'{"name":"echo","title":"2","inputSchema":{"type":"object"}}')


def watching(mesh: Mesh, **options) -> ListChanges:
    changes = ListChanges(options.get("servers"), options.get("kinds", LIST_KINDS))
    changes.update(mesh.catalog)
    return changes


def told(changes: ListChanges, mesh: Mesh) -> list[str]:
    return [kind for _, kind in changes.update(mesh.catalog)]


def test_a_change_is_told_when_the_first_replica_has_it_and_not_again():
    mesh = Mesh()
    for instance in ("1", "2", "3"):
        mesh.offer(whole(), instance=instance)
    changes = watching(mesh)
    for after, expected in (
        (whole(tools=[ECHO, OTHER]), ["tools"]),
        (whole(tools=[ECHO_2, OTHER]), ["tools"]),
        (whole(tools=[ECHO_2, OTHER], prompts=[]), ["prompts"]),
        (whole(templates=[], tools=[ECHO_2]), ["tools", "prompts", "resources"]),
    ):
        heard: list[str] = []
        for instance in ("1", "2", "3"):
            mesh.offer(after, instance=instance)
            heard += told(changes, mesh)
        assert sorted(heard) == sorted(expected), after


def test_what_is_not_fetched_yet_is_not_taken_for_gone():
    mesh = Mesh()
    mesh.offer(whole())
    changes = watching(mesh)
    after = whole(prompts=[])
    mesh.announce(after.digest)
    assert told(changes, mesh) == []
    mesh.catalog = mesh.catalog.with_blobs({after.digest: after.manifest})
    assert told(changes, mesh) == ["prompts"]
    assert told(changes, mesh) == []


def test_what_is_new_is_told_though_something_else_is_not_fetched():
    mesh = Mesh()
    mesh.offer(whole())
    changes = watching(mesh)
    mesh.announce("unknown", instance="2")
    mesh.offer(whole(tools=[ECHO, OTHER]))
    assert told(changes, mesh) == ["tools"]
    mesh.offer(whole())
    assert told(changes, mesh) == []
    mesh.announce(state="down", instance="2")
    assert told(changes, mesh) == ["tools"]


def test_a_server_that_comes_and_goes_changes_all_its_lists():
    mesh = Mesh()
    changes = watching(mesh)
    mesh.offer(whole())
    assert told(changes, mesh) == list(LIST_KINDS)
    mesh.announce(state="down")
    assert told(changes, mesh) == list(LIST_KINDS)
    assert changes._known == {}


def test_only_what_is_watched_is_told():
    mesh = Mesh()
    mesh.offer(whole())
    elsewhere, prompts = watching(mesh, servers=["mail"]), watching(mesh, kinds=["prompts"])
    everything = watching(mesh)
    mesh.offer(whole(tools=[ECHO, OTHER], prompts=[GREET, Definition("bye", b'{"name":"bye"}')]))
    assert elsewhere.update(mesh.catalog) == []
    assert prompts.update(mesh.catalog) == [ListChanged("docs", "prompts")]
    assert len(everything.update(mesh.catalog)) == 2


def test_a_resource_that_becomes_a_template_changes_the_resources_once():
    mesh = Mesh()
    mesh.offer(whole(templates=[]))
    changes = watching(mesh)
    mesh.offer(whole(resources=[NOTES], templates=[FILES]))
    assert told(changes, mesh) == ["resources"]
