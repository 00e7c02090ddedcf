"""Which resources of a foreign server are worth hearing of.

In the mesh nobody says that he listens to a resource: the broker knows, and nobody else. So a bridge
follows what the foreign server lists, and what was read lately, as far as there is room.
"""

from __future__ import annotations

from collections.abc import Iterable

_MAX_LISTED = 512
_MAX_READ = 512


class Interest:
    """The URIs that are followed."""

    def __init__(self) -> None:
        self._listed: frozenset[str] = frozenset()
        self._read: dict[str, None] = {}

    @property
    def uris(self) -> frozenset[str]:
        """All of them."""
        return self._listed | self._read.keys()

    def listed(self, uris: Iterable[str]) -> None:
        """These are listed now; the first ones are followed."""
        self._listed = frozenset(sorted(uris)[:_MAX_LISTED])

    def read(self, uri: str) -> bool:
        """`uri` was read; whether it was not followed before."""
        is_new = uri not in self._listed and uri not in self._read
        self._read.pop(uri, None)
        self._read[uri] = None
        if len(self._read) > _MAX_READ:
            del self._read[next(iter(self._read))]
        return is_new
