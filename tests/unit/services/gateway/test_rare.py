"""Health is for everybody who reaches the port: one word, and nothing of callers, calls or secrets."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from longreach_gateway.rare import build_rare


@pytest.mark.parametrize(
    ("path", "ready", "answer"),
    [
        ("/healthz", False, (200, "ok\n")),
        ("/readyz", True, (200, "ready\n")),
        ("/readyz", False, (503, "not ready\n")),
    ],
)
def test_health_is_one_word(path: str, ready: bool, answer: tuple[int, str]):
    reply = TestClient(build_rare(lambda: ready, None)).get(path)

    assert (reply.status_code, reply.text) == answer
    assert set(reply.headers) <= {"content-length", "content-type"}
