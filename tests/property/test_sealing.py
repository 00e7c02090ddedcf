"""Whatever is done to a sealed text, it is refused: nothing but the very text opens."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longreach.policy.sealing import Key, KeyRing, StateRefused, seal, unseal

RING = KeyRing((Key("k1", bytes(32)), Key("k2", bytes([1] * 32))))
OTHER = KeyRing((Key("k2", bytes([1] * 32)), Key("k1", bytes(32))))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.+/ \n"


def _refused(text: str, also: bytes = b"") -> None:
    with pytest.raises(StateRefused):
        unseal(text, RING, also)


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_round_trip(plain: bytes, also: bytes):
    assert unseal(seal(plain, RING, os.urandom, also), RING, also) == plain


@given(st.binary(max_size=100), st.data())
def test_a_flipped_bit_is_refused(plain: bytes, data: st.DataObject):
    text = seal(plain, RING, os.urandom)
    head, _, body = text.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << (at % 8)
    _refused(f"{head}.{base64.urlsafe_b64encode(bytes(raw)).rstrip(b'=').decode()}")


@given(st.binary(max_size=100), st.data())
def test_another_character_is_refused(plain: bytes, data: st.DataObject):
    text = seal(plain, RING, os.urandom)
    at = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.sampled_from(ALPHABET).filter(lambda one: one != text[at]))
    _refused(text[:at] + character + text[at + 1 :])


@given(st.binary(max_size=100), st.data())
def test_what_is_cut_or_longer_is_refused(plain: bytes, data: st.DataObject):
    text = seal(plain, RING, os.urandom)
    _refused(text[: data.draw(st.integers(0, len(text) - 1))])
    _refused(text[data.draw(st.integers(1, len(text))) :])
    _refused(text + data.draw(st.text(ALPHABET, min_size=1, max_size=12)))


@given(st.binary(max_size=60), st.binary(max_size=60), st.data())
def test_parts_of_two_texts_make_no_third(one: bytes, two: bytes, data: st.DataObject):
    first, second = seal(one, RING, os.urandom), seal(two, RING, os.urandom)
    start = len("lr1.k1.")
    at = data.draw(st.integers(start + 1, min(len(first), len(second)) - 1))
    mixed = first[:at] + second[at:]
    if mixed not in (first, second):
        _refused(mixed)
    _refused(first.replace(".k1.", ".k2."))
    assert unseal(seal(one, OTHER, os.urandom), RING) == one


@given(st.text(max_size=200))
def test_garbage_is_refused(text: str):
    _refused(text)
    _refused(f"lr1.k1.{text}")
