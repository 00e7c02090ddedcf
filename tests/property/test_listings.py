"""Listings in pages: nothing is lost, nothing comes twice, whatever changes meanwhile."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longreach.node.listings import WrongCursor, encode_cursor, page_of
from longreach.wire.manifest import Definition

NAMES = st.sets(st.text(min_size=1, max_size=8), max_size=20)
KINDS = st.sampled_from(["tool", "prompt", "resource", "template"])


def defined(names: set[str]) -> list[Definition]:
    return [Definition(name, json.dumps({"name": name, "pad": "x" * 50}).encode()) for name in names]


@given(stays=NAMES, comes=NAMES, goes=NAMES, max_bytes=st.integers(1, 400), kind=KINDS)
def test_what_is_there_all_the_time_is_listed_once(
    stays: set[str], comes: set[str], goes: set[str], max_bytes: int, kind: str
):
    """M8.6"""
    seen: list[str] = []
    cursor = None
    for page_number in range(100):
        now = stays | ((goes - comes) if page_number == 0 else (comes - goes))
        page = page_of(defined(now), kind, cursor, max_bytes)
        items = json.loads(bytes(page.items))
        assert items or page.next_cursor is None
        seen += [item["name"] for item in items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert cursor is None
    assert seen == sorted(set(seen))
    assert stays <= set(seen)


ANYTHING = st.text(max_size=40) | st.binary(max_size=40).map(lambda data: data.decode("latin-1"))


@given(cursor=ANYTHING, kind=KINDS)
def test_any_other_text_is_no_cursor(cursor: str, kind: str):
    try:
        page_of([], kind, cursor, 100)
    except WrongCursor:
        return
    assert base64.urlsafe_b64decode(cursor).decode().startswith(f"{kind} ")


@given(name=st.text(max_size=20), kind=KINDS, other=KINDS)
def test_a_cursor_is_of_one_listing(name: str, kind: str, other: str):
    cursor = encode_cursor(kind, name)
    if kind == other:
        page_of([], other, cursor, 100)
    else:
        with pytest.raises(WrongCursor):
            page_of([], other, cursor, 100)
