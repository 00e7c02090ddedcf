from __future__ import annotations

import socket
from typing import Any

import pytest

from longreach.cli.listening import open_door
from longreach.errors import ConfigError

V4, V6 = socket.AF_INET, socket.AF_INET6


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[Any]:
    """Let every name resolve to `addresses`; what was asked for."""
    asked: list[Any] = []

    def getaddrinfo(host: str | None, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(V6 if ":" in each else V4, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "::ffff:127.0.0.1"])
def test_a_loopback_address_is_listened_on(host: str):
    with open_door(host, 0, checks_tokens=False) as sock:
        sock.listen()
        assert sock.getsockname()[1] > 0
        assert not sock.getblocking()


@pytest.mark.parametrize("host", ["0.0.0.0", "0", "", "::", "[::]"])
def test_every_address_is_not_listened_on_without_tokens(host: str):
    with pytest.raises(ConfigError, match="--anonymous"):
        open_door(host, 0, checks_tokens=False)


@pytest.mark.parametrize("given", [{"checks_tokens": True}, {"checks_tokens": False, "anonymous": True}])
def test_every_address_is_listened_on_where_its_owner_said_enough(given: dict[str, bool]):
    with open_door("0.0.0.0", 0, **given) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"


def test_a_name_of_a_loopback_and_of_another_address_is_open(monkeypatch: pytest.MonkeyPatch):
    resolving(monkeypatch, "127.0.0.1", "192.0.2.1")

    with pytest.raises(ConfigError, match=r"'both' \(192\.0\.2\.1\)"):
        open_door("both", 0, checks_tokens=False)


def test_a_name_is_resolved_once_so_that_what_was_judged_is_listened_on(monkeypatch: pytest.MonkeyPatch):
    asked = resolving(monkeypatch, "127.0.0.1")

    with open_door("rebound", 0, checks_tokens=False) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
    assert asked == ["rebound"]


@pytest.mark.parametrize("host", ["no.such.host.invalid", "\ud800", "x" * 300, "300.1.1.1"])
def test_a_host_that_is_none_is_said(host: str, monkeypatch: pytest.MonkeyPatch):
    if host.endswith("invalid"):

        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError, match="cannot be listened on"):
        open_door(host, 0, checks_tokens=True)


def test_a_port_that_is_taken_is_said():
    with open_door("127.0.0.1", 0, checks_tokens=False) as sock:
        sock.listen()
        with pytest.raises(ConfigError, match="cannot be listened on: Address already in use"):
            open_door("127.0.0.1", sock.getsockname()[1], checks_tokens=False)
