"""What both links check and encode before anything is sent."""

from __future__ import annotations

import re

from longreach.errors import TooLarge
from longreach.transport.link import MAX_SUBJECT_BYTES, Headers

_HEADER_LINE = b"NATS/1.0\r\n"
_KEY = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BREAKS = str.maketrans({"\r": " ", "\n": " "})


def encode_headers(headers: Headers) -> bytes:
    r"""The header block of a message, up to and with its empty line.

    Raises:
        ValueError: a key is no HTTP token.
    """
    parts = [_HEADER_LINE]
    for key, value in headers.items():
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} cannot be a header's name: it must be an HTTP token")
        parts.append(f"{key}: {clean_value(value)}\r\n".encode())
    parts.append(b"\r\n")
    return b"".join(parts)


def clean_value(value: str) -> str:
    """A header's value as it travels: a line break would end the header, or the message."""
    return value.translate(_BREAKS).strip()


def check_subject(subject: str) -> None:
    """Refuse what would not reach the broker as one word of one line.

    Raises:
        ValueError: empty, or with white space or control characters (which could smuggle in a command).
        TooLarge: longer than `MAX_SUBJECT_BYTES`.
    """
    if not subject or " " in subject or not subject.isprintable():
        raise ValueError(f"{subject!r} cannot be a subject")
    if len(subject) > MAX_SUBJECT_BYTES or (
        not subject.isascii() and len(subject.encode()) > MAX_SUBJECT_BYTES
    ):
        raise TooLarge(f"the subject {subject[:60]}... is longer than {MAX_SUBJECT_BYTES} bytes")


def too_large(size: int, max_payload: int) -> TooLarge:
    """The error for a message of `size` bytes, headers included."""
    return TooLarge(
        f"a message of {size} bytes, headers included, is over the broker's limit of {max_payload} "
        "bytes: send less, or raise max_payload in the broker's configuration",
        data={"size": size, "limit": max_payload},
    )
