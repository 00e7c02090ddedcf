"""From a catalog to what people ask of it: lists of what is offered, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longreach.client.info import (
    Change,
    NodeInfo,
    PromptInfo,
    ResourceInfo,
    ServerInfo,
    TemplateInfo,
    ToolInfo,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from longreach.policy.catalog import Catalog, Hearing, Instance


def list_tools(catalog: Catalog, server: str | None) -> list[ToolInfo]:
    """Every tool whose definition is known, by server and name."""
    return [
        ToolInfo(each.server, each.definition, each.versions, each.regions, each.digest)
        for each in catalog.list_tools(server)
    ]


def list_prompts(catalog: Catalog, server: str | None) -> list[PromptInfo]:
    """Every prompt whose definition is known, by server and name."""
    return [
        PromptInfo(each.server, each.definition, each.versions, each.regions, each.digest)
        for each in catalog.list_prompts(server)
    ]


def list_resources(catalog: Catalog, server: str | None) -> list[ResourceInfo]:
    """Every resource whose definition is known, by server and URI."""
    return [
        ResourceInfo(each.server, each.definition, each.versions, each.regions, each.digest)
        for each in catalog.list_resources(server)
    ]


def list_templates(catalog: Catalog, server: str | None) -> list[TemplateInfo]:
    """Every resource template whose definition is known, by server and text."""
    return [
        TemplateInfo(each.server, each.definition, each.versions, each.regions, each.digest)
        for each in catalog.list_templates(server)
    ]


def list_servers(catalog: Catalog) -> list[ServerInfo]:
    """Every server, by name."""
    servers = []
    for name in sorted(catalog.servers):
        sorts = list(catalog.sorts_of(name))
        manifests = catalog.manifests_of(name)
        servers.append(
            ServerInfo(
                name=name,
                title=next((m.title for m in manifests if m.title), None),
                versions=tuple(sorted({sort.version for sort, _ in sorts})),
                regions=tuple(sorted({sort.region for sort, _ in sorts})),
                instances=sum(count for _, count in sorts),
                tools=len({digest for manifest in manifests for digest in manifest.tools}),
                prompts=len({digest for manifest in manifests for digest in manifest.prompts}),
                resources=len({digest for manifest in manifests for digest in manifest.resources}),
                templates=len({digest for manifest in manifests for digest in manifest.templates}),
                instructions=next((m.instructions for m in manifests if m.instructions), None),
                tags=tuple(sorted({tag for manifest in manifests for tag in manifest.tags})),
            )
        )
    return servers


def list_nodes(catalog: Catalog, hearing: Hearing, now: float) -> list[NodeInfo]:
    """Every node, by name."""
    by_node: dict[tuple[str, str], list[Instance]] = {}
    for instance in catalog.instances.values():
        by_node.setdefault((instance.identity, instance.instance), []).append(instance)
    return [
        NodeInfo(
            identity=identity,
            instance=name,
            region=instances[0].region,
            labels=dict(instances[0].labels),
            servers=tuple(sorted(i.server for i in instances)),
            heard_s_ago=max(0.0, now - max(hearing.last_heard(i) for i in instances)),
            skew_ms=hearing.skew_ms(instances[0]),
        )
        for (identity, name), instances in sorted(by_node.items())
    ]


def diff(before: Catalog, after: Catalog, *, overflow: bool) -> Iterator[Change]:
    """What changed from one catalog to the next; a single ``resync`` where the reader fell behind."""
    if overflow:
        yield Change(kind="resync", server=None, node=None, region=None, revision=after.revision)
        return
    moved = after.moved(before).values()
    for was, now in moved:
        if now is not None and was is None:
            yield _change("node_up", now, after.revision)
        elif now is not None and was is not None and was.digest != now.digest:
            yield _change("server_changed", now, after.revision)
    for was, now in moved:
        if was is not None and now is None:
            yield _change("node_down", was, after.revision)


def _change(kind: str, instance: Instance, revision: int) -> Change:
    return Change(
        kind=kind,  # type: ignore[arg-type]
        server=instance.server,
        node=f"{instance.identity}.{instance.instance}",
        region=instance.region,
        revision=revision,
    )
