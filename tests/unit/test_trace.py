from __future__ import annotations

import asyncio

import pytest
from tests.support.asker import META, Asker, request, text
from tests.support.hosts import node

from longreach import Context, Server
from longreach.trace import Trace, current_trace, use_trace
from longreach.transport.memory import MemoryBroker

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_where_no_call_is_handled_there_is_no_trace_but_one_that_is_given():
    assert current_trace() is None
    with use_trace(Trace(PARENT)):
        assert current_trace() == Trace(PARENT)
        with use_trace(None):
            assert current_trace() is None
    assert current_trace() is None


def server() -> Server:
    made = Server("docs")

    @made.tool
    async def waits(ctx: Context) -> str:
        await asyncio.sleep(0)
        assert ctx.trace == current_trace()
        return repr(current_trace())

    @made.tool
    def threaded() -> str:
        return repr(current_trace())

    return made


@pytest.mark.parametrize("tool", ["waits", "threaded"])
@pytest.mark.parametrize(
    ("meta", "trace"),
    [
        ({}, None),
        ({"traceparent": PARENT}, Trace(PARENT)),
        ({"traceparent": PARENT, "tracestate": "a=b", "baggage": "k=v"}, Trace(PARENT, "a=b", "k=v")),
    ],
)
async def test_a_handler_is_in_the_trace_of_its_request(tool: str, meta: dict[str, str], trace: Trace | None):
    broker = MemoryBroker()
    asker = Asker(broker)
    async with node(broker, server()):
        data = request(tool, params={"_meta": {**META, **meta}})
        asker.send(f"req.docs._._._.tools-call.{tool}", data)
        assert text(await asker.answer()) == repr(trace)
    await asker.link.close()
