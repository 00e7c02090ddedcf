"""Requests that are none, each with the id under which it is answered; None: it is null or unreadable."""

from __future__ import annotations

from typing import Any


def line_of(request_id: str, rest: str = '"method": "ping"') -> bytes:
    return f'{{"jsonrpc": "2.0", "id": {request_id}, {rest}}}'.encode()


DEEP = "[" * 5_000 + "]" * 5_000
MALFORMED: list[tuple[bytes, Any]] = [
    (line_of("1.5"), None),
    (line_of("null"), None),
    (line_of("true"), None),
    (line_of("[1]"), None),
    (line_of('{"a": 1}'), None),
    (line_of(DEEP), None),
    (line_of("9", '"method": 5'), 9),
    (line_of("9", '"methods": "ping"'), 9),
    (line_of("9", '"method": "tools/call", "params": [1]'), 9),
    (line_of("9", '"method": "tools/call", "params": 3'), 9),
    (line_of("9", '"method": "tools/call", "params": {"name": "t", "arguments": {"x": NaN}}'), None),
    (line_of("9", '"method": "tools/call", "params": {"name": "t", "arguments": {"x": ' + DEEP + "}}"), None),
    (b'{"id": 9, "method": "ping"}', 9),
    (b'{"jsonrpc": "1.0", "id": 9, "method": "ping"}', 9),
    (b'{"jsonrpc": 2.0, "id": 9, "method": "ping"}', 9),
    (b"[]", None),
    (b'[{"jsonrpc": "2.0", "id": 9, "method": "ping"}]', None),
    (b"3", None),
    (b"{", None),
    (b"ping", None),
    (b'{"jsonrpc": "2.0", "id": 9, "method": "pi\xffng"}', None),
    (b'\xef\xbb\xbf{"jsonrpc": "2.0", "id": 9, "method": "ping"}', None),
]
