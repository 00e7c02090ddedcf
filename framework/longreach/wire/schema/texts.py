"""Arguments that come as texts: those of prompts, and the variables of a URI.

A parameter that takes text gets the text; any other gets what the text means as JSON: ``5`` an integer,
``true`` a bool, ``["a"]`` a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from longreach.wire.schema.handler import HandlerSchema


def decode_texts(schema: HandlerSchema, texts: Mapping[str, str]) -> dict[str, Any]:
    """The keyword arguments that `texts` stand for.

    Raises:
        InvalidArguments: they do not fit; the text names each one.
    """
    written = {name: _written(schema.decoders.get(name), text) for name, text in texts.items()}
    return schema.decode_arguments(msgspec.json.encode(written))


def _written(decoder: msgspec.json.Decoder[Any] | None, text: str) -> msgspec.Raw:
    """The JSON for a text: that of a text, or the one it is, whichever the parameter takes."""
    as_text = msgspec.Raw(msgspec.json.encode(text))
    if decoder is None or _fits(decoder, as_text):
        return as_text
    as_json = msgspec.Raw(text.encode())
    return as_json if _fits(decoder, as_json) else as_text


def _fits(decoder: msgspec.json.Decoder[Any], value: msgspec.Raw) -> bool:
    try:
        decoder.decode(value)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - checks of the user's own types raise what they like
        return False
    return True
