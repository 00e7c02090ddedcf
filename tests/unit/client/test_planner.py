"""Plans belong to the connection: a view that shapes no route of its own makes none anew."""

from __future__ import annotations

import pytest
from tests.support.puppet import Puppet, result

from longreach import Mesh
from longreach.client import planner
from longreach.client.plan import RESOURCES_READ
from longreach.errors import RemoteError


def do_nothing(*_: object) -> None:
    pass


async def test_options_that_shape_no_route_make_no_plan_anew(mesh: Mesh, puppet: Puppet) -> None:
    puppet.on["call"] = lambda _: result()
    await mesh.call("docs.do", {})
    made = mesh._session.plans.made
    for n in range(20):
        view = mesh.options(timeout_s=1 + n, on_progress=do_nothing, idempotent=True, hedge_s=1)
        await view.call("docs.do", {})
        await mesh.call("docs.do", {}, timeout_s=2)
    assert mesh._session.plans.made == made


async def test_options_that_shape_routes_have_plans_of_their_own_that_are_kept(
    mesh: Mesh, puppet: Puppet
) -> None:
    puppet.on["call"] = lambda _: result()
    await mesh.call("docs.do", {})
    made = mesh._session.plans.made
    for _ in range(5):
        await mesh.options(region="local").call("docs.do", {})
        await mesh.options(prefer=["us", "local"]).call("docs.do", {})
    assert mesh._session.plans.made == made + 2


async def test_resources_of_other_uris_make_no_plan_anew(mesh: Mesh, puppet: Puppet) -> None:
    first = await mesh._planner.plan("docs", RESOURCES_READ, "docs://0", 5)
    made = mesh._session.plans.made
    for n in range(20):
        plan = await mesh._planner.plan("docs", RESOURCES_READ, f"docs://{n}", 5)
        assert plan.head == b',"method":"resources/read","params":{"uri":"docs://%d"' % n
        assert str(plan.target) == f"resource docs://{n} of docs"
        assert (plan.key, plan.first) == (first.key, first.first)
    assert mesh._session.plans.made == made
    assert len(mesh._planner._plans) == 1


async def test_reads_of_other_uris_share_one_subject(mesh: Mesh, puppet: Puppet) -> None:
    puppet.on["resources-read"] = lambda _: b"{}"
    for n in range(20):
        with pytest.raises(RemoteError):
            await mesh.read("docs", f"docs://{n}", timeout_s=1)
    assert len(mesh._session.home.sender._ways) == 1


async def test_plans_are_made_anew_when_the_catalog_has_changed(mesh: Mesh, puppet: Puppet) -> None:
    puppet.on["call"] = lambda _: result()
    await mesh.call("docs.do", {})
    made = mesh._session.plans.made
    mesh._session.health.renew()
    await mesh.options(timeout_s=3).call("docs.do", {})
    assert mesh._session.plans.made == made + 1


async def test_the_shapes_that_are_kept_are_bounded(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "_MAX_SHAPES", 3)
    for n in range(10):
        mesh.options(region=f"r{n}")
    assert len(mesh._session.plans._shapes) <= 3


async def test_the_plans_that_are_kept_are_bounded(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "_MAX_PLANS", 5)
    plan = await mesh._planner.plan("docs", RESOURCES_READ, "docs://0", 5)
    views = [mesh.options(region=f"r{n}") for n in range(4)]
    for n in range(20):
        views[n % 4]._planner.remember(f"docs.do{n}", plan)
    assert sum(len(view._planner._tools) for view in views) <= 5
