"""What brokers carry between regions and hand to their clients, recorded and read."""

from __future__ import annotations

import re

from longreach.testing import Region
from longreach.testing.proxy import Direction

_MESSAGE = re.compile(rb"(?:RMSG|HMSG|LMSG|MSG|PUB|HPUB) (?:\S+ )?(lr\.\S+)")
"""A line that brings a message, to or from a broker; interest (RS+) brings none."""


class Wiretap:
    """Keeps every byte that passes between regions; give `hear` to `Regions` as its tap."""

    def __init__(self) -> None:
        self._heard = bytearray()

    def hear(self, _: Direction, data: bytes) -> None:
        self._heard += data

    def __len__(self) -> int:
        return len(self._heard)

    def holds(self, word: bytes) -> bool:
        return word in self._heard

    def messages(self) -> set[str]:
        """The subjects of ours of all messages that passed."""
        return subjects(bytes(self._heard))


def subjects(heard: bytes) -> set[str]:
    return {found.group(1).decode() for found in _MESSAGE.finditer(heard)}


def traces(region: Region) -> list[bytes]:
    """What each broker of a region, which traces, has received and sent: protocol lines and bodies."""
    return [broker.log_file.read_bytes() for broker in region.brokers]
