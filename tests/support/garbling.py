"""Copies of captured messages that are wrong: flipped, cut, spliced, swapped, nested, huge, misaddressed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Packet(NamedTuple):
    """One message as the broker carries it."""

    subject: str
    reply: str
    data: bytes
    headers: Mapping[str, str] | None = None


_JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 2**53, 2**63, 2**64, -(10**30), 1e308, "", "x", "\u0000", "\ud83d\ude00",
    "a" * 3000, [], {}, [[]], {"a": {"b": [1, None]}}, ["1-0-f"] * 600, "lr.v1.default.eu.rep._.bob.x.1-0-f",
)  # fmt: skip
_BYTES = (
    b"\x00", b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\r\n", b'"', b"\\", b"\\ud800", b"{", b"}", b",", b":",
    b"[" * 2000, b'{"a":' * 2000, b"9" * 400, b"1e999", b"NaN", b"-", b"\xef\xbb\xbf",
)  # fmt: skip
_TOKENS = (
    "_", "*", ">", "", "=", "==", "=5f", "=zz", "x" * 97, "a" * 600, "none", "v9", "n-zz", "c-1",
    "tools-call", "../..", "\u00e9", "A", " ", "1-0-f", "1-0-n",
    "0-ffffffffffffffff-f", "zz-10000000000000000-f",
    "who", "ops",
)  # fmt: skip
_HEADERS: tuple[Mapping[str, str], ...] = (
    {"Lr": "accepted"}, {"Lr": "note"}, {"Lr": ""}, {"Lr": "x" * 5000}, {"Lr": "part"}, {"lr": "accepted"},
    {"Status": "503"}, {"Status": "100"}, {"Status": "503", "Lr": "note"}, {"X" * 200: "y"},
    {"Lr-Claims": "x"},
    {"traceparent": "00-" + "f" * 32 + "-" + "f" * 16 + "-01"}, {"Content-Encoding": "zstd"},
)  # fmt: skip


class Garbler:
    """Makes wrong copies of `seen`; the same seed makes the same ones.

    Args:
        seen: what was captured.
        seed: of all chance.
    """

    def __init__(self, seen: Sequence[Packet], seed: int) -> None:
        self.seen = list(seen)
        self.random = random.Random(seed)
        self._tokens = sorted({token for packet in seen for token in packet.subject.split(".")})
        self._bodies: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._flip, self._cut, self._splice, self._insert, self._repeat,
            self._member, self._member, self._member, self._swap, self._nest,
            lambda _: b"", lambda _: self.random.randbytes(40),
        )  # fmt: skip

    def packet(self) -> Packet:
        """A wrong copy of any of them; one of twenty is right, and so a duplicate, out of its order."""
        packet = self.random.choice(self.seen)
        if self.random.random() < 0.05:
            return packet
        for _ in range(self.random.choice((1, 1, 1, 2, 3))):
            packet = self._once(packet)
        return packet

    def _once(self, packet: Packet) -> Packet:
        match self.random.choices(("data", "subject", "reply", "headers", "other"), (70, 9, 9, 8, 4))[0]:
            case "data":
                return packet._replace(data=self.random.choice(self._bodies)(packet.data))
            case "subject":
                return packet._replace(subject=self._address(packet.subject))
            case "reply":
                return packet._replace(reply=self._address(packet.reply or packet.subject))
            case "headers":
                return packet._replace(headers=self.random.choice((None, *_HEADERS)))
            case _:  # what one kind of message says, where another kind is expected
                return packet._replace(data=self.random.choice(self.seen).data)

    def _address(self, subject: str) -> str:
        tokens = subject.split(".")
        at = self.random.randrange(len(tokens))
        match self.random.randrange(5):
            case 0:
                tokens[at] = self.random.choice(_TOKENS)
            case 1:
                tokens[at] = self.random.choice(self._tokens)
            case 2:
                del tokens[at]
            case 3:
                tokens.insert(at, self.random.choice(self._tokens))
            case _:
                return self.random.choice(
                    ("", self.random.choice(self.seen).reply, subject + ".x", "_INBOX.a.1")
                )
        return ".".join(tokens)

    def _at(self, data: bytes) -> int:
        return self.random.randrange(len(data) + 1)

    def _flip(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self.random.choice((1, 1, 2, 8))):
            if changed:
                changed[self.random.randrange(len(changed))] ^= 1 << self.random.randrange(8)
        return bytes(changed)

    def _cut(self, data: bytes) -> bytes:
        return data[: self._at(data)] if self.random.random() < 0.7 else data[self._at(data) :]

    def _splice(self, data: bytes) -> bytes:
        other = self.random.choice(self.seen).data
        return data[: self._at(data)] + other[self._at(other) :]

    def _insert(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + self.random.choice(_BYTES) + data[at:]

    def _repeat(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:last] + data[first:]

    def _member(self, data: bytes) -> bytes:
        """Another value, or no value, for one member somewhere in the JSON."""
        found = self._members(data)
        if found is None:
            return self._flip(data)
        whole, places = found
        holder, key = self.random.choice(places)
        match self.random.randrange(4):
            case 0:
                del holder[key]
            case 1:
                other = self._members(self.random.choice(self.seen).data)
                holder[key] = self.random.choice(_JUNK) if other is None else other[0]
            case _:
                holder[key] = self.random.choice(_JUNK)
        return json.dumps(whole).encode()

    def _swap(self, data: bytes) -> bytes:
        found = self._members(data)
        if found is None:
            return self._splice(data)
        whole, places = found
        (one, a), (two, b) = self.random.choice(places), self.random.choice(places)
        one[a], two[b] = json.loads(json.dumps(two[b])), json.loads(json.dumps(one[a]))
        return json.dumps(whole).encode()

    def _nest(self, data: bytes) -> bytes:
        depth = self.random.choice((1, 50, 900, 3000))
        kind = self.random.randrange(3)
        if kind == 0:
            return b"[" * depth + data + b"]" * depth
        if kind == 1:
            return b'{"params":' * depth + data + b"}" * depth
        return data.replace(b":", b":" + b"[" * depth + b"]" * depth + b",", 1)

    def _members(self, data: bytes) -> tuple[Any, list[tuple[Any, Any]]] | None:
        try:
            whole = json.loads(data)
        except (ValueError, RecursionError):
            return None
        places: list[tuple[Any, Any]] = []
        left = [whole]
        while left:
            value = left.pop()
            if isinstance(value, dict | list):
                keys = list(value) if isinstance(value, dict) else range(len(value))
                places += [(value, key) for key in keys]
                left += [value[key] for key in keys]
        return (whole, places) if places else None
