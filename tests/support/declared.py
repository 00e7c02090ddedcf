"""One request to a server whose node is in this process, answered and held against the oracle."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.support.asker import META, Asker
from tests.support.hosts import node
from tests.support.oracle import agree, models

from longreach import Server
from longreach.transport.memory import MemoryBroker
from longreach.wire.subjects import method_token
from longreach.wire.tokens import encode_token

RESULTS: dict[str, Any] = {
    "tools/call": models.CallToolResult,
    "prompts/get": models.GetPromptResult,
    "resources/read": models.ReadResourceResult,
    "completion/complete": models.CompleteResult,
    "tools/list": models.ListToolsResult,
    "prompts/list": models.ListPromptsResult,
    "resources/list": models.ListResourcesResult,
    "resources/templates/list": models.ListResourceTemplatesResult,
    "server/discover": models.DiscoverResult,
}


def body(method: str, **params: Any) -> bytes:
    """A request."""
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": "i", "method": method, "params": {"_meta": META, **params}}
    )


async def ask(asker: Asker, method: str, call: str = "1-0-f", to: str = "_", **params: Any) -> Any:
    """The response of `docs`; a result is one that MCP knows."""
    name = encode_token(params["name"]) if method in ("tools/call", "prompts/get") else "_"
    asker.send(f"req.docs.{to}._._.{method_token(method)}.{name}", body(method, **params), call)
    answer = await asker.answer(call)
    if "result" in answer:
        agree(msgspec.json.encode(answer["result"]), RESULTS[method])
    return answer


async def asked(server: Server, method: str, **params: Any) -> Any:
    """The response of a node that is started for it; a result without its `_meta`."""
    broker = MemoryBroker()
    asker = Asker(broker)
    async with node(broker, server):
        answer = await ask(asker, method, **params)
    await asker.link.close()
    if "result" in answer:
        assert answer["result"].pop("_meta")["longreach/region"] == "local"
        return answer["result"]
    return answer["error"]
