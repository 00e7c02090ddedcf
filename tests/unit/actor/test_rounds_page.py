"""docs/rounds.md is true: its examples run as they stand, and its words are those of the code."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.support.rounds import Caller, accept, keys_of, state_of, text_of

from longreach.policy.sealing import MAX_CHARS, Refusal

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "rounds.md").read_text()


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = types.ModuleType("rounds_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(block, module.__dict__)
    return module


async def test_what_is_bought_is_charged_once(shop: Any) -> None:
    caller, item = Caller(shop.shop, "buy"), {"item": "a kite"}
    first = await caller.send(item)
    assert keys_of(first) == ["sure"]
    second = await caller.send(item, state=state_of(first), responses={"sure": accept()})
    assert keys_of(second) == ["where"]
    third = await caller.send(item, state=state_of(second), responses={"where": accept(street="High St")})
    assert text_of(third) == "Bought (receipt 1), to High St."
    assert shop.charged == ["a kite"]
    declined = await caller.send(item, state=state_of(first), responses={"sure": {"action": "decline"}})
    assert text_of(declined) == "Nothing was bought."


async def test_the_explicit_form_gets_its_state_back(shop: Any) -> None:
    caller, name = Caller(shop.shop, "rename"), {"name": "a.txt"}
    first = await caller.send(name)
    second = await caller.send(name, state=state_of(first), responses={"new": accept(value="b.txt")})
    assert text_of(second) == "a.txt is now b.txt"


def test_every_refusal_is_named() -> None:
    assert {f"state_{reason}" for reason in get_args(Refusal)} == set(
        re.findall(r"`(state_[a-z]+_?[a-z]*)`", PAGE)
    ) - {"state_ttl_s"}
    assert f"{MAX_CHARS // 1024} KiB" in PAGE
