"""The JSON Schema of a type, with everything that it refers to in one ``$defs``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from longreach.wire.schema.printer import PREFIX, Printer, free_name, literal_choices
from longreach.wire.schema.records import field_texts, record_hints, records_in
from longreach.wire.values import Adapter, by_alias, is_pydantic, value_type


def json_schema(kind: Any, *, serialised: bool = False) -> dict[str, Any]:
    """The JSON Schema 2020-12 of a type.

    Args:
        kind: a type that msgspec can decode, its metadata msgspec's.
        serialised: what values look like when they are written, where pydantic tells that apart.

    Raises:
        TypeError: it has none.
    """
    models = _Models(serialised)
    records = list(records_in(kind))
    hints = (hint for record in records for hint in record_hints(record).values())
    printer = Printer(models.refer, literal_choices([kind, *hints]))
    schema = printer.schema(kind)
    definitions = printer.definitions
    for record in records:
        name = printer.name(record)
        if name is not None:
            _add_texts(definitions[name], field_texts(record))
    renamed = models.define(definitions)
    definitions = {renamed.get(name, name): _renamed(value, renamed) for name, value in definitions.items()}
    return _inlined(_renamed(schema, renamed), definitions)


def _inlined(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """`schema`, not as a reference, with `definitions`."""
    name = _target(schema)
    if name in definitions and list(schema) == ["$ref"]:
        schema = definitions[name]
        if name not in _targets(definitions):
            del definitions[name]
    return {**schema, "$defs": definitions} if definitions else schema


class _Models:
    """The pydantic models that were met on the way."""

    def __init__(self, serialised: bool) -> None:
        self._mode = "serialization" if serialised else "validation"
        self._serialised = serialised
        self._met: dict[type, str] = {}
        self._brought: list[dict[str, Any]] = []

    def refer(self, kind: type) -> dict[str, Any]:
        """A reference to a model, under a name for the time being; or the schema of a value type."""
        textual = value_type(get_origin(kind) or kind)
        if textual is not None:
            return {"type": "string", "format": textual.format}
        adapter: Adapter | None = getattr(kind, "__longreach_adapter__", None)
        if adapter is not None:
            return self._bring(adapter.schema(serialised=self._serialised))
        if not is_pydantic(kind):
            raise TypeError(f"no type like {getattr(kind, '__name__', kind)} is known")
        return {"$ref": PREFIX + self._met.setdefault(kind, f"?{len(self._met)}")}

    def _bring(self, schema: dict[str, Any]) -> dict[str, Any]:
        """`schema`, whose definitions are kept, under names for the time being."""
        own: dict[str, Any] = schema.pop("$defs", {})
        number = len(self._brought)
        self._brought.append(own)
        return dict(_renamed(schema, {name: f"?{number}?{name}" for name in own}))

    def define(self, definitions: dict[str, Any]) -> dict[str, str]:
        """Add each model to `definitions`; returns the names that take the place of those of `refer`."""
        names = {}
        for number, brought in enumerate(self._brought):
            renamed = _add(brought, definitions)
            names.update({f"?{number}?{name}": renamed.get(name, name) for name in brought})
        for model, reference in self._met.items():
            root, own = self._schemas(model)
            renamed = _add(own, definitions)
            names[reference] = renamed.get(root, root)
        return names

    def _schemas(self, model: Any) -> tuple[str, dict[str, Any]]:
        """(the model's name, its schema and those it refers to, by name)."""
        names = not self._serialised or by_alias(model)
        schema = model.model_json_schema(by_alias=names, ref_template=PREFIX + "{model}", mode=self._mode)
        own: dict[str, Any] = schema.pop("$defs", {})
        name = _target(schema)
        if name in own:
            return name, own
        name = free_name(model.__name__, own)
        return name, {**own, name: schema}


def _add(own: dict[str, Any], definitions: dict[str, Any]) -> dict[str, str]:
    """Add `own` to `definitions`; the new names of those whose names are taken by something else."""
    clashing = [name for name in own if name in definitions]
    clear = all(definitions[name] == own[name] for name in clashing)
    renamed = {} if clear else {name: free_name(name, {**definitions, **own}) for name in clashing}
    definitions.update({renamed.get(name, name): _renamed(own[name], renamed) for name in own})
    return renamed


def _add_texts(definition: Any, texts: Mapping[str | int, dict[str, Any]]) -> None:
    for field, said in texts.items():
        part = definition.get("prefixItems" if isinstance(field, int) else "properties", {})
        shown = part[field] if isinstance(field, int) and field < len(part) else None
        if isinstance(field, str):
            shown = part.get(field)
        if shown is not None:
            shown.update({key: value for key, value in said.items() if key not in shown})


def _target(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).removeprefix(PREFIX)


def _targets(schema: Any) -> Iterator[str]:
    """The names of all that `schema` refers to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield _target(schema)
        for value in schema.values():
            yield from _targets(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _targets(item)


def _is_discriminated(schema: Mapping[str, Any]) -> bool:
    return ("oneOf" in schema or "anyOf" in schema) and isinstance(schema.get("discriminator"), dict)


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """`schema`, with its references under their new names."""
    if isinstance(schema, list):
        return [_renamed(item, names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _renamed(value, names) for key, value in schema.items()}
    if isinstance(schema.get("$ref"), str):
        name = _target(schema)
        changed["$ref"] = PREFIX + names.get(name, name)
    mapping = schema.get("discriminator", {}).get("mapping") if _is_discriminated(schema) else None
    if isinstance(mapping, dict):
        targets = {key: str(value).removeprefix(PREFIX) for key, value in mapping.items()}
        mapping = {key: PREFIX + names.get(name, name) for key, name in targets.items()}
        changed["discriminator"] = {**schema["discriminator"], "mapping": mapping}
    return changed
