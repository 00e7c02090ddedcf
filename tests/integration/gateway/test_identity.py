"""From a JWT at a gateway to `ctx.claims`, `authorize=` and the audit log of a node, in both eras."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.gateway.conftest import ask
from tests.support.broker import Broker
from tests.support.gateways import GatewayProcess
from tests.support.jwts import ISSUER, Signer, jwks

from longreach import AuthRequest, Context, NatsOptions, Node, NodeSettings, Server
from longreach.policy.claims import new_pair

PRIVATE, PUBLIC = new_pair(secrets.token_bytes)
AUDIENCE = "https://mcp.example.com/mcp"
CLIENT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
"""What a client says of itself as it begins a session."""
LEGACY = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
SIGNER = Signer("k1")


class Bank:
    """A server whose tool `pay` is for staff, as their tokens say."""

    def __init__(self) -> None:
        self.server = bank = Server("bank", authorize=self.may)
        self.seen: list[dict[str, Any] | None] = []

        @bank.tool
        async def pay(ctx: Context) -> str:
            self.seen.append(ctx.claims)
            return "paid"

        @bank.tool
        async def rates() -> str:
            return "1%"

    @staticmethod
    def may(request: AuthRequest) -> bool:
        return request.name == "rates" or "staff" in (request.claims or {}).get("groups", ())


@pytest.fixture
async def bank(broker: Broker, tmp_path: Path) -> AsyncIterator[Bank]:
    (tmp_path / "public").write_text(PUBLIC.line)
    made = Bank()
    settings = NodeSettings(
        connection=NatsOptions(urls=(broker.url,)),
        claims_keys_file=str(tmp_path / "public"),
        audit=str(tmp_path / "audit.log"),
    )
    async with Node(made.server, settings=settings):
        yield made


async def gateway(broker: Broker, folder: Path, *flags: str) -> GatewayProcess:
    (folder / "private").write_text(PRIVATE.line)
    (folder / "jwks").write_bytes(jwks(SIGNER))
    words = ("--jwks-file", str(folder / "jwks"), "--issuer", ISSUER, "--audience", AUDIENCE)
    words = (*words, "--claims-key", str(folder / "private"), *flags)
    return await asyncio.to_thread(GatewayProcess, broker.url, *words)


def bearer(sub: str, *groups: str, **claims: Any) -> str:
    return "Bearer " + SIGNER.token(sub=sub, groups=list(groups), secret="x", **claims)


async def test_claims_reach_the_handler_the_hook_and_listings(
    broker: Broker, bank: Bank, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    running = await gateway(broker, tmp_path, "--gateway-id", "g1")
    with running:
        alice, bob = bearer("alice", "staff", scope="a b"), bearer("bob")
        url = f"{running.mcp}/bank"
        paid = await ask(http, url, "tools/call", {"name": "pay"}, authorization=alice)
        refused = await ask(http, url, "tools/call", {"name": "pay"}, authorization=bob)
        lists = {}
        for name, token in (("alice", alice), ("bob", bob)):
            for path in (url, running.mcp):
                listed = (await ask(http, path, "tools/list", authorization=token)).json()["result"]
                assert listed["cacheScope"] == "private"
                lists[name] = [tool["name"].removeprefix("bank__") for tool in listed["tools"]]

    assert paid.json()["result"]["content"][0]["text"] == "paid"
    assert bank.seen == [{"sub": "alice", "scope": "a b", "groups": ["staff"]}]
    assert refused.json()["error"]["code"] == -31913
    assert refused.json()["error"]["data"] == {"delivered": "no", "reason": "forbidden"}
    assert lists == {"alice": ["pay", "rates"], "bob": ["rates"]}


async def test_a_key_that_nodes_do_not_trust_lets_nobody_in(
    broker: Broker, bank: Bank, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text(new_pair(secrets.token_bytes)[0].line)
    with await gateway(broker, tmp_path, "--claims-key", str(other)) as running:
        answer = await ask(
            http, f"{running.mcp}/bank", "tools/call", {"name": "pay"}, authorization=bearer("a", "staff")
        )

    assert answer.json()["error"]["data"]["reason"] == "claims_unknown_key"
    assert bank.seen == []


async def legacy(http: httpx2.AsyncClient, url: str, token: str, session: str | None, **body: Any) -> Any:
    headers = {**LEGACY, "authorization": token}
    if session is not None:
        headers |= {"mcp-session-id": session, "mcp-protocol-version": "2025-11-25"}
    return await http.post(url, content=json.dumps({"jsonrpc": "2.0", **body}), headers=headers)


def answered(response: httpx2.Response) -> Any:
    lines = response.text.splitlines()
    datas = [line.removeprefix("data:").strip() for line in lines if line.startswith("data:")]
    return json.loads([data for data in datas if data][-1]) if datas else response.json()


async def test_claims_of_the_very_request_go_on_from_a_session_too_through_any_gateway(
    broker: Broker, bank: Bank, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    call = {"method": "tools/call", "params": {"name": "pay", "arguments": {}}}
    staff, plain = bearer("alice", "staff"), bearer("alice")
    one = await gateway(broker, tmp_path, "--gateway-id", "one")
    with one:
        two = await gateway(broker, tmp_path, "--gateway-id", "two")
        with two:
            began = await legacy(
                http, f"{one.mcp}/bank", staff, None, id=1, method="initialize", params=CLIENT
            )
            session = began.headers["mcp-session-id"]
            await legacy(http, f"{one.mcp}/bank", staff, session, method="notifications/initialized")
            for number, door in enumerate((one, two), 2):
                url = f"{door.mcp}/bank"
                paid = answered(await legacy(http, url, staff, session, id=number * 10, **call))
                assert paid["result"]["content"][0]["text"] == "paid"
                refused = answered(await legacy(http, url, plain, session, id=number * 10 + 1, **call))
                assert "result" not in refused
                listed = answered(
                    await legacy(http, url, plain, session, id=number * 10 + 2, method="tools/list")
                )
                assert [tool["name"] for tool in listed["result"]["tools"]] == ["rates"]

    assert bank.seen == [{"sub": "alice", "groups": ["staff"]}] * 2


async def test_the_node_tells_who_did_what(
    broker: Broker, bank: Bank, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    running = await gateway(broker, tmp_path, "--gateway-id", "g1", "--audit", str(tmp_path / "g.log"))
    with running:
        url = f"{running.mcp}/bank"
        for token in (bearer("alice", "staff"), bearer("bob")):
            await ask(http, url, "tools/call", {"name": "pay"}, authorization=token)
        await ask(http, url, "tools/call", {"name": "pay"})
        node, front = await events(tmp_path / "audit.log", 2), await events(tmp_path / "g.log", 3)

    assert [(each["caller"], each["via"], each["sub"], each["outcome"]) for each in node] == [
        ("alice", "g1", "alice", "ok"), ("bob", "g1", "bob", "forbidden"),
    ]  # fmt: skip
    assert [(each["principal"], each["outcome"], each["status"]) for each in front] == [
        ("alice", "ok", 200), ("bob", "error", 200), (None, "refused", 401),
    ]  # fmt: skip
    assert all(each["client"] == "127.0.0.1" and each["gateway"] == "g1" for each in front)
    assert [each["name"] for each in front] == ["pay", "pay", None]


async def test_a_gateway_tells_of_each_message_of_a_session(
    broker: Broker, bank: Bank, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    with await gateway(broker, tmp_path, "--audit", str(tmp_path / "g.log")) as running:
        url, bob = f"{running.mcp}/bank", bearer("bob")
        began = await legacy(http, url, bob, None, id=1, method="initialize", params=CLIENT)
        for number, tool in enumerate(("rates", "pay"), 2):
            call = {"method": "tools/call", "params": {"name": tool, "arguments": {"secret": 1}}}
            await legacy(http, url, bob, began.headers["mcp-session-id"], id=number, **call)
        await legacy(http, url, bob, "no-such-session", id=9, method="tools/list")
        told = await events(tmp_path / "g.log", 4)

    assert [(each["era"], each["principal"], each["method"], each["name"]) for each in told] == [
        ("legacy", "bob", "initialize", None),
        ("legacy", "bob", "tools/call", "rates"),
        ("legacy", "bob", "tools/call", "pay"),
        (None, "bob", None, None),
    ]
    assert [(each["outcome"], each["status"], each["request_id"]) for each in told] == [
        ("ok", 200, 1), ("tool_error", 200, 2), ("error", 200, 3), ("refused", 404, None),
    ]  # fmt: skip
    assert told[2]["delivered"] == "no"
    assert "secret" not in json.dumps(told)


async def events(file: Path, count: int) -> list[Any]:
    """What a log says; a thread writes it."""
    async with asyncio.timeout(10):
        while len(lines := await asyncio.to_thread(_lines, file)) < count:
            await asyncio.sleep(0.02)
    return [json.loads(line) for line in lines]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()
