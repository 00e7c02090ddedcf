from __future__ import annotations

import pytest

from longreach.errors import ConfigError
from longreach_gateway.guard import Guard

LOCAL = Guard("127.0.0.1")
PUBLIC = Guard("0.0.0.0", public_url="https://mcp.example.com", origins=["https://app.example.com"])
STRICT = Guard("0.0.0.0", public_url="https://mcp.example.com", hosts=["inner", "other:81"])
OPEN = Guard("127.0.0.1", hosts=["*"], origins=["*"])


@pytest.mark.parametrize(
    ("guard", "host", "allowed"),
    [
        (LOCAL, b"localhost", True),
        (LOCAL, b"localhost:3000", True),
        (LOCAL, b"127.0.0.1:8808", True),
        (LOCAL, b"[::1]:8808", True),
        (LOCAL, b"LOCALHOST:1", True),
        (LOCAL, b"evil.example.com", False),
        (LOCAL, b"localhost.evil.example.com:80", False),
        (LOCAL, b"localhost:evil", False),
        (LOCAL, b"127.0.0.1.nip.io", False),
        (LOCAL, b"", False),
        (LOCAL, b"\xff", False),
        (LOCAL, None, False),
        (PUBLIC, b"anything", True),
        (PUBLIC, None, True),
        (STRICT, b"mcp.example.com", True),
        (STRICT, b"inner:9999", True),
        (STRICT, b"other:81", True),
        (STRICT, b"other:82", False),
        (STRICT, b"10.0.0.7", False),
        (OPEN, b"anything", True),
    ],
)
def test_it_may_be_asked_by_names_it_is_known_by(guard: Guard, host: bytes | None, allowed: bool):
    assert guard.host_allowed(host) is allowed
    assert guard.host_allowed(host) is allowed  # and by what it remembers


@pytest.mark.parametrize(
    ("guard", "origin", "allowed"),
    [
        (LOCAL, b"http://localhost", True),
        (LOCAL, b"http://localhost:6274", True),
        (LOCAL, b"https://127.0.0.1:1", True),
        (LOCAL, b"http://[::1]:3", True),
        (LOCAL, b"http://evil.example.com", False),
        (LOCAL, b"http://localhost.evil.example.com", False),
        (LOCAL, b"null", False),
        (LOCAL, b"file://", False),
        (LOCAL, b"", False),
        (PUBLIC, b"https://mcp.example.com", True),
        (PUBLIC, b"https://app.example.com", True),
        (PUBLIC, b"http://app.example.com", False),
        (PUBLIC, b"https://app.example.com:8443", False),
        (PUBLIC, b"http://localhost", False),
        (OPEN, b"null", True),
    ],
)
def test_pages_may_ask_that_are_allowed_by_their_origin(guard: Guard, origin: bytes, allowed: bool):
    assert guard.origin_allowed(origin) is allowed


def test_any_port_of_an_origin_can_be_allowed():
    guard = Guard("0.0.0.0", origins=["http://dev.example.com:*"])

    assert guard.origin_allowed(b"http://dev.example.com:3000")
    assert not guard.origin_allowed(b"https://dev.example.com:3000")


@pytest.mark.parametrize("text", ["example.com", "https://example.com/path", "https://", ""])
def test_what_is_no_origin_is_refused(text: str):
    with pytest.raises(ConfigError, match="origin"):
        Guard("127.0.0.1", origins=[text])


def test_what_it_remembers_is_bounded():
    guard = Guard("127.0.0.1")
    for number in range(5000):
        assert guard.host_allowed(f"localhost:{number}".encode())

    assert len(guard._known_hosts) <= 1024
