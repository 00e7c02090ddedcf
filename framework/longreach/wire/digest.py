"""Content addresses: a digest names the very bytes it was made from.

Source: docs/binding.md M8.4.
"""

from __future__ import annotations

import base64
import hashlib

DIGEST_CHARS = 22


def digest(data: bytes | bytearray) -> str:
    """BLAKE2b-128 of `data`, base64url without padding: 22 characters."""
    return base64.urlsafe_b64encode(hashlib.blake2b(data, digest_size=16).digest())[:DIGEST_CHARS].decode()
