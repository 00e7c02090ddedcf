"""Attacks with real credentials of a generated topology: the broker denies each, and each works where it may.

The attacker has what the generator gave to somebody else: `mallory` and `bob` are callers of the same tenant,
`rita` is another tenant's, `m-eu` is a node that owns another server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import nats.errors
import pytest
from tests.support.estate import EU, US, Estate, call, deploy, estate, eventually
from tests.support.topologies import Deployment

from longreach.wire.subjects import resource_hash

Attack = Callable[[Estate], Awaitable[bool]]
ATTACKS: dict[str, Attack] = {}


def attack(function: Attack) -> Attack:
    """One of the attacks; it says whether it has succeeded."""
    ATTACKS[function.__name__] = function
    return function


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("guarded"), is_open=False) as deployed:
        yield deployed


@pytest.fixture(scope="module")
def wide_open(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deploy(tmp_path_factory.mktemp("open"), is_open=True) as deployed:
        yield deployed


@pytest.fixture
async def estates(guarded: Deployment, wide_open: Deployment) -> AsyncIterator[tuple[Estate, Estate]]:
    async with estate(guarded) as one, estate(wide_open) as other:
        yield one, other


async def sends(made: Estate, key: str, subject: str, name: str = "echo", **arguments: str) -> bool:
    """Whether a call that `key` sends on a subject runs."""
    nc = await made.raw(key)
    arguments = arguments or {"text": "attack"}
    await made.say(nc, subject, call(name, arguments), made.reply("mallory"))
    return await eventually(lambda: made.has_run(arguments["text"]), 3.0 if made.is_open else 0.0)


@attack
async def a_region_that_is_not_granted(made: Estate) -> bool:
    return await sends(made, "mallory", f"{US}.req.docs._._.mallory.tools-call.echo")


@attack
async def a_broker_of_another_region(made: Estate) -> bool:
    try:
        return (await made.raw("mallory", "us-1")).is_connected
    except nats.errors.Error:
        return False


@attack
async def another_tenant(made: Estate) -> bool:
    return await sends(made, "rita", f"{EU}.req.docs._._.rita.tools-call.echo")


@attack
async def a_tool_that_is_not_granted(made: Estate) -> bool:
    return await sends(made, "bob", f"{EU}.req.docs._._.bob.tools-call.slow", "slow")


@attack
async def a_forged_caller(made: Estate) -> bool:
    return await sends(made, "mallory", f"{EU}.req.docs._._.alice.tools-call.echo")


@attack
async def a_forged_gateway(made: Estate) -> bool:
    return await sends(made, "mallory", f"{EU}.req.docs._.web.mallory.tools-call.echo")


@attack
async def reading_the_replies_of_another(made: Estate) -> bool:
    heard = await made.hears(await made.raw("mallory"), f"{EU}.rep._.alice.>")
    await made.honest()
    return await eventually(lambda: heard, 3.0 if made.is_open else 0.0)


@attack
async def joining_the_queue_group_of_a_server(made: Estate) -> bool:
    heard = await made.hears(await made.raw("m-eu"), f"{EU}.req.docs.>", "docs")
    alice = await made.raw("alice")
    for _ in range(20):
        request = f"{EU}.req.docs._._.alice.tools-call.echo"
        await alice.publish(request, call("echo", {"text": "x"}), reply=made.reply("alice"))
    await alice.flush()
    await made.honest()
    return await eventually(lambda: heard, 3.0 if made.is_open else 0.0)


@attack
async def listening_to_all_requests(made: Estate) -> bool:
    heard = await made.hears(await made.raw("m-eu"), f"{EU}.req.docs.>")
    await made.honest()
    return await eventually(lambda: heard, 3.0 if made.is_open else 0.0)


@attack
async def cancelling_under_the_name_of_another(made: Estate) -> bool:
    alice, reply = await made.raw("alice"), made.reply("alice")
    await alice.publish(f"{EU}.req.docs._._.alice.tools-call.slow", call("slow", {"text": "a"}), reply=reply)
    await alice.flush()
    assert await eventually(lambda: made.has_run("a"))
    body = b'{"calls":["%s"]}' % reply.rpartition(".")[2].encode()
    await made.say(await made.raw("mallory"), f"{EU}.all.docs._.alice.cancel", body, made.reply("alice"))
    return await eventually(lambda: made.cancelled, 3.0 if made.is_open else 0.0)


@attack
async def draining_a_node(made: Estate) -> bool:
    node = made.nodes["n-eu"]
    nc = await made.raw("mallory")
    await nc.publish(f"{EU}.ops.n-eu.{node.instance}._.mallory.drain", b"{}", reply=made.reply("mallory"))
    await nc.flush()
    if not made.is_open:
        await made.honest()
    return await eventually(lambda: node.state != "serving", 3.0 if made.is_open else 0.0)


@attack
async def announcing_the_server_of_another(made: Estate) -> bool:
    heard = await made.hears(await made.raw("alice"), f"{EU}.adv.docs.m-eu.*")
    await made.say(await made.raw("m-eu"), f"{EU}.adv.docs.m-eu.i1")
    return await eventually(lambda: heard, 3.0 if made.is_open else 0.0)


@attack
async def telling_of_changes_that_are_none(made: Estate) -> bool:
    heard = await made.hears(await made.raw("alice"), f"{EU}.evt.docs.>")
    await made.say(await made.raw("mallory"), f"{EU}.evt.docs.updated.{resource_hash('docs://one')}")
    return await eventually(lambda: heard, 3.0 if made.is_open else 0.0)


@attack
async def hearing_what_another_node_is_asked(made: Estate) -> bool:
    heard = await made.hears(await made.raw("m-eu"), f"{EU}.node.n-eu.>")
    subject = f"{EU}.node.n-eu.{made.nodes['n-eu'].instance}._.alice.alive"
    await made.say(await made.raw("alice"), subject, b'{"calls":[]}', made.reply("alice"))
    return await eventually(lambda: heard, 3.0 if made.is_open else 0.0)


@attack
async def taking_a_session_from_a_gateway(made: Estate) -> bool:
    heard = await made.hears(await made.raw("web"), f"{EU}.gw.web.>")
    await made.say(await made.raw("mallory"), f"{EU}.gw.web.i1.open", b"{}")
    return await eventually(lambda: heard, 3.0 if made.is_open else 0.0)


@attack
async def answering_as_a_node(made: Estate) -> bool:
    heard = await made.hears(await made.raw("alice"), f"{EU}.rep._.alice.cafe.*")
    await made.say(await made.raw("mallory"), f"{EU}.rep._.alice.cafe.1-0-f", b"{}")
    return await eventually(lambda: heard, 3.0 if made.is_open else 0.0)


@pytest.mark.parametrize("name", ATTACKS)
async def test_it_is_denied_and_works_without_the_guard(estates: tuple[Estate, Estate], name: str) -> None:
    guarded, wide_open = estates
    assert not await ATTACKS[name](guarded)
    assert await ATTACKS[name](wide_open)
    await guarded.honest()
