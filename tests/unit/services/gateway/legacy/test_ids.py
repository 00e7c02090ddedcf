"""Session ids name their gateway, and nothing else gets through. docs/binding.md M14.1."""

from __future__ import annotations

import pytest

from longreach_gateway.legacy.ids import GatewayAddress, address_of, new_address, new_session_id


def test_an_id_names_its_gateway_and_is_no_others() -> None:
    address = new_address("GW one.eu", "eu-west")
    assert address.gateway == "=47=57=20one=2eeu"
    first, second = new_session_id(address), new_session_id(address)
    assert first != second
    assert address_of(first) == address_of(second) == address
    assert all(0x21 <= ord(char) <= 0x7E for char in first)
    assert new_address("g", "eu") != new_address("g", "eu")


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "a.b.c", "a.b.c-", "-x", "a.b-x", "a.b.c.d-x", "a..c-x", "_.b.c-x", "a._.c-x", "*.b.c-x",
        "a.>.c-x",
        "A.b.c-x", "a b.b.c-x", "a.b.c\r\nPUB x-y", "é.b.c-x", "a.b." + "c" * 97 + "-x", "a.b.c-" + "x" * 500,
    ],
)  # fmt: skip
def test_what_is_no_id_names_nobody(text: str) -> None:
    assert address_of(text) is None


def test_the_random_part_holds_no_dash() -> None:
    address = GatewayAddress("g-1", "eu-west", "0a-b")
    assert address_of(new_session_id(address)) == address
