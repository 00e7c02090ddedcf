from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longreach.policy.exposure import Exposure, is_local, is_loopback, refuse_exposure

LOOPBACK = (
    "127.0.0.1",
    "127.1.2.3",
    "::1",
    "[::1]",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "localhost",
    "LOCALHOST",
)
OPEN = (
    "0.0.0.0", "::", "[::]", "10.0.0.1", "192.168.1.1", "8.8.8.8", "::ffff:0.0.0.0", "::ffff:10.0.0.1",
    "::127.0.0.1", "fe80::1%eth0", "169.254.1.1", "2001:db8::1", "localhost.example.com",
    "127.0.0.1.example.com", "", "128.0.0.1",
)  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_what_is_reached_from_this_machine_only_is_known(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize("host", OPEN)
def test_everything_else_is_open(host: str):
    assert not is_loopback(host)


def test_one_open_address_makes_a_name_open():
    assert is_local(("127.0.0.1", "::1"))
    assert not is_local(("127.0.0.1", "10.0.0.1"))


@pytest.mark.parametrize(
    ("addresses", "checks_tokens", "anonymous", "words"),
    [
        (("127.0.0.1", "::1"), False, None, None),
        (("127.0.0.1",), False, True, None),
        (("127.0.0.1",), True, None, None),
        (("0.0.0.0",), True, None, None),
        (("0.0.0.0",), True, False, None),
        (("0.0.0.0",), False, True, None),
        (("0.0.0.0",), False, None, "is not a loopback address"),
        (("127.0.0.1", "192.168.1.1"), False, None, "(192.168.1.1) is not a loopback address"),
        (("0.0.0.0",), True, True, "leave one out"),
        (("127.0.0.1",), True, True, "leave one out"),
        (("127.0.0.1",), False, False, "no token is valid"),
        ((), False, None, None),
    ],
)
def test_a_door_without_tokens_is_opened_on_loopback_addresses_unless_its_owner_says_more(
    addresses: tuple[str, ...], checks_tokens: bool, anonymous: bool | None, words: str | None
):
    said = refuse_exposure(Exposure("here", addresses, checks_tokens, anonymous))

    assert said == words or (words is not None and said is not None and words in said)


def test_the_refusal_names_what_was_written_and_what_to_do():
    said = refuse_exposure(Exposure("0.0.0.0", ("0.0.0.0",), False)) or ""

    for words in ("--host '0.0.0.0' is", "--bearer-tokens", "--jwks-url", "--anonymous"):
        assert words in said


@given(
    addresses=st.lists(st.ip_addresses().map(str), min_size=1, max_size=4),
    checks_tokens=st.booleans(),
    anonymous=st.sampled_from([None, True, False]),
)
def test_nobody_is_let_in_without_a_token_from_elsewhere_unless_the_owner_said_so(
    addresses: list[str], checks_tokens: bool, anonymous: bool | None
):
    opened = refuse_exposure(Exposure("x", tuple(addresses), checks_tokens, anonymous)) is None
    reached = any(not ipaddress.ip_address(each).is_loopback for each in addresses if ":ffff:" not in each)

    assert not (opened and reached and not checks_tokens) or anonymous is True
