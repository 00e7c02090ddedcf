from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.asgi import World
from tests.support.gateways import encode, headers_for, message
from tests.support.jwts import ISSUER, Signer, jwks

from longreach_gateway.auth.authenticator import Authenticator
from longreach_gateway.auth.jwts import JwtVerifier
from longreach_gateway.auth.keys import FileSource, KeyRing
from longreach_gateway.auth.metadata import Resources
from longreach_gateway.auth.tokens import TokenFile

LIST = message("tools/list")
STATIC = "0123456789abcdef"
SIGNER = Signer("k1")
PUBLIC = "https://mcp.example.com"
METADATA = f"{PUBLIC}/.well-known/oauth-protected-resource"


class Door:
    """A world with tokens, and a clock that can be moved."""

    def __init__(
        self,
        make_world: Any,
        folder: Path,
        *,
        static: bool = True,
        jwt: bool = True,
        scopes: tuple[str, ...] = (),
        audiences: tuple[str, ...] = (),
        public: str = PUBLIC,
    ) -> None:
        self.now = 0.0
        self.loads = 0
        (folder / "tokens").write_text(f"carol:{STATIC}\n")
        (folder / "jwks").write_bytes(jwks(SIGNER))
        resources = Resources(public, ISSUER if jwt else None, audiences, frozenset(scopes))
        self.keys = KeyRing(FileSource(str(folder / "jwks")), lambda: self.now, lambda: self.auth.forget())
        self.auth = Authenticator(
            TokenFile(str(folder / "tokens")) if static else None,
            JwtVerifier(self.keys, ISSUER) if jwt else None,
            resources,
            frozenset(scopes),
            lambda: self.now,
        )
        self.world: World = make_world(auth=self.auth, resources=resources if jwt else None)

    async def ask(self, token: str | None, path: str = "/mcp", scheme: str = "Bearer") -> Any:
        more = {} if token is None else {"authorization": f"{scheme} {token}"}
        return await self.world.ask(encode(LIST), headers_for(LIST, **more), path=path)


async def test_a_principal_is_the_caller_of_what_it_asks_for(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path)

    for token in (STATIC, SIGNER.token(sub="dave"), STATIC):
        assert (await door.ask(token)).status == 200
    assert (await door.ask(STATIC, scheme="bearer")).status == 200

    assert [caller for _, caller, _ in door.world.front.asked] == ["carol", "dave", "carol", "carol"]


@pytest.mark.parametrize("token", [None, "", "wrong", "x" * 100, "a.b.c", STATIC[:-1]])
async def test_nobody_else_gets_in(make_world: Any, tmp_path: Path, token: str | None):
    door = Door(make_world, tmp_path)

    reply = await door.ask(token)

    assert reply.status == 401
    challenge = reply.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert f'resource_metadata="{METADATA}/mcp"' in challenge
    assert ('error="invalid_token"' in challenge) == (token is not None)
    assert not door.world.front.asked


async def test_other_schemes_do_not_get_in(make_world: Any, tmp_path: Path):
    assert (await Door(make_world, tmp_path).ask(STATIC, scheme="Basic")).status == 401


async def test_the_challenge_of_static_tokens_names_no_metadata(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path, jwt=False)

    assert (await door.ask(None)).headers["www-authenticate"] == "Bearer"
    assert (await door.ask(SIGNER.token())).status == 401
    assert (
        await door.world.ask(None, {}, path="/.well-known/oauth-protected-resource", method="GET")
    ).status == 404


@pytest.mark.parametrize(
    ("audience", "path", "status"),
    [
        (PUBLIC, "/mcp", 200),
        (f"{PUBLIC}/mcp", "/mcp", 200),
        (f"{PUBLIC}/mcp", "/mcp/docs", 200),
        (f"{PUBLIC}/mcp/docs", "/mcp/docs", 200),
        (f"{PUBLIC}/mcp/docs", "/mcp/other", 401),
        (f"{PUBLIC}/mcp/docs", "/mcp", 401),
        ("https://elsewhere.example.com", "/mcp", 401),
        (["https://elsewhere.example.com", PUBLIC], "/mcp", 200),
    ],
)
async def test_a_token_is_for_what_it_says(
    make_world: Any, tmp_path: Path, audience: Any, path: str, status: int
):
    door = Door(make_world, tmp_path)
    token = SIGNER.token(aud=audience)

    assert [(await door.ask(token, path)).status for _ in range(2)] == [status, status]


async def test_audiences_that_are_named_are_the_only_ones(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path, audiences=("mesh",))

    assert (await door.ask(SIGNER.token(aud="mesh"))).status == 200
    assert (await door.ask(SIGNER.token(aud=PUBLIC))).status == 401


async def test_a_token_that_allows_too_little_is_told_what_it_takes(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path, scopes=("mcp:use", "mcp:list"))

    refused = await door.ask(SIGNER.token(scope="mcp:use"))
    allowed = await door.ask(SIGNER.token(scope="mcp:use mcp:list more"))

    assert (refused.status, allowed.status) == (403, 200)
    challenge = refused.headers["www-authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert 'scope="mcp:list mcp:use"' in challenge
    assert f'resource_metadata="{METADATA}/mcp"' in challenge
    assert (await door.ask(STATIC)).status == 200


async def test_what_is_known_of_a_token_ends_with_it(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path)
    token = SIGNER.token()
    header = f"Bearer {token}".encode()
    assert (await door.ask(token)).status == 200
    assert door.auth.known(header) is not None

    door.now = 10**11
    assert door.auth.known(header) is None


async def test_a_key_that_is_gone_takes_its_tokens_along(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path)
    old, new = SIGNER.token(), Signer("k2")
    assert (await door.ask(old)).status == 200

    (tmp_path / "jwks").write_bytes(jwks(new))
    door.now += 60
    await door.keys.keep_fresh()

    assert (await door.ask(old)).status == 401
    assert (await door.ask(new.token())).status == 200


async def test_what_is_known_is_bounded(make_world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("longreach_gateway.auth.authenticator._MAX_KNOWN", 5)
    door = Door(make_world, tmp_path)
    for number in range(20):
        assert (await door.ask(SIGNER.token(sub=f"u{number}"))).status == 200

    assert len(door.auth._known) == 5


@pytest.mark.parametrize(
    ("public", "asked", "resource"),
    [
        (PUBLIC, "", PUBLIC),
        (PUBLIC, "/mcp", f"{PUBLIC}/mcp"),
        (PUBLIC, "/mcp/docs", f"{PUBLIC}/mcp/docs"),
        (f"{PUBLIC}/tools", "/tools/mcp", f"{PUBLIC}/tools/mcp"),
    ],
)
async def test_clients_read_where_to_get_a_token(
    make_world: Any, tmp_path: Path, public: str, asked: str, resource: str
):
    door = Door(make_world, tmp_path, scopes=("mcp:use",), public=public)

    reply = await door.world.ask(None, {}, path=f"/.well-known/oauth-protected-resource{asked}", method="GET")

    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert json.loads(reply.body) == {
        "resource": resource,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "resource_name": "longreach gateway",
        "scopes_supported": ["mcp:use"],
    }


async def test_the_challenge_of_a_gateway_below_a_path_leads_to_its_metadata(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path, public=f"{PUBLIC}/tools")

    challenge = (await door.ask(None, "/mcp/docs")).headers["www-authenticate"]

    assert f'resource_metadata="{METADATA}/tools/mcp/docs"' in challenge


@pytest.mark.parametrize("path", ["/mcp/\r\nx: y", '/mcp/"', "/mcp/\x00", "/mcp/ä"])
async def test_a_path_of_any_kind_is_fit_for_the_challenge(make_world: Any, tmp_path: Path, path: str):
    challenge = (await Door(make_world, tmp_path).ask(None, path)).headers["www-authenticate"]

    assert challenge.isascii()
    assert challenge.isprintable()
    assert challenge.count('"') == 2


async def test_metadata_are_about_places_where_mcp_is_spoken(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path)

    reply = await door.world.ask(None, {}, path="/.well-known/oauth-protected-resource/other", method="GET")

    assert reply.status == 404


async def test_each_principal_has_its_own_share(make_world: Any, tmp_path: Path):
    door = Door(make_world, tmp_path)
    done = asyncio.Event()
    default = door.world.front.handler

    async def wait(request: Any, on_note: Any) -> Any:
        await done.wait()
        return default(request, on_note)

    door.world.front.handler = wait
    head = headers_for(LIST, authorization=f"Bearer {STATIC}")
    clients = [door.world.start(encode(LIST), head) for _ in range(10)]
    async with asyncio.timeout(30):
        while len(door.world.front.asked) < 10:
            await asyncio.sleep(0)

    refused = await door.ask(STATIC)
    done.set()
    other = await door.ask(SIGNER.token())

    assert (refused.status, refused.headers["retry-after"], refused.json["id"]) == (429, "1", 1)
    assert other.status == 200
    assert [(await client.end()).status for client in clients] == [200] * 10
    assert (await door.ask(STATIC)).status == 200


async def test_bodies_that_never_end_count_for_their_principal_alone(make_world: Any, tmp_path: Path):
    """They are read before anything is asked; one principal must not take every place of the gateway."""
    door = Door(make_world, tmp_path)
    head = headers_for(LIST, authorization=f"Bearer {STATIC}")
    slow = []
    for _ in range(10):
        client = door.world.start(None, head)
        client.feed(encode(LIST)[:5], more=True)
        slow.append(client)
    async with asyncio.timeout(5):
        while sum(door.world.limits._reading.values()) < 10:
            await asyncio.sleep(0)

    refused = await door.ask(STATIC)
    other = await door.ask(SIGNER.token())
    for client in slow[:5]:
        client.feed(encode(LIST)[5:], more=False)
    for client in slow[5:]:
        client.disconnect()

    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert other.status == 200
    assert [(await client.end()).status for client in slow[:5]] == [200] * 5
    for client in slow[5:]:
        await client.end()
    assert door.world.limits._reading == {}
    assert (await door.ask(STATIC)).status == 200
