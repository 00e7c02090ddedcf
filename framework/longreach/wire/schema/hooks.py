"""Types that msgspec leaves to others: pydantic's models, where pydantic is there.

pydantic is never imported from here: a model's class brings all that is needed. Its models keep
pydantic's own rules, its conversions included, for what is inside them.
"""

from __future__ import annotations

from typing import Any

import msgspec


def is_pydantic(kind: Any) -> bool:
    """Whether `kind` is a pydantic model."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_json_schema")


def decode_hook(kind: type, value: Any) -> Any:
    """A value of `kind`, from plain Python values.

    Raises:
        ValueError: it does not fit.
    """
    if is_pydantic(kind):
        try:
            # As JSON again: a strict model takes a date from JSON text, but no str for a date in Python.
            return kind.model_validate_json(msgspec.json.encode(value))  # type: ignore[attr-defined]
        except ValueError as error:
            raise ValueError(_short(error)) from None
    raise TypeError(f"{kind.__name__} has no JSON form")


def _short(error: ValueError) -> str:
    listed = getattr(error, "errors", None)
    if listed is None:
        return str(error)
    problems = listed(include_url=False, include_context=False, include_input=False)
    return ", ".join(": ".join(filter(None, [".".join(map(str, p["loc"])), p["msg"]])) for p in problems)


def encode_hook(value: Any) -> Any:
    """Plain Python values for `value`.

    Raises:
        TypeError: it has no JSON form.
    """
    if is_pydantic(type(value)):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(f"a {type(value).__name__} has no JSON form")
