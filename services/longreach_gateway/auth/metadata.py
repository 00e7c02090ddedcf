"""Protected-resource metadata (RFC 9728): where clients read which authorization server to ask."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import msgspec

WELL_KNOWN = "/.well-known/oauth-protected-resource"


class Resources:
    """What tokens are for.

    Args:
        public_url: the gateway's URL for clients, without a path of ours.
        issuer: the authorization server.
        audiences: what tokens may be for; none: the gateway's URL, its `/mcp`, or the very URL that is asked.
        scopes: what every token must allow.
    """

    def __init__(
        self, public_url: str, issuer: str | None, audiences: tuple[str, ...], scopes: frozenset[str]
    ) -> None:
        self._public_url = public_url.rstrip("/")
        self._issuer = issuer
        self._audiences = frozenset(audiences)
        self._scopes = sorted(scopes)
        base = urlsplit(self._public_url)
        self._origin = f"{base.scheme}://{base.netloc}"
        self._prefix = base.path

    def audiences(self, path: str) -> frozenset[str]:
        """What a token may be for that is shown at `path`."""
        if self._audiences:
            return self._audiences
        here = f"{self._public_url}{quote(path.rstrip('/'))}"
        return frozenset({self._public_url, f"{self._public_url}/", f"{self._public_url}/mcp", here})

    def metadata_url(self, path: str) -> str:
        """Where the metadata of what is at `path` are; fit for a header, whatever the path holds."""
        return f"{self._origin}{WELL_KNOWN}{self._prefix}{quote(path.rstrip('/'))}"

    def metadata(self, path: str) -> bytes:
        """The metadata of what is at `path`; empty: of the gateway as a whole."""
        document: dict[str, object] = {
            "resource": f"{self._public_url}{quote(path)}",
            "bearer_methods_supported": ["header"],
            "resource_name": "longreach gateway",
        }
        if self._issuer is not None:
            document["authorization_servers"] = [self._issuer]
        if self._scopes:
            document["scopes_supported"] = self._scopes
        return msgspec.json.encode(document)

    def path_of(self, well_known_path: str) -> str:
        """What a metadata URL's path is about."""
        path = well_known_path.removeprefix(WELL_KNOWN)
        if self._prefix and path.startswith(self._prefix):
            path = path.removeprefix(self._prefix)
        return path.rstrip("/")
