"""The blocking mesh. Its loop runs in a thread of its own, and so do node and broker here."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager
from unittest.mock import patch

import msgspec
import pytest
from tests.support.hosts import node
from tests.support.puppet import Puppet, tools

from longreach import Server, ToolError, sync
from longreach.client import sync as module
from longreach.client.connect import connect as connect_async
from longreach.client.sync import SyncMesh
from longreach.errors import BrokerUnavailable, ConfigError
from longreach.transport.memory import MemoryBroker
from longreach.wire.manifest import Definition, Offer

maths = Server("maths")


@maths.tool
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@maths.tool
async def fail() -> None:
    raise ToolError("no more")


@asynccontextmanager
async def with_a_node(**options):
    broker = MemoryBroker()
    async with node(broker, maths), connect_async(link=broker.link(), **options) as mesh:
        yield mesh


@pytest.fixture
def mesh() -> Iterator[SyncMesh]:
    with patch.object(module, "connect_async", with_a_node), sync.connect(timeout_s=5) as mesh:
        yield mesh


def test_it_calls_and_lists_and_leaves_no_thread(mesh: SyncMesh):
    assert mesh.call(add, 1, b=2) == 3
    assert mesh.call("maths.add", {"a": 1, "b": 2}).structured == {"result": 3}
    assert [tool.name for tool in mesh.tools()] == ["add", "fail"]
    assert [place.why for place in mesh.explain("maths.add").taken] == ["offers it"]
    assert [server.name for server in mesh.servers()] == ["maths"]
    assert len(mesh.nodes()) == 1
    mesh.refresh()
    assert mesh.url == "memory://"
    assert mesh.options(timeout_s=1).call(add, 2, 2) == 4
    mesh.options(timeout_s=1).close()
    assert mesh.call(add, 1, 1) == 2
    mesh.close()
    mesh.close()
    assert not [thread for thread in threading.enumerate() if "portal" in thread.name.lower()]


def test_errors_come_as_they_are(mesh: SyncMesh):
    with pytest.raises(ToolError, match="no more"):
        mesh.call(fail)
    with pytest.raises(ConfigError):
        mesh.call("nothing")


def test_a_connection_that_fails_leaves_no_thread():
    before = threading.active_count()
    with pytest.raises(BrokerUnavailable):
        sync.connect("nats://127.0.0.1:1", wait_s=0.01)
    assert threading.active_count() == before


def test_watching_ends_with_the_mesh(mesh: SyncMesh):
    changes = mesh.watch()
    timer = threading.Timer(0.05, lambda: mesh._portal.call(mesh._mesh.close))
    timer.start()
    assert list(changes) == []
    timer.join()


@asynccontextmanager
async def with_a_puppet(**options):
    broker = MemoryBroker()
    offer = Offer(
        prompts=[Definition("greet", b'{"name":"greet"}')],
        resources=[Definition("mem://a", b'{"uri":"mem://a","name":"a"}')],
        templates=[Definition("mem://{x}", b'{"uriTemplate":"mem://{x}","name":"x"}')],
    )
    puppet = Puppet(broker, tools("do"), offer=offer)
    message = {"role": "user", "content": {"type": "text", "text": "hi"}}
    puppet.on["prompts-get"] = lambda _: respond(messages=[message])
    puppet.on["resources-read"] = lambda _: respond(contents=[{"uri": "mem://a", "text": "held"}])
    puppet.on["completion-complete"] = lambda _: respond(completion={"values": ["ann"]})
    async with connect_async(link=broker.link(), **options) as mesh:
        yield mesh


def respond(**members) -> bytes:
    return msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "result": members})


def test_prompts_resources_and_completions():
    with patch.object(module, "connect_async", with_a_puppet), sync.connect(timeout_s=5) as mesh:
        assert [prompt.name for prompt in mesh.prompts()] == ["greet"]
        assert [resource.uri for resource in mesh.resources("docs")] == ["mem://a"]
        assert [template.name for template in mesh.templates()] == ["x"]
        assert mesh.get_prompt("docs.greet", {"who": "x"}).text == "hi"
        assert mesh.read("docs", "mem://a", fresh=True).text == "held"
        assert mesh.complete("docs.greet", "who", "a").values == ["ann"]
        updates = mesh.listen("docs", resources=["mem://a"])
        timer = threading.Timer(0.05, lambda: mesh._portal.call(mesh._mesh.close))
        timer.start()
        assert list(updates) == []
        timer.join()


def test_in_a_forked_child_it_fails_at_once(mesh: SyncMesh):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            for ask in (mesh.tools, mesh.options(timeout_s=1).tools):
                try:
                    ask()
                except BrokerUnavailable as error:
                    said = str(error)
            mesh.close()
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with open(read) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    assert said.endswith("open one here, with longreach.sync.connect()")
    assert [tool.name for tool in mesh.tools()] == ["add", "fail"]
