"""What one listener raises takes no verdict, no change and no closing from the others."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.puppet import Puppet, start

from longreach import Mesh
from longreach.errors import OutcomeUnknown
from longreach.policy.liveness import Lost, NodeId


def fails(*_: object) -> None:
    raise ZeroDivisionError


async def test_a_lost_call_is_told_though_the_one_before_raises(
    mesh: Mesh, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = mesh._session.home
    first, second = start(mesh), start(mesh)
    await puppet.wait("call", 2)
    tokens = list(home.sender._attempts)
    node = NodeId("local", "puppet", "p1")
    losses = [Lost(token, "unknown", "gone", node, home.inbox.connection) for token in tokens]
    told = home.vigil._askers[home.inbox.connection]
    refused = {tokens[0]}

    def on_lost(loss: Lost) -> None:
        if loss.call in refused:
            raise ZeroDivisionError
        told.on_lost(loss)

    home.vigil._askers[home.inbox.connection] = told._replace(on_lost=on_lost)
    monkeypatch.setattr(home.liveness, "tick", lambda now: losses)
    home.vigil._tick()
    monkeypatch.undo()
    with pytest.raises(OutcomeUnknown):
        await second
    first.cancel()
    await asyncio.wait({first})


async def test_a_change_of_the_catalog_reaches_all_listeners(mesh: Mesh, puppet: Puppet) -> None:
    seen: list[int] = []
    mesh.on_catalog(fails)
    mesh.on_catalog(lambda before, after: seen.append(after.revision))
    puppet.announce("down")
    async with asyncio.timeout(5):
        while not seen:
            await asyncio.sleep(0)


async def test_a_mesh_closes_whatever_its_listeners_raise(mesh: Mesh) -> None:
    told: list[bool] = []
    mesh.on_close(fails)
    mesh.on_close(lambda: told.append(True))
    await mesh.close()
    assert told == [True]
    assert not mesh.is_up
