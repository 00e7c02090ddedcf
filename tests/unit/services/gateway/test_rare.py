"""Health is for everybody who reaches the port: one word, and nothing of callers, calls or secrets."""

from __future__ import annotations

from typing import Any

import pytest

from longreach_gateway.rare import build_rare


@pytest.mark.parametrize(
    ("path", "ready", "answer"),
    [
        ("/healthz", False, (200, b"ok\n")),
        ("/readyz", True, (200, b"ready\n")),
        ("/readyz", False, (503, b"not ready\n")),
    ],
)
async def test_health_is_one_word(path: str, ready: bool, answer: tuple[int, bytes]):
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [], "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1), "root_path": "",
    }  # fmt: skip
    await build_rare(lambda: ready, None)(scope, receive, send)

    head, *bodies = sent
    assert (head["status"], b"".join(body["body"] for body in bodies)) == answer
    assert {name for name, _ in head["headers"]} <= {b"content-length", b"content-type"}
