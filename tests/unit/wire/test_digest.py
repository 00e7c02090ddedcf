from __future__ import annotations

import pytest

from longreach.wire.digest import DIGEST_CHARS, digest


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # M8.4; these were computed by another program, `b2sum -l 128`
        (b"", "yuZpQdnvvUBOTYh1jqZ2cA"),
        (b"{}", "Kvubg_kxTl0Cl2YZf1OXkg"),
        (b"x1", "aisjypV-eTrnZCXRVU_BGA"),
    ],
)
def test_a_digest_is_blake2b_128_in_base64url(data: bytes, expected: str):
    assert digest(data) == expected
    assert len(expected) == DIGEST_CHARS


def test_it_is_of_the_very_bytes():
    assert digest(b'{"a":1}') != digest(b'{"a": 1}')
