"""A mesh whose strings a test pulls, and requests as clients send them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from longreach.front.source import OnNote
from longreach.policy.catalog import Catalog
from longreach.wire.frames import Announcement
from longreach.wire.incoming import Incoming, decode_incoming
from longreach.wire.jsonrpc import encode_result
from longreach.wire.manifest import Bundle, Definition, Offer, build_bundle

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def request(method: str, request_id: int | str = 1, *, meta: Any = META, **params: Any) -> Incoming:
    """A request; its members have spaces between them, so that untouched bytes show."""
    body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": {**params, "_meta": meta}}
    return decode_incoming(json.dumps(body).encode())


def tool(name: str, description: str = "", **more: Any) -> Definition:
    definition = {"name": name, "inputSchema": {"type": "object"}, **more}
    if description:
        definition["description"] = description
    return Definition(name, json.dumps(definition).encode())


def prompt(name: str, **more: Any) -> Definition:
    return Definition(name, json.dumps({"name": name, **more}).encode())


def resource(uri: str, **more: Any) -> Definition:
    return Definition(uri, json.dumps({"uri": uri, "name": uri[-5:], **more}).encode())


def template(uri: str, **more: Any) -> Definition:
    return Definition(uri, json.dumps({"uriTemplate": uri, "name": uri[-5:], **more}).encode())


def bundle(server: str, version: str = "1.0.0", instructions: str | None = None, **offer: Any) -> Bundle:
    return build_bundle(
        server, version, title=None, instructions=instructions, offer=Offer(**{"ttl_ms": 5000, **offer})
    )


class Forwarded:
    """A request that the front has sent on."""

    def __init__(self, server: str, body: bytes, **how: Any) -> None:
        self.server = server
        self.body = body
        self.method: str = how["method"]
        self.name: str | None = how["name"]
        self.how = how

    @property
    def params(self) -> dict[str, Any]:
        params: dict[str, Any] = json.loads(self.body)["params"]
        return params


class StringMesh:
    """What a front needs of a mesh: its catalog changes when a test says so.

    Attributes:
        sent: the requests that were forwarded.
        answer: makes the response to one; or raises.
        learning: awaited by `learn`.
        subscribed: (server, uri) of each resource that is subscribed to, as often as it is.
    """

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.sent: list[Forwarded] = []
        self.answer: Callable[[Forwarded], bytes] = _echo
        self.learned: list[str | None] = []
        self.learning: Callable[[str | None], Any] | None = None
        self.residency: Sequence[str] | None = None
        self._seq = 0
        self._on_catalog: list[Callable[[Catalog, Catalog], None]] = []
        self._on_updated: list[tuple[str, str, Callable[[], None]]] = []
        self._on_close: list[Callable[[], None]] = []

    @property
    def subscribed(self) -> list[tuple[str, str]]:
        return [(server, uri) for server, uri, _ in self._on_updated]

    @property
    def watchers(self) -> int:
        return len(self._on_catalog) + len(self._on_close)

    def up(
        self, offered: Bundle, *, region: str = "eu", instance: str = "1", version: str = "1.0.0",
        server: str = "docs", fetched: bool = True,
    ) -> None:  # fmt: skip
        """A node announces a server; `fetched`: what it offers is known at once."""
        self._announce(server, offered.digest, region, instance, version, "up")
        if fetched:
            self.fetch(offered)

    def fetch(self, offered: Bundle) -> None:
        """What was announced becomes known."""
        catalog = self.catalog.with_blobs({offered.digest: offered.manifest})
        self._replace(catalog.with_blobs(offered.blobs))

    def down(self, *, server: str = "docs", region: str = "eu", instance: str = "1") -> None:
        self._announce(server, "gone", region, instance, "1.0.0", "down")

    def update(self, server: str, uri: str) -> None:
        """A node says that a resource has changed."""
        for known_server, known_uri, listener in tuple(self._on_updated):
            if (known_server, known_uri) == (server, uri):
                listener()

    def close(self) -> None:
        for listener in tuple(self._on_close):
            listener()

    async def learn(self, server: str | None = None) -> Catalog:
        self.learned.append(server)
        if self.learning is not None:
            await self.learning(server)
        return self.catalog

    async def forward(
        self, server: str, request: bytes, *, method: str, name: str | None, caller: str | None = None,
        on_note: OnNote | None = None, timeout_s: float | None = None, to_node: str | None = None,
        headers: Callable[[], dict[str, str]] | None = None,
    ) -> bytes:  # fmt: skip
        await asyncio.sleep(0)
        sent = Forwarded(
            server, request, method=method, name=name, caller=caller, on_note=on_note, timeout_s=timeout_s,
            to_node=to_node, headers=headers,
        )  # fmt: skip
        self.sent.append(sent)
        return self.answer(sent)

    def options(self, *, residency: Sequence[str] | None) -> StringMesh:
        self.residency = residency
        return self

    def on_catalog(self, listener: Callable[[Catalog, Catalog], None]) -> Callable[[], None]:
        self._on_catalog.append(listener)
        return lambda: self._on_catalog.remove(listener)

    def on_updated(self, server: str, uri: str, listener: Callable[[], None]) -> Callable[[], None]:
        entry = (server, uri, listener)
        self._on_updated.append(entry)
        return lambda: self._on_updated.remove(entry)

    def on_close(self, listener: Callable[[], None]) -> Callable[[], None]:
        self._on_close.append(listener)
        return lambda: self._on_close.remove(listener)

    def _announce(
        self, server: str, digest: str, region: str, instance: str, version: str, state: str
    ) -> None:
        self._seq += 1
        announcement = Announcement(
            server=server, version=version, digest=digest, region=region, identity="n", instance=instance,
            state=state, seq=self._seq, clock_ms=0,
        )  # fmt: skip
        self._replace(self.catalog.apply(announcement))

    def _replace(self, catalog: Catalog) -> None:
        before, self.catalog = self.catalog, catalog
        if before is not catalog:
            for listener in tuple(self._on_catalog):
                listener(before, catalog)


def _echo(sent: Forwarded) -> bytes:
    """A result that says where the request went."""
    request_id = json.loads(sent.body)["id"]
    return encode_result(request_id, {"server": sent.server, "name": sent.name, "resultType": "complete"})
