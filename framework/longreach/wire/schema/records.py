"""Records: dataclasses, TypedDicts, NamedTuples and Structs, and what their fields' annotations say.

msgspec enforces its own `Meta` on their fields and passes over what others write. A text is added to
the schema; a constraint that nobody would hold is refused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from longreach.wire.schema.types import Unsupported, constrains, describe, foreign
from longreach.wire.values import is_pydantic


def records_in(kind: Any) -> Iterator[Any]:
    """Every record type in `kind`, itself included, each once.

    Raises:
        Unsupported: a field states a constraint that nobody would hold.
    """
    seen: set[int] = set()
    left = [kind]
    while left:
        item = left.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        left.extend(get_args(item))
        record = get_origin(item) or item
        if not is_record(record):
            continue
        if hasattr(record, "__pydantic_validator__"):
            raise Unsupported(
                f"{record.__name__} is a pydantic dataclass, whose checks cannot be made; use a BaseModel",
                by_pydantic=True,
            )
        yield item
        for name, hint in record_hints(record).items():
            _refuse_unheld(record, name, hint)
            left.append(hint)


def is_record(kind: Any) -> bool:
    """Whether `kind` is a class of named fields that msgspec reads by itself."""
    if not isinstance(kind, type) or is_pydantic(kind):
        return False
    return (
        dataclasses.is_dataclass(kind)
        or is_typeddict(kind)
        or issubclass(kind, msgspec.Struct)
        or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
    )


def field_texts(kind: Any) -> dict[str | int, dict[str, Any]]:
    """What the annotations of a record's fields say beside msgspec's, by the field's JSON name or place."""
    record = get_origin(kind) or kind
    texts: dict[str | int, dict[str, Any]] = {}
    for place, (name, hint) in enumerate(record_hints(record).items()):
        said = foreign(get_args(hint)[1:]) if get_origin(hint) is Annotated else {}
        if said:
            texts[place if issubclass(record, tuple) else _json_name(record, name)] = said
    return texts


def _json_name(record: Any, name: str) -> str:
    names: tuple[str, ...] = getattr(record, "__struct_fields__", ())
    encoded: tuple[str, ...] = getattr(record, "__struct_encode_fields__", ())
    return dict(zip(names, encoded, strict=True)).get(name, name)


def record_hints(kind: Any) -> dict[str, Any]:
    """Return the annotations of a record's fields, by name."""
    hints = get_type_hints(get_origin(kind) or kind, include_extras=True)
    return {name: hint for name, hint in hints.items() if not name.startswith("__")}


def _refuse_unheld(record: Any, field: str, hint: Any) -> None:
    left = [hint]
    while left:
        item = left.pop()
        arguments = get_args(item)
        if get_origin(item) is Annotated:
            base, *metadata = arguments
            unheld = constrains(foreign(metadata))
            if unheld:
                raise Unsupported(
                    f"field {field!r} of {describe(record)} states {', '.join(unheld)} in a way that is not "
                    f"enforced inside a {describe(record)}; write msgspec.Meta(...) there",
                    by_pydantic=True,
                )
            left.append(base)
        elif not isinstance(item, list):
            left.extend(arguments)
