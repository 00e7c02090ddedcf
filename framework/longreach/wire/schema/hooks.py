"""Types that msgspec leaves to others: pydantic's models, where pydantic is there.

pydantic is never imported from here: a model's class brings all that is needed.
"""

from __future__ import annotations

from typing import Any


def is_pydantic(kind: Any) -> bool:
    """Whether `kind` is a pydantic model."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_json_schema")


def decode_hook(kind: type, value: Any) -> Any:
    """A value of `kind`, from plain Python values.

    Raises:
        ValueError: it does not fit.
    """
    if is_pydantic(kind):
        if isinstance(value, kind):
            return value
        try:
            return kind.model_validate(value)  # type: ignore[attr-defined]
        except ValueError as error:
            raise ValueError(_short(error)) from None
    raise NotImplementedError(f"{kind.__name__} has no JSON form")


def _short(error: ValueError) -> str:
    listed = getattr(error, "errors", None)
    if listed is None:
        return str(error)
    return ", ".join(
        f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}" for item in listed(include_url=False)
    )


def encode_hook(value: Any) -> Any:
    """Plain Python values for `value`.

    Raises:
        NotImplementedError: it has no JSON form.
    """
    if is_pydantic(type(value)):
        return value.model_dump(mode="json")
    raise NotImplementedError(f"a {type(value).__name__} has no JSON form")


def schema_hook(kind: type) -> dict[str, Any]:
    """The JSON Schema of `kind`.

    Raises:
        NotImplementedError: it has none.
    """
    if is_pydantic(kind):
        schema: dict[str, Any] = kind.model_json_schema(ref_template="#/$defs/{model}")  # type: ignore[attr-defined]
        return schema
    raise NotImplementedError(kind)
