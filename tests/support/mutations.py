"""Requests for a gateway that are a little wrong, or very: each is made of a seed, and can be made again."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.gateways import encode, headers_for, message

_JUNK: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, 1e308, "", "x", "\u0000", "\ud83d\ude00", "a" * 2000, [], {}, [[]],
    {"a": {"b": [1, None]}}, "=?base64?SGk=?=", "../../etc/passwd", "__proto__",
)  # fmt: skip
_BYTES = (
    b"\x00",
    b"\xff",
    b"\xc3\x28",
    b"\r\n",
    b"\n",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[" * 300,
    b"9" * 400,
    b"\xed\xa0\x80",
)
_VALUES = (
    "", " ", "x", "*", "2025-11-25", "2099-01-01", "2026-07-28", "tools/call", "=?base64?!!?=", "null",
    "=?base64?SGk=?=", "\xff\xfe", "a" * 3000, "-1", "99999999999999999999", "Bearer x",
    "gzip", "chunked", "\t", "a,b;q=0",
)  # fmt: skip
_NAMES = (
    "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region", "mcp-session-id", "last-event-id",
    "accept", "content-type", "origin", "authorization", "content-encoding", "x-forwarded-for", "cookie",
    "te", "traceparent", "forwarded", "range", "if-none-match", "upgrade", "connection",
    "proxy-authorization",
)  # fmt: skip
_PATHS = (
    "/mcp/", "/mcp/none", "/mcp/docs/", "/mcp/docs/x", "/mcp//", "/mcp/%2e%2e", "/mcp/%00", "/mcp/%ff", "/",
    "/mcp%2f", "/mcp?server=docs", "/mcp?server=", "/mcp?tag=x&tag=y", "/mcp?region=mars", "/mcp?a=b",
    "/mcp?" + "&" * 60, "/mcp?server=%ff", "/healthz", "/readyz", "/.well-known/oauth-protected-resource",
    "/mcp/" + "d" * 3000, "*", "http://127.0.0.1/mcp", "/mcp#x",
)  # fmt: skip
_METHODS = ("GET", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "post", "QUERY", "XYZ")
_ERAS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
_LEGACY = 0.1
_WITH_TOKEN = 0.7
TOKEN = "fuzz-0123456789abcdef"
"""Of most attacks; a gateway may know it, or not ask for any."""


@dataclass
class Attack:
    """One request: what is written, in how many pieces, and what becomes of the connection.

    Attributes:
        seed: makes the very same one again.
        data: the bytes.
        pieces: where they are cut.
        leave: close the connection after the last piece, without reading.
        is_whole: whether HTTP owes it an answer; else the connection may just end.
        method: of the request line.
    """

    seed: int
    data: bytes = b""
    pieces: list[int] = field(default_factory=list)
    leave: bool = False
    is_whole: bool = True
    method: str = "POST"


class _Maker:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.attack = Attack(seed)
        self.path = self.random.choice(("/mcp", "/mcp", "/mcp/docs"))
        self.head = b" HTTP/1.1\r\n"
        request = self._base()
        self.headers: list[tuple[str, str]] = list(headers_for(request).items())
        if self.random.random() < _LEGACY:
            request = self._legacy_base()
            self.headers = [*self.headers[:2], ("mcp-protocol-version", self.random.choice(_ERAS))]
        if self.random.random() < _WITH_TOKEN:
            self.headers.append(("authorization", f"Bearer {TOKEN}"))
        self.body = encode(request)
        self.chunks: list[bytes] | None = None
        self.length: int | str | None = None

    def _base(self) -> dict[str, Any]:
        prefix = "" if self.path == "/mcp/docs" else "docs__"
        call = {"text": self._text(), "region": "eu", "to": 3}
        name = prefix + self.random.choice(("echo", "count", "fail", "mirrored", "none"))
        return self.random.choice(
            (
                message("tools/call", {"name": name, "arguments": call}, self.random.choice((1, "a", 2**53))),
                message("tools/call", {"name": name, "arguments": call, "_meta": {"progressToken": 1}}),
                message("tools/list"),
                message("server/discover"),
                message("prompts/list", {"cursor": "x"}),
                message("prompts/get", {"name": "docs__p", "arguments": {"a": "b"}}),
                message("resources/read", {"uri": "file:///ä"}),
                message("resources/templates/list"),
                message("completion/complete", {"ref": {"type": "ref/prompt", "name": "p"}}),
                message("tools/dance"),
                message("notifications/cancelled", {"requestId": 1}),
            )
        )

    def _legacy_base(self) -> dict[str, Any]:
        """A request of a client of 2025, which has a session, or wants one."""
        client = {"name": "tests", "version": "1"}
        hello = {"protocolVersion": self.random.choice(_ERAS), "capabilities": {}, "clientInfo": client}
        method, params = self.random.choice(
            (
                ("initialize", hello),
                ("tools/list", {}),
                ("ping", {}),
                ("tools/call", {"name": "docs__echo", "arguments": {"text": "x"}}),
                ("logging/setLevel", {"level": "debug"}),
                ("resources/subscribe", {"uri": "file:///x"}),
            )
        )
        request = {"jsonrpc": "2.0", "id": self.random.choice((1, "a")), "method": method, "params": params}
        if self.random.random() < 0.2:
            del request["id"]
        return request

    def _text(self) -> str:
        return "".join(
            self.random.choice(string.printable + "äß\u2028😀") for _ in range(self.random.randrange(40))
        )

    # What can be wrong with a body

    def flip_bytes(self) -> None:
        data = bytearray(self.body)
        for _ in range(self.random.randint(1, 8)):
            if data:
                data[self.random.randrange(len(data))] = self.random.randrange(256)
        self.body = bytes(data)

    def cut_body(self) -> None:
        self.body = self.body[: self.random.randrange(len(self.body) + 1)]

    def insert_bytes(self) -> None:
        at = self.random.randrange(len(self.body) + 1)
        self.body = self.body[:at] + self.random.choice(_BYTES) + self.body[at:]

    def repeat_body(self) -> None:
        self.body = self.random.choice(
            (self.body * 2, b"[" + self.body + b"," + self.body + b"]", self.body + b"\n")
        )

    def replace_member(self) -> None:
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return
        place, key = document, None
        while isinstance(place, dict | list) and place and (key is None or self.random.random() < 0.7):
            parent, key = (
                place,
                self.random.choice(list(place) if isinstance(place, dict) else range(len(place))),
            )
            place = parent[key]
        if key is None:
            return
        if self.random.random() < 0.3:
            del parent[key]
        elif isinstance(parent, dict) and self.random.random() < 0.2:
            parent[self._text()] = parent.pop(key)
        else:
            parent[key] = self.random.choice(_JUNK)
        self.body = json.dumps(document, ensure_ascii=self.random.random() < 0.5).encode(errors="replace")

    def nest_deeply(self) -> None:
        depth = self.random.choice((50, 500, 5000))
        inner = (
            b"[" * depth + b"]" * depth
            if self.random.random() < 0.5
            else b'{"a":' * depth + b"1" + b"}" * depth
        )
        self.body = self.body.replace(b'"arguments": {', b'"arguments": {"deep": ' + inner + b", ", 1)

    def grow(self) -> None:
        self.body = self.body.replace(
            b"}", b',"x":"' + b"y" * self.random.choice((1000, 30_000, 120_000)) + b'"}', 1
        )

    def random_body(self) -> None:
        self.body = self.random.randbytes(self.random.randrange(200))

    # What can be wrong with a head

    def drop_header(self) -> None:
        if self.headers:
            self.headers.pop(self.random.randrange(len(self.headers)))

    def double_header(self) -> None:
        if self.headers:
            name, value = self.random.choice(self.headers)
            self.headers.append((name, self.random.choice((value, self.random.choice(_VALUES)))))

    def change_header(self) -> None:
        if self.headers:
            at = self.random.randrange(len(self.headers))
            self.headers[at] = (self.headers[at][0].upper(), self.random.choice(_VALUES))

    def add_header(self) -> None:
        self.headers.append((self.random.choice(_NAMES), self.random.choice(_VALUES)))

    def many_headers(self) -> None:
        self.headers += [(f"x-{number}", "y" * self.random.randrange(50)) for number in range(200)]

    def bad_header(self) -> None:
        self.headers.append((self.random.choice(("a b", "", "é", "a\x00", ":", "a\r\nb")), "x"))
        self.attack.is_whole = False

    def other_host(self) -> None:
        self.headers.insert(
            0, ("host", self.random.choice(("evil.example.com", "", "[::1", "a" * 300, "127.0.0.1:x")))
        )

    def other_path(self) -> None:
        self.path = self.random.choice(_PATHS)

    def other_method(self) -> None:
        self.attack.method = self.random.choice(_METHODS)
        self.attack.is_whole = False

    def other_protocol(self) -> None:
        self.head = self.random.choice(
            (b" HTTP/1.0\r\n", b" HTTP/9.9\r\n", b"\r\n", b" HTTP/1.1\n", b" XTTP/1.1\r\n")
        )
        self.attack.is_whole = False

    # What can be wrong with the framing

    def chunked(self) -> None:
        rest, self.chunks = self.body, []
        while rest:
            size = self.random.randint(1, 60)
            self.chunks.append(rest[:size])
            rest = rest[size:]

    def wrong_length(self) -> None:
        self.length = self.random.choice(
            (0, len(self.body) + 7, max(0, len(self.body) - 3), -1, "x", 10**25, "")
        )
        self.attack.is_whole = False

    def pieces(self) -> None:
        self.attack.pieces = sorted(self.random.randrange(1, 400) for _ in range(self.random.randint(1, 5)))

    def leave(self) -> None:
        self.attack.leave = True

    def finish(self) -> Attack:
        lines = [self.attack.method.encode(), b" ", self.path.encode("latin-1", "replace"), self.head]
        if not any(name.lower() == "host" for name, _ in self.headers):
            self.headers.append(("host", "127.0.0.1"))
        body = self.body
        if self.chunks is not None:
            self.headers.append(("transfer-encoding", "chunked"))
            body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in self.chunks)
            body += self.random.choice((b"0\r\n\r\n", b"0\r\n\r\n", b"0\r\n\r\n", b"zz\r\n\r\n"))
            self.attack.is_whole = self.attack.is_whole and not body.endswith(b"zz\r\n\r\n")
        else:
            self.headers.append(("content-length", str(len(body) if self.length is None else self.length)))
        for name, value in self.headers:
            lines.append(f"{name}: {value}\r\n".encode("latin-1", "replace"))
        self.attack.data = b"".join([*lines, b"\r\n", body])
        return self.attack


_WAYS: tuple[Callable[[_Maker], None], ...] = tuple(
    value
    for name, value in vars(_Maker).items()
    if callable(value) and not name.startswith("_") and name != "finish"
)


def attack(seed: int) -> Attack:
    """The attack of that seed: a request with up to four things wrong with it."""
    maker = _Maker(seed)
    count = maker.random.choices(range(5), weights=(2, 4, 3, 2, 1))[0]
    for way in maker.random.choices(_WAYS, k=count):
        way(maker)
    return maker.finish()
