"""A description changes under load: brokers reload, and calls that it does not concern are not disturbed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.integration.topology.serving import new_docs
from tests.integration.topology.shapes import describe
from tests.support.load import Load
from tests.support.topologies import Deployment

from longreach.errors import CredentialsRejected, LongreachError, PermissionDenied

CAROL = """
[callers.carol]
at = "eu"
may = ["docs.echo"]
"""


@pytest.mark.parametrize("credentials", ["nkeys", "jwt"])
async def test_grants_come_and_go_and_calls_of_others_go_on(tmp_path: Path, credentials: str) -> None:
    before = describe("cluster", credentials)
    after = before.replace('may = ["docs.echo"]', 'may = ["docs.slow"]') + CAROL
    without = after.replace(CAROL, "")
    with Deployment(before, tmp_path) as deployed:
        async with (
            deployed.node("n-eu", new_docs()) as node,
            deployed.mesh("alice") as alice,
            deployed.mesh("bob") as bob,
        ):
            load = Load(alice, ["docs.echo"], {"text": ""}, callers=16)
            load.start()
            try:
                await load.settle(200)
                assert (await bob.call("docs.echo", {"text": "granted"})).text == "granted"
                plan = await asyncio.to_thread(deployed.apply, after)
                assert plan.to_reload == ("eu-1", "eu-2", "eu-3")
                await load.settle(200)
                async with deployed.mesh("carol") as carol:
                    assert (await carol.call("docs.echo", {"text": "added"})).text == "added"
                async with deployed.mesh("bob") as bob_again:
                    assert (await bob_again.call("docs.slow", {"seconds": 0.1})).text == "None.bob"
                    with pytest.raises(PermissionDenied):
                        await bob_again.call("docs.echo", {"text": "no more"})
                with pytest.raises(LongreachError) as refused:
                    await bob.call("docs.echo", {"text": "no more"})
                assert refused.value.delivered == "no"
                gone = deployed.options("carol")
                await asyncio.to_thread(deployed.apply, without)
                await load.settle(200)
            finally:
                await load.stop()
            assert load.failed == []
            assert {done.attempts for done in load.done} == {1}
            assert node.state == "serving"
        from longreach import connect

        with pytest.raises((CredentialsRejected, FileNotFoundError, LongreachError)):
            await connect(connection=gone, caller="carol", residency=["eu"])


TENANT = """
[namespaces.tenant]
regions = ["eu", "us"]
[servers.theirs]
namespace = "tenant"
name = "docs"
nodes = ["t1"]
[nodes.t1]
at = "eu"
namespace = "tenant"
[callers.tim]
at = "us"
namespace = "tenant"
regions = ["eu"]
connect = []
may = ["docs"]
"""
WIDE = """
[callers.wide]
at = "branch"
regions = ["us", "branch", "eu"]
may = ["docs"]
"""


@pytest.mark.parametrize("credentials", ["nkeys", "jwt"])
async def test_a_tenant_moves_in_and_hears_of_nobody_else(tmp_path: Path, credentials: str) -> None:
    text = describe("large", credentials, extra=WIDE)
    with Deployment(text, tmp_path) as deployed:
        async with (
            deployed.node("n-eu", new_docs()),
            deployed.node("n-us", new_docs()),
            deployed.node("n-branch", new_docs()),
            deployed.mesh("wide") as wide,
        ):
            for region in ("us", "branch", "eu"):
                result = await wide.options(region=region, prefer=()).call("docs.echo", {"text": region})
                assert (result.region, result.text) == (region, region)
            plan = await asyncio.to_thread(deployed.apply, text + TENANT)
            assert plan.to_reload == ("eu-1", "eu-2", "eu-3", "us-1", "us-2")
            assert (await wide.call("docs.echo", {"text": "still"})).region == "us"
            async with deployed.mesh("tim") as tim:
                assert await tim.nodes() == []
                async with deployed.node("t1", new_docs()) as theirs:
                    called = await tim.call("docs.echo", {"text": "mine"})
                    assert called.node == theirs.name
            assert len(await wide.nodes()) == 3
