"""docs/servers.md is true: its examples are run, and answer."""

from __future__ import annotations

import asyncio
import itertools
import re
import types
from pathlib import Path
from typing import Any

import pytest
from tests.support.asker import Asker
from tests.support.declared import ask
from tests.support.hosts import node

from longreach import Server
from longreach.transport.memory import MemoryBroker

PAGE = Path(__file__).parents[2] / "docs" / "servers.md"


@pytest.fixture
def docs() -> Server:
    module = types.ModuleType("docs_servers")
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), module.__dict__)
    server: Server = module.docs
    return server


ANSWERS = [
    ("prompts/get", {"name": "review", "arguments": {"page": "intro", "strict": "true"}}, "Be strict."),
    ("resources/read", {"uri": "docs://style"}, "# Style"),
    ("resources/read", {"uri": "docs://pages/usage"}, "# Use it"),
    ("resources/read", {"uri": "docs://pages/nope"}, "-32602"),
    ("tools/call", {"name": "rewrite", "arguments": {"name": "a", "text": "b"}}, "done"),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "review"}, "argument": {"name": "page", "value": "u"}},
        "['usage']",
    ),
    (
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "docs://pages/{name}"},
            "argument": {"name": "name", "value": ""},
        },
        "['intro', 'usage']",
    ),
    ("tools/call", {"name": "count", "arguments": {"words": ["a", "b"]}}, "'count': 2"),
    ("tools/call", {"name": "count", "arguments": {}}, "words: missing, expected an array"),
    ("tools/call", {"name": "publish", "arguments": {"region": "eu"}}, "eu"),
    ("tools/call", {"name": "draft", "arguments": {"name": "a", "text": "b"}}, "a"),
    ("tools/list", {}, "x-mcp-header"),
    ("resources/templates/list", {}, "docs://drafts/{name}"),
]


@pytest.mark.parametrize(("method", "params", "said"), ANSWERS)
async def test_the_examples_answer(docs: Server, method: str, params: dict[str, Any], said: str):
    broker = MemoryBroker()
    asker = Asker(broker)
    async with node(broker, docs):
        assert said in repr(await ask(asker, method, **params))
    await asker.link.close()


async def test_the_state_outlives_a_failure_and_not_a_crash(docs: Server):
    broker = MemoryBroker()
    asker, numbers = Asker(broker), itertools.count(1)

    async def call(name: str, /, **arguments: str) -> str:
        token = f"{next(numbers)}-0-f"
        return repr(await ask(asker, "tools/call", token, name=name, arguments=arguments))

    async def read(name: str) -> str:
        token = f"{next(numbers)}-0-f"
        return repr(await ask(asker, "resources/read", token, uri=f"docs://drafts/{name}"))

    async with node(broker, docs):
        await call("draft", name="a", text="first")
        await call("draft", name="b", text="second")
        assert "-32602" in await read("nobody")
        assert "the log of" in await call("move", old="nobody", new="c")
        assert "first" in await read("a")
        assert "crashed_actor" in await call("move", old="a", new="b")
        async with asyncio.timeout(5):
            while "-32602" not in await read("b"):  # until the new instance is there
                await asyncio.sleep(0.01)
    await asker.link.close()
