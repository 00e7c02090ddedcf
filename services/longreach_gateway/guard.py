"""From which pages, and under which names, the gateway may be asked: against DNS rebinding.

A page of any web site can make its visitor's browser send requests to a gateway on the visitor's machine.
The browser says so in `Origin`, and a name that the attacker lets point to 127.0.0.1 shows in `Host`.

Source: MCP 2026-07-28 basic/transports/streamable-http, Security & Endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from longreach.errors import ConfigError
from longreach.policy.exposure import is_loopback

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
ANY = "*"
_MAX_KNOWN = 1024


class Guard:
    """Says which `Host` and `Origin` may ask.

    Args:
        bound_to: the address that is listened on. On a loopback address only loopback names may ask, and
            those that are allowed by name; elsewhere any name may, unless some are allowed by name.
        public_url: the gateway's URL for clients; its host and origin may ask.
        hosts: further hosts: ``name`` with any port, ``name:port``, or ``*``.
        origins: further origins: ``scheme://name:port``, ``scheme://name:*``, or ``*``.

    Raises:
        ConfigError: an origin is none.
    """

    def __init__(
        self,
        bound_to: str,
        public_url: str | None = None,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
    ) -> None:
        named = [host.lower() for host in hosts]
        local = is_loopback(bound_to)
        self._any_host = ANY in named or not (local or named)
        self._any_origin = ANY in (wanted := [_origin(each) for each in origins])
        allowed_hosts, allowed_origins = set(named), set(wanted)
        if local:
            allowed_hosts |= set(LOOPBACK_HOSTS)
            allowed_origins |= {
                f"{scheme}://{host}:*" for scheme in ("http", "https") for host in LOOPBACK_HOSTS
            }
        if public_url is not None:
            parts = urlsplit(public_url)
            allowed_hosts.add(parts.netloc.lower())
            allowed_origins.add(f"{parts.scheme}://{parts.netloc}".lower())
        self._hosts = frozenset(allowed_hosts)
        self._origins = frozenset(allowed_origins)
        self._known_hosts: set[bytes] = set()

    def host_allowed(self, host: bytes | None) -> bool:
        """Whether requests under this name may be answered; one without a name may where any may."""
        if host in self._known_hosts:
            return True
        if host is None or not self._matches(host):
            return self._any_host
        if len(self._known_hosts) < _MAX_KNOWN:
            self._known_hosts.add(host)
        return True

    def origin_allowed(self, origin: bytes) -> bool:
        """Whether pages of this origin may ask."""
        text = origin.decode("latin-1").lower()
        name, _, port = text.rpartition(":")
        return (
            self._any_origin
            or text in self._origins
            or f"{name if port.isdigit() else text}:*" in self._origins
        )

    def _matches(self, host: bytes) -> bool:
        text = host.decode("latin-1").lower()
        name, _, port = text.rpartition(":")
        return text in self._hosts or (port.isdigit() and name in self._hosts)


def _origin(text: str) -> str:
    if text == ANY:
        return text
    parts = urlsplit(text)
    if not parts.scheme or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ConfigError(f"{text!r} is no origin: write scheme://host or scheme://host:port, or *")
    return f"{parts.scheme}://{parts.netloc}".lower()
