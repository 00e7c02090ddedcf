from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.asker import META, Asker
from tests.support.hosts import Gate, docs, node

from longreach import Server
from longreach.errors import ConfigError
from longreach.transport.memory import MemoryBroker


def body(method: str, **changes: Any) -> bytes:
    params = {"_meta": META, **changes.pop("params", {})}
    return msgspec.json.encode({"jsonrpc": "2.0", "id": "i", "method": method, "params": params, **changes})


async def ask(
    asker: Asker, data: bytes, call: str = "1-0-f", method: str = "tools-list", to: str = "_"
) -> Any:
    asker.send(f"req.docs.{to}._._.{method}._", data, call)
    return await asker.answer(call)


async def test_tools_list_needs_no_discovery(broker: MemoryBroker, gate: Gate, asker: Asker):
    async with node(broker, docs(gate)) as host:
        for number, to in enumerate(("_", "v1", f"n-{host.instance}")):
            answer = await ask(asker, body("tools/list"), f"{number}-0-f", to=to)
            assert [tool["name"] for tool in answer["result"]["tools"]] == ["echo", "keep", "wait"]
            assert answer["id"] == "i"
            assert "nextCursor" not in answer["result"]


async def test_discover_says_what_the_server_is(broker: MemoryBroker, gate: Gate, asker: Asker):
    async with node(broker, docs(gate, instructions="Read first.")):
        answer = await ask(asker, body("server/discover"), method="server-discover")
        result = answer["result"]
        assert result["supportedVersions"] == ["2026-07-28"]
        assert result["instructions"] == "Read first."
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "docs"


@pytest.mark.parametrize("method", ["tools/list", "server/discover"])
@pytest.mark.parametrize(
    ("options", "said"),
    [({}, (12_000, "public")), ({"list_ttl_s": 0.5, "cache_scope": "private"}, (500, "private"))],
)
async def test_a_server_says_how_long_and_for_whom_its_listings_may_be_kept(
    broker: MemoryBroker,
    gate: Gate,
    asker: Asker,
    method: str,
    options: dict[str, Any],
    said: tuple[int, str],
):
    async with node(broker, docs(gate, **options)):
        result = (await ask(asker, body(method), method=method.replace("/", "-")))["result"]
        assert (result["ttlMs"], result["cacheScope"]) == said


@pytest.mark.parametrize(
    "options", [{"list_ttl_s": -1}, {"list_ttl_s": float("inf")}, {"cache_scope": "shared"}]
)
def test_a_caching_hint_that_means_nothing_is_refused(options: dict[str, Any]):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Server("docs", **options)


async def test_a_long_listing_comes_in_pages_and_loses_nothing(gate: Gate):
    broker = MemoryBroker(max_payload=16 * 1024)
    asker, server = Asker(broker), Server("docs")
    names = [f"tool_{number}" for number in range(30)]
    for name in names:

        async def handler() -> str:
            return ""

        server.add_tool(handler, name=name, description="d" * 2000)
    async with node(broker, server):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        for page in range(40):
            answer = await ask(asker, body("tools/list", params=cursor), f"{page}-0-f")
            seen += [tool["name"] for tool in answer["result"]["tools"]]
            if "nextCursor" not in answer["result"]:
                break
            cursor = {"cursor": answer["result"]["nextCursor"]}
        assert seen == sorted(names)
        for cursor in (
            "zzz",
            "",
            "dG9vbA",
            "cHJvbXB0IGE=",
            "\u00fc",
            "/w==",
        ):  # of no page, or of another listing
            answer = await ask(asker, body("tools/list", params={"cursor": cursor}), f"z{seen.pop()[5:]}-0-f")
            assert answer["error"]["code"] == -32602


async def test_a_definition_beyond_max_payload_is_an_answer_all_the_same(gate: Gate):
    """M3.3: the request is answered; without an answer its asker would wait."""
    broker = MemoryBroker(max_payload=4096)
    asker, server = Asker(broker), Server("docs")

    async def handler() -> str:
        return ""

    server.add_tool(handler, name="huge", description="d" * 5000)
    async with node(broker, server):
        answer = await ask(asker, body("tools/list"))
        assert answer["error"]["data"] == {"reason": "result_too_large"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (body("tools/call"), -32020),
        (body("tools/list", params={"_meta": {}}), -32602),
        (body("tools/list", params={"cursor": 7}), -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}', -32602),
        (b"{", -32700),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0","method":"tools/list"}', -32600),
    ],
)
async def test_what_is_no_request_is_refused_and_the_next_is_answered(
    broker: MemoryBroker, gate: Gate, asker: Asker, data: bytes, code: int
):
    """M1.4, M2.1"""
    async with node(broker, docs(gate)):
        assert (await ask(asker, data))["error"]["code"] == code
        assert "result" in await ask(asker, body("tools/list"), "2-0-f")


@pytest.mark.parametrize(
    ("method", "data", "code"),
    [
        ("tools-call.nope", body("tools/call"), -32602),
        ("later-method._", body("later/method"), -32601),
        ("later-method._", b"{", -32700),
    ],
)
async def test_what_this_node_does_not_have_is_said_by_it(
    broker: MemoryBroker, gate: Gate, asker: Asker, method: str, data: bytes, code: int
):
    async with node(broker, docs(gate)) as host:
        asker.send(f"req.docs.n-{host.instance}._._.{method}", data)
        assert (await asker.answer())["error"]["code"] == code


async def test_without_a_reply_there_is_no_answer(broker: MemoryBroker, gate: Gate, asker: Asker):
    async with node(broker, docs(gate)) as host:
        for to in ("_", f"n-{host.instance}"):
            asker.send(f"req.docs.{to}._._.tools-list._", body("tools/list"), reply="")
            asker.send(f"req.docs.{to}._._.nope._", body("tools/list"), reply="elsewhere.x")
        await asker.settle()
        assert asker.heard == []
