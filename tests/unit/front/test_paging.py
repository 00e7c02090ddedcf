"""Lists in pages."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from longreach.front import paging
from longreach.front.endings import Refused
from longreach.front.shelf import Item
from longreach.wire import codes


def items(*names: str, size: int = 10) -> list[Item]:
    return [Item(f"s__{name}", "s", name, name, b"x" * size) for name in names]


def pages(listed: list[Item]) -> list[list[str]]:
    found, cursor = [], None
    while True:
        start = paging.page_start(listed, "tools", cursor)
        end = paging.page_end(listed, start)
        found.append([item.name for item in listed[start:end]])
        if end == len(listed):
            return found
        cursor = paging.cursor_after(listed[end - 1], "tools")


def test_a_page_ends_after_so_many_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_ITEMS", 2)

    assert pages(items("a", "b", "c", "d", "e")) == [["a", "b"], ["c", "d"], ["e"]]
    assert pages(items("a", "b")) == [["a", "b"]]
    assert pages([]) == [[]]


def test_a_page_ends_after_so_many_bytes_but_holds_one_item_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE_BYTES", 25)

    assert pages(items("a", "b", "c")) == [["a", "b"], ["c"]]
    assert pages(items("a", "b", size=100)) == [["a"], ["b"]]


def test_a_cursor_holds_while_the_list_changes() -> None:
    cursor = paging.cursor_after(items("c")[0], "tools")

    assert paging.page_start(items("a", "b", "c", "d"), "tools", cursor) == 3
    assert paging.page_start(items("a", "d", "e"), "tools", cursor) == 1
    assert paging.page_start(items("a"), "tools", cursor) == 1


@pytest.mark.parametrize(
    "cursor",
    [
        "", "!", "ä", "AAAA", base64.urlsafe_b64encode(b'["tools","s"]').decode(), "[" * 3000,
        base64.urlsafe_b64encode(b'["tools",1,2]').decode(),
        base64.urlsafe_b64encode(b"[" * 5000).decode(),
        paging.cursor_after(Item("", "s", "a", "", b""), "prompts"),
    ],
)  # fmt: skip
def test_a_cursor_of_no_page_of_this_list_is_refused(cursor: Any) -> None:
    with pytest.raises(Refused) as caught:
        paging.page_start(items("a"), "tools", cursor)

    assert caught.value.code == codes.INVALID_PARAMS
