"""A request of several rounds goes on at the version that asked, while that is there."""

from __future__ import annotations

import os

import pytest
from tests.support.hosts import node
from tests.support.links import eventually

from longreach import Context, Server, connect
from longreach.errors import RemoteError
from longreach.policy.sealing import key_line, new_key
from longreach.transport.memory import MemoryBroker

KEYS = (key_line(new_key(os.urandom)),)


def greeter(version: str) -> Server:
    made = Server("greeter", version=version)

    @made.tool
    async def greet(ctx: Context) -> str:
        first = await ctx.elicit("Name?", str, key="name")
        last = await ctx.elicit("And?", str, key="and")
        return f"{version} {first.content}{last.content}"

    return made


@pytest.mark.parametrize("canary", [100, 50])
async def test_each_round_goes_to_the_version_that_asked(broker: MemoryBroker, canary: int):
    async with (
        node(broker, greeter("1.0.0"), identity="a", state_keys=KEYS),
        node(broker, greeter("1.1.0"), identity="b", state_keys=KEYS, canary=canary),
        node(broker, greeter("2.0.0"), identity="c", state_keys=KEYS),
        connect(link=broker.link(), timeout_s=5, on_elicit=lambda _: {"value": "x"}) as mesh,
    ):
        answers = {(await mesh.call("greeter.greet", {})).text for _ in range(60)}
        assert answers == {"1.0.0 xx", "1.1.0 xx", "2.0.0 xx"}


async def test_when_that_version_is_gone_it_is_said(broker: MemoryBroker):
    old = node(broker, greeter("1.0.0"), identity="a", state_keys=KEYS)
    newer = node(broker, greeter("2.0.0"), identity="b", state_keys=KEYS)
    await old.start()
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        catalog = mesh._session.discovery

        async def upgrade(_: object) -> dict[str, str]:
            await newer.start()
            await old.drain()
            await eventually(lambda: {i.version for i in catalog.catalog.of_server("greeter")} == {"2.0.0"})
            return {"value": "x"}

        with pytest.raises(RemoteError, match="another version of this server"):
            await mesh.options(on_elicit=upgrade).call("greeter.greet", {})
    await newer.drain()
