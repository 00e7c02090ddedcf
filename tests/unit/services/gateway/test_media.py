from __future__ import annotations

import pytest

from longreach_gateway.media import EVENTS, JSON, accepts, is_json


@pytest.mark.parametrize(
    ("accept", "media_type", "taken"),
    [
        (b"application/json, text/event-stream", JSON, True),
        (b"application/json, text/event-stream", EVENTS, True),
        (b"application/json;q=0.5,text/event-stream;q=0.1", EVENTS, True),
        (b"APPLICATION/JSON", JSON, True),
        (b"*/*", EVENTS, True),
        (b"text/*", EVENTS, True),
        (b"text/*", JSON, False),
        (b"application/json", EVENTS, False),
        (b"text/html", JSON, False),
        (b"application/json;q=0", JSON, False),
        (b"*/*, application/json;q=0.000", JSON, False),
        (b"application/json-seq", JSON, False),
        (b"", JSON, False),
        (b",;,;;", JSON, False),
    ],
)
def test_accept_headers_are_understood(accept: bytes, media_type: bytes, taken: bool):
    assert accepts(accept, media_type) is taken


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        (b"application/json", True),
        (b"application/json; charset=utf-8", True),
        (b'Application/JSON;charset="UTF-8"', True),
        (b"application/json; charset=latin-1", False),
        (b"application/jsonp", False),
        (b"text/plain", False),
        (b"", False),
    ],
)
def test_content_types_that_are_json(content_type: bytes, said: bool):
    assert is_json(content_type) is said
