"""Prompts, resources, completions: asked for, decoded, and kept as long as they may be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.links import eventually
from tests.support.puppet import Puppet, error, tools

from longreach import Mesh, connect
from longreach.client.kept import Kept, Key
from longreach.client.results import RawRead
from longreach.clock import FakeClock
from longreach.errors import ConfigError, NotFound, OutcomeUnknown, RemoteError
from longreach.transport.memory import MemoryBroker
from longreach.wire.manifest import Definition, Offer
from longreach.wire.mcp import ResourceContents
from longreach.wire.subjects import resource_hash

OFFER = Offer(
    prompts=[Definition("greet", b'{"name":"greet","arguments":[{"name":"who"}]}')],
    resources=[Definition("mem://a", b'{"uri":"mem://a","name":"a"}')],
    templates=[Definition("mem://{x}", b'{"uriTemplate":"mem://{x}","name":"x"}')],
    completions=True,
    tags=["t"],
)


def answer(**members: Any) -> bytes:
    ran = {"longreach/node": "puppet.p1", "longreach/region": "local"}
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete", "_meta": ran, **members}}
    )


def held(text: str, **members: Any) -> bytes:
    contents = [{"uri": "mem://a", "text": text}, {"uri": "mem://a", "blob": "AAH/"}]
    return answer(**{"contents": contents, "ttlMs": 60_000, "cacheScope": "public", **members})


@pytest.fixture
async def puppet(broker: MemoryBroker) -> Puppet:
    puppet = Puppet(broker, tools("do"), offer=OFFER)
    puppet.on["resources-read"] = lambda _: held("kept")
    return puppet


@pytest.fixture
async def mesh(broker: MemoryBroker, puppet: Puppet) -> AsyncIterator[Mesh]:
    async with connect(link=broker.link(), timeout_s=5) as mesh:
        await mesh.learn()
        yield mesh


async def test_what_there_is_is_listed(mesh: Mesh):
    (prompt,), (resource,), (template,) = (
        await mesh.prompts(), await mesh.resources("docs"), await mesh.templates(),
    )  # fmt: skip
    assert (prompt.qualified, prompt.name, [each.name for each in prompt.arguments]) == (
        "docs.greet", "greet", ["who"],
    )  # fmt: skip
    assert (resource.server, resource.uri, resource.name) == ("docs", "mem://a", "a")
    assert (template.uri_template, template.name) == ("mem://{x}", "x")
    for info in (prompt, resource, template):
        assert (info.title, info.description) == (None, None)
    assert (resource.mime_type, template.mime_type) == (None, None)
    (server,) = await mesh.servers()
    assert (server.prompts, server.resources, server.templates, server.tags) == (1, 1, 1, ("t",))
    assert await mesh.prompts("other") == []


async def test_a_prompt_is_filled_in(mesh: Mesh, puppet: Puppet):
    message = {"role": "user", "content": {"type": "text", "text": "hi"}}
    puppet.on["prompts-get"] = lambda _: answer(messages=[message, message], description="d")
    prompt = await mesh.get_prompt("docs.greet", {"who": "ann", "times": 2, "tags": ["a"]})
    (asked,) = puppet.asked["prompts-get"]
    assert asked.subject.endswith(".prompts-get.greet")
    assert asked.body["method"] == "prompts/get"
    assert asked.body["params"]["name"] == "greet"
    assert asked.body["params"]["arguments"] == {"who": "ann", "times": "2", "tags": '["a"]'}
    assert (prompt.text, prompt.description, prompt.node, prompt.region) == (
        "hi\nhi",
        "d",
        "puppet.p1",
        "local",
    )
    assert prompt.messages[0].role == "user"
    assert "2 messages" in repr(prompt)
    with pytest.raises(NotFound, match="did you mean greet"):
        await mesh.get_prompt("docs.great")
    with pytest.raises(ConfigError):
        await mesh.get_prompt("greet")
    with pytest.raises(ConfigError):
        await mesh.get_prompt("docs.greet", {"who": object()})


async def test_a_server_is_a_proxy_for_them(mesh: Mesh, puppet: Puppet):
    puppet.on["prompts-get"] = lambda _: answer(messages=[])
    server = mesh.server("docs")
    assert (await server.get_prompt("greet")).messages == []
    assert (await server.read_resource("mem://a")).text == "kept"


async def test_a_resource_is_read_text_and_bytes(mesh: Mesh, puppet: Puppet):
    result = await mesh.read("docs", "mem://a")
    (asked,) = puppet.asked["resources-read"]
    assert asked.subject.endswith(".resources-read._")
    assert asked.body["params"]["uri"] == "mem://a"
    assert "arguments" not in asked.body["params"]
    assert (result.text, result.data) == ("kept", b"kept\x00\x01\xff")
    assert (result.ttl_ms, result.cache_scope, result.node) == (60_000, "public", "puppet.p1")
    assert "2 contents" in repr(result)
    with pytest.raises(NotFound):
        await mesh.read("dogs", "mem://a")
    puppet.on["resources-read"] = lambda _: error(-32602, uri="mem://b")
    with pytest.raises(RemoteError) as ended:
        await mesh.read("docs", "mem://b")
    assert ended.value.code == -32602
    puppet.on["resources-read"] = lambda _: answer(contents=[{"uri": "u", "blob": "?"}])
    with pytest.raises(RemoteError):
        assert (await mesh.read("docs", "mem://c")).data


@pytest.mark.parametrize(
    "members", [{"contents": [{"uri": "u"}]}, {"contents": 7}, {"cacheScope": "else"}, {"resultType": "x"}]
)
async def test_a_result_that_is_none_ends_it(mesh: Mesh, puppet: Puppet, members: dict[str, Any]):
    puppet.on["resources-read"] = lambda _: held("x", **members)
    with pytest.raises(RemoteError):
        await mesh.read("docs", "mem://a")


async def test_what_may_be_kept_is_asked_for_once(mesh: Mesh, puppet: Puppet):
    for attempts in (1, 0, 0):
        result = await mesh.options(timeout_s=3).read("docs", "mem://a")
        assert (result.text, result.attempts) == ("kept", attempts)
    assert len(puppet.asked["resources-read"]) == 1
    await mesh.read("docs", "mem://a", fresh=True)
    await mesh.read("docs", "mem://b")
    await mesh.options(node="puppet.p1").read("docs", "mem://a")
    assert len(puppet.asked["resources-read"]) == 4
    puppet.on["resources-read"] = lambda _: held("x", ttlMs=0)
    for _ in range(2):
        await mesh.read("docs", "mem://c")
    assert len(puppet.asked["resources-read"]) == 6


async def test_answers_to_questions_are_never_kept(mesh: Mesh, puppet: Puppet):
    for _ in range(2):
        await mesh.read("docs", "mem://a", request_state="s")
    await mesh.read("docs", "mem://a", input_responses={})
    await mesh.read("docs", "mem://a")
    assert len(puppet.asked["resources-read"]) == 4


async def test_an_update_that_is_heard_drops_what_is_kept(mesh: Mesh, puppet: Puppet):
    heard: list[int] = []
    stop = mesh.on_updated("docs", "mem://a", lambda: heard.append(1))
    await mesh.read("docs", "mem://a")
    await mesh.read("docs", "mem://b")
    puppet.link.send(f"lr.v1.default.local.evt.docs.updated.{resource_hash('mem://a')}", b"{}")
    await eventually(lambda: heard)
    assert [key.uri for key in mesh._session.kept._kept] == ["mem://b"]
    puppet.announce(digest="another")
    await eventually(lambda: not mesh._session.kept)
    stop()


async def test_what_was_read_before_an_update_is_not_kept_after_it(mesh: Mesh, puppet: Puppet):
    def update_meanwhile(_: object) -> bytes:
        mesh._session.kept.drop("docs", "mem://a")
        return held("old")

    puppet.on["resources-read"] = update_meanwhile
    await mesh.read("docs", "mem://a")
    assert len(mesh._session.kept) == 0


async def test_completions_of_prompts_and_templates(mesh: Mesh, puppet: Puppet):
    puppet.on["completion-complete"] = lambda _: answer(completion={"values": ["ann", "al"], "hasMore": True})
    done = await mesh.complete("docs.greet", "who", "a", given={"x": "y"})
    assert (done.values, done.has_more) == (["ann", "al"], True)
    await mesh.complete("docs", "x", template="mem://{x}")
    first, second = (asked.body["params"] for asked in puppet.asked["completion-complete"])
    assert first["ref"] == {"type": "ref/prompt", "name": "greet"}
    assert first["argument"] == {"name": "who", "value": "a"}
    assert first["context"] == {"arguments": {"x": "y"}}
    assert second["ref"] == {"type": "ref/resource", "uri": "mem://{x}"}
    assert "context" not in second
    assert puppet.asked["completion-complete"][0].subject.endswith(".completion-complete._")


async def test_what_only_retrieves_is_asked_for_again_where_its_answer_was_lost(mesh: Mesh, puppet: Puppet):
    """M5.3"""
    answers = [error(-32603, reason="cut_off"), held("again")]
    puppet.on["resources-read"] = lambda _: answers.pop(0)
    result = await mesh.read("docs", "mem://a")
    assert (result.text, result.attempts, result.retries) == ("again", 2, ("cut_off",))
    puppet.on["resources-read"] = lambda _: error(-32603, reason="cut_off")
    with pytest.raises(OutcomeUnknown):
        await mesh.options(idempotent=False).read("docs", "mem://b")


async def test_the_time_limit_is_the_servers_own(broker: MemoryBroker):
    def limited(name: str, ms: int) -> Definition:
        about = {"name": name, "uri": name, "uriTemplate": name, "_meta": {"longreach/timeoutMs": ms}}
        return Definition(name, msgspec.json.encode(about))

    offer = Offer(
        resources=[limited("mem://a", 7000)], templates=[limited("t:{x}", 9000)], prompts=[limited("p", 8000)]
    )
    Puppet(broker, tools("do"), offer=offer)
    async with connect(link=broker.link()) as mesh:
        planner = mesh._planner
        plans = [
            await planner.plan("docs", "resources/read", "mem://a", None),
            await planner.plan("docs", "prompts/get", "p", None),
            await planner.plan("docs", "completion/complete", None, None),
        ]
    assert [plan.timeout_s for plan in plans] == [9, 8, None]


def read_result(ttl_ms: float = 1000.0) -> RawRead:
    return RawRead([ResourceContents("u", text="x")], ttl_ms)


def test_what_is_kept_is_bounded_and_ends():
    clock = FakeClock()
    kept = Kept(clock)
    keys = [Key("s", f"u{number}", None, None) for number in range(300)]
    for key in keys:
        kept.put(key, read_result(), 10, 0)
    assert len(kept) == 256
    assert kept.get(keys[0]) is None
    assert kept.get(keys[-1]) is not None
    kept.put(keys[-1], read_result(), 20, 0)
    assert kept._size == 255 * 10 + 20
    clock.advance(1.0)
    assert kept.get(keys[-1]) is None
    for number in range(10):
        kept.put(keys[number], read_result(), 3 * 1024 * 1024, 0)
    assert len(kept) == 5
    kept.put(keys[0], read_result(), 5 * 1024 * 1024, 0)  # too large to be worth it
    assert len(kept) == 5
    kept.drop("s")
    assert (len(kept), kept._size, kept.generation) == (0, 0, 1)
