"""Where a request is posted to: the whole mesh, one of its servers, or a part of it that a query names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from longreach.errors import ConfigError
from longreach.front.filters import Filters
from longreach.wire import codes
from longreach_gateway.answers import Refusal

if TYPE_CHECKING:
    from longreach.front.front import Front

MESH = "/mcp"
_MOST = 256
"""Doors that are kept; of more, the oldest are closed that have a query and that nobody listens at."""
_MAX_FIELDS = 20
_FILTERS = frozenset({"server", "tag", "region"})

Query = dict[str, frozenset[str]]


class Doors:
    """The fronts behind the paths and queries that were asked for.

    Args:
        make: makes the front of a server, or with None of the mesh.
        filters: the part of the mesh that may be offered at all; a query narrows it.
    """

    def __init__(self, make: Callable[[str | None, Filters], Front], filters: Filters) -> None:
        self._make = make
        self._filters = filters
        self._open: dict[tuple[str, bytes], Front] = {}

    def known(self, path: str, query: bytes) -> Front | None:
        """A front that was made before: the fast way."""
        return self._open.get((path, query))

    def find(self, path: str, query: bytes) -> Front:
        """The front of a path and query.

        Raises:
            Refusal: there is none.
        """
        front = self._open.get((path, query))
        if front is None:
            front = self._new(path, query)
            self._make_room()
            self._open[path, query] = front
        return front

    def front_for(self, server: str | None) -> Front:
        """The front of a server, or of the mesh, without a query.

        Raises:
            Refusal: there is none.
        """
        return self.find(MESH if server is None else f"{MESH}/{server}", b"")

    def close(self) -> None:
        """End everything that is listened to, each with its response."""
        for front in self._open.values():
            front.close()

    def _new(self, path: str, query: bytes) -> Front:
        server = server_of(path)
        filters = narrow(self._filters, parse_query(query))
        try:
            front = self._make(server, filters)
        except ConfigError as error:
            raise Refusal(403, codes.INVALID_REQUEST, str(error)) from None
        if server is not None and not (filters.allow_server(server) and front.is_there):
            front.close()
            text = f"no server of the mesh is called {server[:100]!r} just now"
            raise Refusal(404, codes.INVALID_PARAMS, text)
        return front

    def _make_room(self) -> None:
        idle = (key for key, front in self._open.items() if key[1] and not front.listeners)
        for key in list(idle)[: len(self._open) + 1 - _MOST]:
            self._open.pop(key).close()


def is_door(path: str) -> bool:
    """Whether a path is one of those where MCP is spoken."""
    return path == MESH or path.startswith(MESH + "/")


def server_of(path: str) -> str | None:
    """The server that a path names; None: the mesh.

    Raises:
        Refusal: the path goes deeper than that.
    """
    name = path.removeprefix(MESH).removeprefix("/").removesuffix("/")
    if "/" in name:  # one way to write each, or they could not be counted
        raise Refusal(404, codes.INVALID_PARAMS, f"MCP is spoken at {MESH} and at {MESH}/<server>, not here")
    return name or None


def parse_query(query: bytes) -> Query:
    """What a query narrows an offer to.

    Raises:
        Refusal: it holds something else.
    """
    found: Query = {}
    if not query:
        return found
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise Refusal(400, codes.INVALID_REQUEST, "the query cannot be read") from None
    for key, value in pairs:
        values = frozenset(part for part in value.split(",") if part)
        if key not in _FILTERS or not values:
            text = "a query may hold server=, tag= and region=, each with names and commas between them"
            raise Refusal(400, codes.INVALID_REQUEST, text)
        found[key] = found.get(key, frozenset()) | values
    return found


def narrow(filters: Filters, query: Query) -> Filters:
    """`filters`, and what `query` says as well: it never lets more through than they do."""
    return Filters(
        servers=_both(filters.servers, query.get("server")),
        tags=_both(filters.tags, query.get("tag")),
        regions=_both(filters.regions, query.get("region")),
    )


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
