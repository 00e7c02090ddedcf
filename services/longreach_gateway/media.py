"""`Accept` and `Content-Type`: whether a client takes what we may send, and sends what we take. Pure."""

from __future__ import annotations

from functools import lru_cache

JSON = b"application/json"
EVENTS = b"text/event-stream"
_KNOWN = 256


@lru_cache(_KNOWN)
def accepts(accept: bytes, media_type: bytes) -> bool:
    """Whether an `Accept` header lists a media type, or a range it is in; ``q=0`` means that it does not."""
    kind = media_type.split(b"/")[0]
    best = (-1, False)
    for item in accept.lower().split(b","):
        name, *parameters = (part.strip() for part in item.split(b";"))
        rank = {media_type: 2, kind + b"/*": 1, b"*/*": 0}.get(name, -1)
        if rank > best[0]:
            best = (rank, not any(_is_zero(parameter) for parameter in parameters))
    return best[1]


def _is_zero(parameter: bytes) -> bool:
    key, _, value = parameter.partition(b"=")
    return key.strip() == b"q" and value.strip() in (b"0", b"0.", b"0.0", b"0.00", b"0.000")


@lru_cache(_KNOWN)
def is_json(content_type: bytes) -> bool:
    """Whether a `Content-Type` header says JSON; in UTF-8, if it says in what."""
    name, *parameters = (part.strip().lower() for part in content_type.split(b";"))
    charsets = [part.partition(b"=")[2].strip(b' "') for part in parameters if part.startswith(b"charset")]
    return name == JSON and all(charset in (b"utf-8", b"us-ascii") for charset in charsets)
