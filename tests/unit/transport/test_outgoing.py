from __future__ import annotations

import pytest

from longreach.errors import TooLarge
from longreach.transport._outgoing import check_subject, clean_value, encode_headers, too_large


def test_headers_are_encoded_as_nats_has_them():
    assert encode_headers({"A": "b", "C-d": "ü"}) == "NATS/1.0\r\nA: b\r\nC-d: ü\r\n\r\n".encode()


@pytest.mark.parametrize("key", ["", "a b", "a:b", "a\r\nb", "ä"])
def test_a_header_key_that_is_no_token_is_refused(key: str):
    with pytest.raises(ValueError, match="header"):
        encode_headers({key: "x"})


def test_a_value_cannot_end_its_header():
    assert clean_value(" a\r\nb: c\r\n\r\nPUB x 0") == "a  b: c    PUB x 0"
    assert encode_headers({"A": "x\r\n\r\nPUB"}).count(b"\r\n") == 3


@pytest.mark.parametrize("subject", ["a", "a.b.>", "a=5f", "ä.b"])
def test_subjects(subject: str):
    check_subject(subject)


@pytest.mark.parametrize("subject", ["", " ", "a b", "a\n", "a\r\n", "\t", "a\x00", "a\u00a0b"])
def test_what_is_no_subject(subject: str):
    with pytest.raises(ValueError, match="subject"):
        check_subject(subject)


def test_the_longest_subject():
    check_subject("s" * 1024)
    for long in ("s" * 1025, "ä" * 513):
        with pytest.raises(TooLarge):
            check_subject(long)


def test_the_error_for_a_large_message_has_its_numbers_as_data():
    error = too_large(11, 10)
    assert error.data == {"size": 11, "limit": 10}
    assert error.delivered == "no"
    assert "11" in str(error)
