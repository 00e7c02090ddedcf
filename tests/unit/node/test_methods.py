from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.support.asker import META, Asker
from tests.support.declared import ask as checked
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
    async with node(broker, docs(gate, instructions="Read first.", title="Documents")):
        answer = await checked(asker, "server/discover")
        result = answer["result"]
        assert result["supportedVersions"] == ["2026-07-28"]
        assert result["instructions"] == "Read first."
        assert result["_meta"]["io.modelcontextprotocol/serverInfo"] == {
            "name": "docs",
            "version": "1.4.0",
            "title": "Documents",
        }


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


def full() -> Server:
    server = Server("docs", instructions="Read.", list_ttl_s=3, cache_scope="private", tags=["b", "a"])

    @server.tool(tags=["x"])
    async def tool(text: str) -> str:
        return text

    @server.prompt
    async def prompt(text: str) -> str:
        return text

    @server.resource("docs://one", mime_type="text/plain")
    async def one() -> str:
        return ""

    @server.resource("docs://{page}", complete={"page": lambda value: []})
    async def page(page: str) -> str:
        return page

    return server


@pytest.mark.parametrize(
    ("method", "member", "name"),
    [
        ("tools/list", "tools", "tool"),
        ("prompts/list", "prompts", "prompt"),
        ("resources/list", "resources", "one"),
        ("resources/templates/list", "resourceTemplates", "page"),
    ],
)
async def test_each_kind_has_its_list(
    broker: MemoryBroker, asker: Asker, method: str, member: str, name: str
):
    """M8.6, M8.7"""
    async with node(broker, full()) as host:
        for number, to in enumerate(("_", "v0", f"n-{host.instance}")):
            result = (await checked(asker, method, f"{number}-0-f", to))["result"]
            assert [one["name"] for one in result[member]] == [name]
            assert (result["ttlMs"], result["cacheScope"]) == (3000, "private")
    async with node(broker, Server("docs")):
        result = (await checked(asker, method, "9-0-f"))["result"]
        assert result[member] == []


@pytest.mark.parametrize("kind", ["tool", "prompt", "resource", "template"])
async def test_each_list_comes_in_pages_whose_cursors_are_its_own(kind: str):
    """M8.6: any replica can go on where another stopped."""
    broker = MemoryBroker(max_payload=8 * 1024)
    asker = Asker(broker)
    methods = {
        "tool": ("tools/list", "tools", "name"),
        "prompt": ("prompts/list", "prompts", "name"),
        "resource": ("resources/list", "resources", "uri"),
        "template": ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    }

    async def raw(request: Any) -> bytes:
        return b"{}"

    def replica() -> Server:
        server = Server("docs")
        for number in range(12):
            name = f"x:é{number}/{{y}}" if kind == "template" else f"x{number}"
            server.add_raw(
                kind,  # type: ignore[arg-type]
                {
                    "name": name,
                    "uri": name,
                    "uriTemplate": name,
                    "inputSchema": {"type": "object"},
                    "description": "d" * 1000,
                },
                raw,
            )
        return server

    method, member, name = methods[kind]
    async with node(broker, replica()) as one, node(broker, replica(), identity="n2") as two:
        seen: list[str] = []
        cursor: dict[str, str] = {}
        for page in range(12):
            to = f"n-{(one, two)[page % 2].instance}"
            asker.send(
                f"req.docs.{to}._._.{method.replace('/', '-')}._", body(method, params=cursor), f"{page}-0-f"
            )
            result = (await asker.answer(f"{page}-0-f"))["result"]
            seen += [item[name] for item in result[member]]
            if "nextCursor" not in result:
                break
            cursor = {"cursor": result["nextCursor"]}
        assert len(seen) == 12
        assert seen == sorted(seen)
        other = "tools/list" if kind != "tool" else "prompts/list"
        answer = await ask(asker, body(other, params=cursor), "z-0-f", other.replace("/", "-"))
        assert answer["error"]["code"] == -32602
    await asker.link.close()


def has(server: Server, *kinds: str) -> Server:
    async def raw(request: Any) -> bytes:
        return b"{}"

    for kind in kinds:
        if kind == "completion":
            server.set_raw_completion(raw)
        elif kind == "reader":
            server.set_raw_reader(raw)
        else:
            server.add_raw(
                kind,  # type: ignore[arg-type]
                {"name": "a", "uri": "a:b", "uriTemplate": "a:{b}", "inputSchema": {"type": "object"}},
                raw,
            )
    return server


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ((), {}),
        (("tool",), {"tools": {"listChanged": True}}),
        (("prompt",), {"prompts": {"listChanged": True}}),
        (("resource",), {"resources": {"listChanged": True, "subscribe": True}}),
        (("template",), {"resources": {"listChanged": True, "subscribe": True}}),
        (("reader",), {"resources": {"listChanged": True, "subscribe": True}}),
        (("completion",), {"completions": {}}),
    ],
)
async def test_discover_says_what_there_is_and_nothing_else(
    broker: MemoryBroker, asker: Asker, kinds: tuple[str, ...], said: dict[str, Any]
):
    async with node(broker, has(Server("docs"), *kinds)):
        result = (await checked(asker, "server/discover"))["result"]
        assert result["capabilities"] == {"logging": {}, **said}


async def test_the_manifest_names_everything(broker: MemoryBroker, asker: Asker):
    """M8.4: each blob is the definition, as its list has it."""
    async with node(broker, full()) as host:
        blobs = host._announcer._blobs
        manifest = msgspec.json.decode(blobs[host.digests["docs"]])
        digests = {kind: manifest.pop(kind) for kind in ("tools", "prompts", "resources", "templates")}
        assert manifest == {
            "server": "docs",
            "version": "0.1.0",
            "instructions": "Read.",
            "binding": 1,
            "completions": True,
            "ttlMs": 3000,
            "cacheScope": "private",
            "tags": ["a", "b"],
        }
        for number, (kind, method, member) in enumerate(
            [
                ("tools", "tools/list", "tools"),
                ("prompts", "prompts/list", "prompts"),
                ("resources", "resources/list", "resources"),
                ("templates", "resources/templates/list", "resourceTemplates"),
            ]
        ):
            listed = (await checked(asker, method, f"{number}-0-f"))["result"][member]
            assert [msgspec.json.decode(blobs[digest]) for digest in digests[kind]] == listed
        assert listed
