"""One event for each call of a node: who, through whom, what, where, how it ended; never what with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.asker import META, Asker, request
from tests.support.hosts import node

from longreach import Context, Limits, Server
from longreach.actor.raw import RawRequest
from longreach.errors import ConfigError, ProtocolError, ToolError
from longreach.node.settings import NodeSettings
from longreach.transport.memory import MemoryBroker

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def docs() -> Server:
    server = Server("docs", authorize=lambda request: request.name != "secret")

    @server.tool
    async def echo(text: str = "hi") -> str:
        return text

    @server.tool
    async def fails() -> str:
        raise ToolError("no")

    @server.tool
    async def errs() -> str:
        raise ProtocolError(-5, "no")

    @server.tool
    async def secret() -> str:
        return "s"

    @server.tool(limits=Limits(rate_per_s=0.001, burst=1))
    async def seldom() -> str:
        return "s"

    @server.tool
    async def asks(ctx: Context = Context.injected) -> str:
        return str(await ctx.elicit("Sure?", {"type": "object", "properties": {}}))

    @server.resource("mem://note")
    async def note() -> str:
        return "n"

    async def raw(_: RawRequest) -> bytes:
        return b'{"content":[],"isError": true}'

    server.add_raw("tool", {"name": "raw", "inputSchema": {"type": "object"}}, raw)
    return server


def lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


async def told(broker: MemoryBroker, file: Path, *asked: tuple[str, bytes], **settings: Any) -> list[Any]:
    """What the log says of calls: (end of the subject, body)."""
    async with node(broker, docs(), audit=str(file), **settings):
        asker = Asker(broker, asker="g1.alice")
        for number, (tail, body) in enumerate(asked):
            asker.send(f"req.docs._.g1.alice.{tail}", body, f"{number}-0-f")
            await asker.answer(f"{number}-0-f")
    return lines(file)


@pytest.mark.parametrize(
    ("tool", "outcome"),
    [
        ("echo", {"outcome": "ok", "delivered": "yes"}),
        ("fails", {"outcome": "tool_error", "delivered": "yes"}),
        ("raw", {"outcome": "tool_error", "delivered": "yes"}),
        ("errs", {"outcome": "error", "code": -5, "delivered": "yes"}),
        ("secret", {"outcome": "forbidden", "code": -31913, "delivered": "no"}),
    ],
)
async def test_a_call_is_told_once_with_its_outcome(
    broker: MemoryBroker, tmp_path: Path, tool: str, outcome: dict[str, Any]
):
    meta = {**META, "traceparent": TRACE}
    body = request(tool, params={"_meta": meta}, id="r7")
    [event] = await told(broker, tmp_path / "audit.log", (f"tools-call.{tool}", body))

    assert {key: event[key] for key in outcome} == outcome
    assert event["event"] == "call.ended"
    assert (event["caller"], event["via"]) == ("alice", "g1")
    assert (event["server"], event["method"], event["name"]) == ("docs", "tools/call", tool)
    assert event["node"].startswith("n1.")
    assert (event["region"], event["request_id"]) == ("local", "r7")
    assert event["trace_id"] == TRACE.split("-")[1]
    assert event["duration_ms"] >= 0


async def test_refusals_are_told_too(broker: MemoryBroker, tmp_path: Path):
    note = {"uri": "mem://gone", "_meta": META}
    read = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": note})
    events = await told(
        broker,
        tmp_path / "audit.log",
        ("tools-call.seldom", request("seldom")),
        ("tools-call.seldom", request("seldom")),
        ("tools-call.echo", request("other")),
        ("resources-read._", read),
    )

    assert [(each["outcome"], each["name"]) for each in events] == [
        ("ok", "seldom"), ("refused", "seldom"), ("refused", "echo"), ("refused", None),
    ]  # fmt: skip
    assert [each.get("code") for each in events[2:]] == [-32020, -32602]
    assert all(each["delivered"] == "no" for each in events[1:])


async def test_arguments_and_results_are_told_only_if_that_is_wished(broker: MemoryBroker, tmp_path: Path):
    asked = ("tools-call.echo", request("echo", {"text": "pin 1234"}))
    [plain] = await told(broker, tmp_path / "a", asked)
    [full] = await told(broker, tmp_path / "b", asked, audit_arguments=True)
    long = ("tools-call.echo", request("echo", {"text": "x" * 10_000}))
    [cut] = await told(broker, tmp_path / "c", long, audit_arguments=True)

    assert "1234" not in json.dumps(plain)
    assert json.loads(full["arguments"]) == {"text": "pin 1234"}
    assert len(cut["arguments"]) == 4096


async def test_what_a_handler_asks_for_is_an_outcome_of_its_own(broker: MemoryBroker, tmp_path: Path):
    meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}
    body = request("asks", params={"_meta": meta})
    [event] = await told(broker, tmp_path / "audit.log", ("tools-call.asks", body))

    assert event["outcome"] == "input_required"


def test_arguments_need_a_log():
    with pytest.raises(ConfigError, match="--audit"):
        NodeSettings(audit_arguments=True)
