"""Around nodes that have stopped answering: a re-run is addressed to one of the others.

A node that is stuck stays in its queue groups until the broker gives up on it, and that may take longer than
a client waits for the node. A re-run that went to the group could reach it again, and there is only one.
"""

from __future__ import annotations

from collections.abc import Collection

from longreach.policy.backoff import Random
from longreach.policy.catalog import Catalog
from longreach.policy.questions import NodeId
from longreach.policy.route import Candidate
from longreach.wire.subjects import ANY, instance_target, version_target


def detour(
    catalog: Catalog,
    server: str,
    candidate: Candidate,
    stuck: Collection[NodeId],
    random: Random,
    lacking: Collection[str] = (),
) -> Candidate:
    """Where to send a re-run that was to go to `candidate`: to one node of its region that is not stuck.

    The candidate itself, where none of its nodes is stuck or all of them are, or where it is one node's.

    Args:
        catalog: who offers what.
        server: the server's name.
        candidate: a region, and the target there.
        stuck: nodes that have stopped answering.
        random: chance.
        lacking: the digests of what does not offer what is asked for.
    """
    instances = catalog.instances
    if not any((node.identity, node.instance, server) in instances for node in stuck):
        return candidate
    nodes = [
        instance.node
        for instance in catalog.of_server(server)
        if instance.region == candidate.region
        and instance.canary is None
        and instance.digest not in lacking
        and candidate.to in (ANY, version_target(instance.version))
    ]
    sound = [node for node in nodes if node not in stuck]
    if not sound or len(sound) == len(nodes):
        return candidate
    chosen = sound[min(int(random() * len(sound)), len(sound) - 1)]
    return Candidate(candidate.region, instance_target(chosen.instance), "another node there is stuck")
