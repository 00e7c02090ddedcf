"""Offers, parts and what is made of them. Source: docs/binding.md 16."""

from __future__ import annotations

import zlib

import msgspec
import pytest

from longreach.wire.digest import digest
from longreach.wire.packing import Damaged, pack_body, unpack_body
from longreach.wire.parts import Offer, PartRequest, Pull, Put, pack, understands, unpack, wants_compressed

BODY = b'{"text":"' + b"row after row, " * 10_000 + b'"}'


def offered(body: bytes, data: bytes, **changes: object) -> Offer:
    return msgspec.structs.replace(Offer(len(data), digest(data), "zlib", len(body)), **changes)


@pytest.mark.parametrize("compress", [True, False])
def test_a_body_comes_back_as_it_was(compress: bool):
    packed = pack_body(BODY, compress)
    assert unpack_body(packed.offer, packed.data) == BODY
    assert packed.offer.whole == len(BODY)
    assert (packed.offer.encoding == "zlib") is compress
    assert (len(packed.data) < len(BODY) / 20) is compress


def test_what_does_not_become_smaller_goes_as_it_is():
    assert pack_body(b"x", True).offer == Offer(1, digest(b"x"))


def test_a_body_with_another_digest_is_not_used():
    """M16.6"""
    packed = pack_body(BODY, False)
    for wrong in (BODY[:-1], BODY + b" ", BODY[:-1] + b" "):
        with pytest.raises(Damaged):
            unpack_body(packed.offer, wrong)


def test_a_bomb_is_not_unpacked_beyond_what_was_offered():
    """M16.6: the size that was offered is the bound, whatever the bytes would unpack to."""
    bomb = zlib.compress(bytes(10_000_000))
    with pytest.raises(Damaged, match="size"):
        unpack_body(offered(bytes(1000), bomb), bomb)


@pytest.mark.parametrize("data", [b"no zlib", zlib.compress(BODY)[:-4], zlib.compress(BODY) + b"more"])
def test_what_is_no_whole_stream_is_refused(data: bytes):
    with pytest.raises(Damaged):
        unpack_body(offered(BODY, data), data)


def test_fewer_bytes_than_offered_are_refused():
    data = zlib.compress(BODY)
    with pytest.raises(Damaged, match="size"):
        unpack_body(offered(BODY, data, raw=len(BODY) + 1), data)


@pytest.mark.parametrize(
    "head",
    [
        Offer(10, digest(b"x")),
        Offer(10, digest(b"x"), "zlib", 20, "n1", "i", "eu"),
        PartRequest("1-0-f", 0, 10),
        Pull("n1", "i", "eu", 5, 10),
        Put("1-0-f", 7),
    ],
)
def test_heads_and_bytes_are_told_apart(head: msgspec.Struct):
    assert unpack(pack(head, b"a\nb"), type(head)) == (head, b"a\nb")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\n",
        b'{"size":0,"digest":"%s"}' % digest(b"").encode(),
        b'{"size":-1,"digest":"%s"}' % digest(b"").encode(),
        b'{"size":1,"digest":"short"}',
        b'{"size":1,"digest":"%s","encoding":"br"}' % digest(b"").encode(),
        b'{"size":"1"}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_offer_is_malformed(message: bytes):
    with pytest.raises(msgspec.DecodeError):
        unpack(message, Offer)


def test_members_that_nobody_knows_are_ignored():
    """M11.1"""
    offer, _ = unpack(b'{"size":1,"digest":"%s","new":[1]}\nx' % digest(b"x").encode(), Offer)
    assert offer.size == 1


def test_what_a_connection_says_is_its_end():
    """M16.1"""
    assert understands("_.alice.0f-p")
    assert understands("_.alice.0f-pz")
    assert wants_compressed("_.alice.0f-pz")
    assert not wants_compressed("_.alice.0f-p")
    assert not understands("_.alice.0f")
