from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from longreach.errors import ConfigError
from longreach.policy.sealing import (
    MAX_CHARS,
    Key,
    KeyRing,
    StateRefused,
    StateTooLarge,
    is_ephemeral,
    key_line,
    new_key,
    parse_keys,
    seal,
    unseal,
)

OLD, NEW = Key("old", bytes(32)), Key("new", bytes([1] * 32))
RING = KeyRing((OLD,))


def refused(text: str, ring: KeyRing = RING, also: bytes = b"") -> StateRefused:
    with pytest.raises(StateRefused) as caught:
        unseal(text, ring, also)
    return caught.value


def test_what_is_sealed_can_be_opened_and_is_never_the_same():
    one, two = seal(b"x", RING, os.urandom), seal(b"x", RING, os.urandom)
    assert unseal(one, RING) == unseal(two, RING) == b"x"
    assert one != two
    assert one.startswith("lr1.old.")


def test_a_ring_opens_with_all_its_keys_and_seals_with_the_first():
    text = seal(b"x", RING, os.urandom)
    both = KeyRing((NEW, OLD))
    assert unseal(text, both) == b"x"
    assert seal(b"x", both, os.urandom).startswith("lr1.new.")
    unknown = refused(text, KeyRing((NEW,)))
    assert unknown.reason == "unknown_key"
    assert "the key old, which this node does not have" in str(unknown)


def test_another_key_of_the_same_name_opens_nothing():
    assert refused(seal(b"x", RING, os.urandom), KeyRing((Key("old", NEW.secret),))).reason == "altered"


def test_what_was_bound_must_be_the_same():
    text = seal(b"x", RING, os.urandom, b"this")
    assert unseal(text, RING, b"this") == b"x"
    assert refused(text, RING, b"that").reason == "altered"


@pytest.mark.parametrize(
    "text",
    ["", "lr1", "lr1.", "lr1.old", "lr1.old.", "lr1.old.AAAA", "lr2.old.AAAA", "lr1.ol d.AAAA", "é.ö.ü"],
)
def test_what_is_no_state_is_refused(text: str):
    error = refused(text)
    assert error.reason == "altered"
    assert "return it unchanged" in str(error)


def test_too_much_is_refused_on_the_way_out_and_in():
    with pytest.raises(StateTooLarge, match=rf"{MAX_CHARS} is the most"):
        seal(bytes(MAX_CHARS), RING, os.urandom)
    text = seal(bytes(48_000), RING, os.urandom)
    assert len(text) <= MAX_CHARS
    assert refused(text + "A" * MAX_CHARS).reason == "altered"


def test_keys_are_lines():
    ring = parse_keys(f"# c\n{key_line(NEW)} # newest\n\n {key_line(OLD)},\n", "test")
    assert ring == KeyRing((NEW, OLD))
    assert parse_keys(f"{key_line(NEW)},{key_line(OLD)}", "test") == ring


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no key"),
        ("# nothing", "holds no key"),
        ("hunter2", "key 1 of test is not id:base64"),
        ("a:hunter2", "key 1 of test is not id:base64"),
        ("a b:" + key_line(OLD)[4:], "key 1 of test is not id:base64"),
        (key_line(OLD) + "\na:AAAA", "key 2 of test is not id:base64"),
        (key_line(OLD) + "\n" + key_line(OLD), "two keys called old"),
    ],
)
def test_what_are_no_keys_is_told_without_showing_them(text: str, says: str):
    with pytest.raises(ConfigError, match=says) as caught:
        parse_keys(text, "test")
    assert "hunter2" not in str(caught.value)


def test_no_secret_is_shown():
    assert repr(RING) == "KeyRing(keys=(Key('old'),))"


def test_new_keys_differ_and_say_whether_they_last():
    assert new_key(os.urandom) != new_key(os.urandom)
    assert not is_ephemeral(new_key(os.urandom))
    assert is_ephemeral(new_key(os.urandom, ephemeral=True))


def test_without_cryptography_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    hidden: dict[str, Any] = {name: None for name in sys.modules if name.startswith("cryptography")}
    for name in (*hidden, "cryptography.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r"pip install 'longreach\[state\]'"):
        seal(b"x", RING, os.urandom)
