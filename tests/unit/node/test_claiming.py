"""Claims of users at a node: checked by its keys, bound to the request that they came with."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.asker import META, Asker, request
from tests.support.hosts import node

from longreach import AuthRequest, Context, Server, connect
from longreach.clock import SYSTEM_CLOCK, FakeClock
from longreach.errors import ConfigError
from longreach.policy.claims import HEADER, Bound, Key, Signer, new_pair
from longreach.transport.memory import MemoryBroker

PRIVATE, PUBLIC = new_pair(secrets.token_bytes)
CLAIMS = {"sub": "alice", "groups": ["staff"]}


@pytest.fixture
def keys(tmp_path: Path) -> str:
    file = tmp_path / "claims.pub"
    file.write_text(PUBLIC.line)
    return str(file)


def whoami(seen: list[Any], authorize: Any = None) -> Server:
    server = Server("docs", authorize=authorize)

    @server.tool
    async def whoami(ctx: Context = Context.injected) -> str:
        seen.append(ctx.claims)
        if ctx.claims is not None:
            ctx.claims["groups"].append("admin")  # a handler's copy is its own
        return "ok"

    @server.resource("mem://me")
    async def me(ctx: Context = Context.injected) -> str:
        seen.append(ctx.claims)
        return "me"

    return server


def signed(clock: FakeClock, key: Key = PRIVATE, life_ms: int = 60_000, **bound: str) -> str:
    said = {"namespace": "default", "via": "g1", "caller": "alice", "server": "docs", **bound}
    return Signer(key).sign(Bound(**said), msgspec.json.encode(CLAIMS), clock.wall_ms() + life_ms)


async def ask(asker: Asker, text: str | None, call: str = "1-0-f", what: str = "tools-call.whoami") -> Any:
    body = request("whoami")
    if what != "tools-call.whoami":
        method = what.partition(".")[0].replace("-", "/", 1)
        params = {"uri": "mem://me", "_meta": META}
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    headers = None if text is None else {HEADER: text}
    subject = f"{asker.root}.req.docs._.{asker.asker}.{what}"
    asker.link.send(subject, body, f"{asker.inbox}.{call}", headers)
    return await asker.answer(call)


async def test_a_handler_sees_what_the_gateway_signed(broker: MemoryBroker, keys: str):
    """M17.1"""
    seen: list[Any] = []
    clock, asker = FakeClock(), Asker(broker, asker="g1.alice")
    async with node(broker, whoami(seen), clock=clock, claims_keys_file=keys):
        text = signed(clock)
        for number, what in enumerate(["tools-call.whoami", "tools-call.whoami", "resources-read._"]):
            assert "result" in await ask(asker, text, f"{number}-0-f", what)
        assert "result" in await ask(asker, None, "9-0-f")

    assert seen == [CLAIMS, CLAIMS, CLAIMS, None]


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        ({"caller": "bob"}, "other_request"),
        ({"via": "g2"}, "other_request"),
        ({"server": "bank"}, "other_request"),
        ({"namespace": "acme"}, "other_request"),
        ({"life_ms": -10_000}, "expired"),
        ({"life_ms": 3_600_000}, "expired"),
        ({"key": new_pair(secrets.token_bytes)[0]}, "unknown_key"),
        ({"key": new_pair(secrets.token_bytes)[0]._replace(id=PRIVATE.id)}, "altered"),
    ],
)
@pytest.mark.parametrize("what", ["tools-call.whoami", "resources-read._"])
async def test_claims_that_are_not_valid_here_refuse_the_request(
    broker: MemoryBroker, keys: str, forged: dict[str, Any], why: str, what: str
):
    """M17.3"""
    seen: list[Any] = []
    clock, asker = FakeClock(), Asker(broker, asker="g1.alice")
    async with node(broker, whoami(seen), clock=clock, claims_keys_file=keys):
        error = (await ask(asker, signed(clock, **forged), what=what))["error"]

    assert error["code"] == -31913
    assert error["data"] == {"delivered": "no", "reason": f"claims_{why}"}
    assert "nothing ran" in error["message"]
    assert seen == []


async def test_what_was_valid_once_is_not_valid_for_others_nor_for_ever(broker: MemoryBroker, keys: str):
    """M17.2"""
    seen: list[Any] = []
    clock = FakeClock()
    alice, bob = Asker(broker, asker="g1.alice"), Asker(broker, asker="g1.bob")
    async with node(broker, whoami(seen), clock=clock, claims_keys_file=keys):
        text = signed(clock)
        assert "result" in await ask(alice, text)
        assert (await ask(bob, text))["error"]["data"]["reason"] == "claims_other_request"
        clock.advance(70)
        assert (await ask(alice, text, "2-0-f"))["error"]["data"]["reason"] == "claims_expired"

    assert len(seen) == 1


async def test_without_keys_nobody_looks_at_claims(broker: MemoryBroker):
    """M17.1"""
    seen: list[Any] = []
    asker = Asker(broker, asker="g1.alice")
    async with node(broker, whoami(seen)):
        assert "result" in await ask(asker, "rubbish")

    assert seen == [None]


async def test_the_hook_sees_claims_for_calls_and_for_listings(broker: MemoryBroker, keys: str):
    """M17.5"""

    def staff(request: AuthRequest) -> bool:
        return request.claims is not None and "staff" in request.claims["groups"]

    clock, asker = FakeClock(), Asker(broker, asker="g1.alice")
    async with node(broker, whoami([], staff), clock=clock, claims_keys_file=keys):
        text = signed(clock)
        assert "result" in await ask(asker, text, "1-0-f")
        assert (await ask(asker, None, "2-0-f"))["error"]["data"]["reason"] == "forbidden"
        listed = await ask(asker, text, "3-0-f", "tools-list._")
        assert [tool["name"] for tool in listed["result"]["tools"]] == ["whoami"]
        assert (await ask(asker, None, "4-0-f", "tools-list._"))["result"]["tools"] == []
        wrong = await ask(asker, signed(clock, caller="bob"), "5-0-f", "tools-list._")
        assert wrong["error"]["code"] == -31913


async def test_keys_are_read_again_when_they_change(broker: MemoryBroker, keys: str):
    private, public = new_pair(secrets.token_bytes)
    clock, asker = FakeClock(), Asker(broker, asker="g1.alice")
    async with node(broker, whoami([]), clock=clock, claims_keys_file=keys):
        assert "result" in await ask(asker, signed(clock), "1-0-f")
        replace(keys, "no keys at all")
        clock.advance(2)
        assert "result" in await ask(asker, signed(clock), "2-0-f")
        text = signed(clock)
        assert "result" in await ask(asker, text, "3-0-f")
        replace(keys, public.line)
        clock.advance(2)
        assert "result" in await ask(asker, signed(clock, private), "4-0-f")
        assert (await ask(asker, text, "5-0-f"))["error"]["data"]["reason"] == "claims_unknown_key"


async def test_a_node_does_not_start_without_the_keys_it_was_told_of(broker: MemoryBroker, tmp_path: Path):
    for text in (None, "", PRIVATE.line):
        file = tmp_path / f"keys{text is None}"
        if text is not None:
            file.write_text(text)
        with pytest.raises(ConfigError) as failed:
            async with node(broker, whoami([]), claims_keys_file=str(file)):
                pass
        assert PRIVATE.line not in str(failed.value)


def replace(file: str, text: str) -> None:
    Path(f"{file}.new").write_text(text)
    os.replace(f"{file}.new", file)


async def test_claims_stay_with_a_request_that_goes_in_parts(keys: str):
    """M17.2"""
    broker, seen = MemoryBroker(), []
    broker.max_payload = 64 * 1024
    server = Server("docs")

    @server.tool
    async def measure(text: str, ctx: Context) -> str:
        seen.append((len(text), ctx.claims))
        return "ok"

    params = {"name": "measure", "arguments": {"text": "x" * 200_000}, "_meta": META}
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    bound = Bound("default", "g1", "alice", "docs")
    async with (
        node(broker, server, claims_keys_file=keys),
        connect(link=broker.link(), via="g1", timeout_s=10) as mesh,
    ):
        for caller in ("alice", "bob"):
            answer = await mesh.forward(
                "docs", body, method="tools/call", name="measure", caller=caller,
                headers=lambda: {
                    HEADER: Signer(PRIVATE).sign(
                        bound, msgspec.json.encode(CLAIMS), SYSTEM_CLOCK.wall_ms() + 60_000
                    )
                },
            )  # fmt: skip
            assert (b'"result"' in answer) == (caller == "alice")
            assert (b"claims_other_request" in answer) == (caller == "bob")

    assert seen == [(200_000, CLAIMS)]
