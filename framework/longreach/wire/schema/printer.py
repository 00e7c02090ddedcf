"""JSON Schema 2020-12 of the types that msgspec reads, printed from `msgspec.inspect`.

msgspec has a printer of its own, which changes between its versions, sorts choices, knows no combination of
flags and gives a date-time no format. What is published is a contract, with a digest that nodes compare, so
it is printed here.
"""

from __future__ import annotations

import enum
import functools
import inspect
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec import inspect as mi

from longreach.wire.values import encode_hook

PREFIX = "#/$defs/"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_FLAGS = 6
"""The combinations of so many flags are listed, 64 at the most; of more, only the bounds are told."""
_EMPTY = (list, dict, set, bytearray)
"""What a default may be made by so that its value is known without a call of the user's code."""
_NUMBERS = {
    "ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
}  # fmt: skip
_TEXTS = {"max_length": "maxLength", "min_length": "minLength", "pattern": "pattern"}
_ITEMS = {"max_length": "maxItems", "min_length": "minItems"}
_MEMBERS = {"max_length": "maxProperties", "min_length": "minProperties"}
_PLAIN: dict[type, dict[str, Any]] = {
    mi.AnyType: {},
    mi.RawType: {},
    mi.NoneType: {"type": "null"},
    mi.BoolType: {"type": "boolean"},
    mi.DateTimeType: {"type": "string", "format": "date-time"},
    mi.TimeType: {"type": "string", "format": "time"},
    mi.DateType: {"type": "string", "format": "date"},
    mi.TimeDeltaType: {"type": "string", "format": "duration"},
    mi.UUIDType: {"type": "string", "format": "uuid"},
    mi.DecimalType: {"type": "string", "format": "decimal"},
}
_JSON_NAMES: dict[type, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null",
}  # fmt: skip
_BINARY = (mi.BytesType, mi.ByteArrayType, mi.MemoryViewType)
_RECORDS = (mi.StructType, mi.DataclassType, mi.TypedDictType, mi.NamedTupleType)


class Printer:
    """Prints the schemas of types that may refer to each other.

    Args:
        refer: the schema of a type that msgspec does not know.
        literals: the choices of every `Literal` that may be met, in the order in which they were written.

    Attributes:
        definitions: what was met on the way and has a name, by that name.
    """

    def __init__(self, refer: Callable[[type], dict[str, Any]], literals: Iterable[Any] = ()) -> None:
        self.definitions: dict[str, Any] = {}
        self._refer = refer
        self._names: dict[Any, str] = {}
        self._order: dict[tuple[type, Any], int] = {}
        for choice in literals:
            self._order.setdefault((type(choice), choice), len(self._order))

    def schema(self, kind: Any) -> dict[str, Any]:
        """Return the schema of a type.

        Raises:
            TypeError: it has none.
        """
        return self._of(mi.type_info(kind))

    def name(self, kind: Any) -> str | None:
        """Return the name of a class among the definitions; None if it was not met."""
        return self._names.get(kind)

    def _of(self, info: Any) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        while isinstance(info, mi.Metadata):
            extra = {**(info.extra_json_schema or {}), **extra}
            info = info.type
        schema = self._bare(info)
        return {**schema, **extra}

    def _bare(self, info: Any) -> dict[str, Any]:
        scalar = _scalar(info)
        if scalar is not None:
            return scalar
        if isinstance(info, (mi.CollectionType, mi.TupleType)):
            return self._array(info)
        if hasattr(info, "key_type"):  # a dict or, since msgspec 0.23, a frozendict
            return self._mapping(info)
        if isinstance(info, mi.UnionType):
            return self._union(info)
        if isinstance(info, mi.LiteralType):
            last = len(self._order)
            return _choices(sorted(info.values, key=lambda one: self._order.get((type(one), one), last)))
        if isinstance(info, (mi.EnumType, *_RECORDS)):
            return {"$ref": PREFIX + self._defined(info)}
        if isinstance(info, mi.CustomType):
            return self._refer(info.cls)
        raise TypeError(f"{type(info).__name__} has no JSON Schema")

    def _array(self, info: Any) -> dict[str, Any]:
        if isinstance(info, mi.TupleType):
            size = len(info.item_types)
            items = [self._of(one) for one in info.item_types]
            schema: dict[str, Any] = {"type": "array", "minItems": size, "maxItems": size}
            return {**schema, "prefixItems": items, "items": False} if items else schema
        schema = {"type": "array"}
        if not isinstance(info.item_type, mi.AnyType):
            schema["items"] = self._of(info.item_type)
        schema |= _bounds(info, _ITEMS)
        if isinstance(info, (mi.SetType, mi.FrozenSetType)):
            schema["uniqueItems"] = True
        return schema

    def _mapping(self, info: Any) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "object"}
        names = self._of(info.key_type)
        if _is_text(names, self.definitions):  # every name is a text: what more is said of it counts
            names.pop("type", None)
            if names:
                schema["propertyNames"] = names
        if not isinstance(info.value_type, mi.AnyType):
            schema["additionalProperties"] = self._of(info.value_type)
        return schema | _bounds(info, _MEMBERS)

    def _union(self, info: Any) -> dict[str, Any]:
        options, tagged, nothing = [], {}, []
        for member in info.types:
            real = member
            while isinstance(real, mi.Metadata):
                real = real.type
            schema = self._of(member)
            if isinstance(real, mi.NoneType):
                nothing.append(schema)
            elif isinstance(real, mi.StructType) and not real.array_like:
                tagged[real.tag] = (real.tag_field, schema)
            else:
                options.append(schema)
        if len(tagged) > 1:
            by_tag = {"anyOf": [schema for _, schema in tagged.values()]}
            mapping = {tag: schema["$ref"] for tag, (_, schema) in tagged.items() if "$ref" in schema}
            field = next(iter(tagged.values()))[0]
            struct = {**by_tag, "discriminator": {"propertyName": field, "mapping": mapping}}
            if not options and not nothing:
                return struct
            options.append(struct)
        else:
            options += [schema for _, schema in tagged.values()]
        return {"anyOf": [*options, *nothing]}

    def _defined(self, info: Any) -> str:
        """Return the name of the definition of a class, which is added if it is not there."""
        name = self._names.get(info.cls)
        if name is None:
            name = free_name(_class_name(info.cls), self.definitions)
            self._names[info.cls] = name
            self.definitions[name] = {}  # the name is taken, also where the class refers to itself
            shown = _shown(info.cls)
            body = _enumerated(info.cls) if isinstance(info, mi.EnumType) else self._record(info)
            self.definitions[name] = {**shown, **body}
        return name

    def _record(self, info: Any) -> dict[str, Any]:
        names, required = [], []
        fields: list[dict[str, Any]] = []
        if getattr(info, "tag_field", None) is not None:
            names.append(info.tag_field)
            required.append(info.tag_field)
            fields.append({"enum": [info.tag]})
        for field in info.fields:
            names.append(field.encode_name)
            if field.required:
                required.append(field.encode_name)
            fields.append({**self._of(field.type), **_default(field)})
        is_tuple = isinstance(info, mi.NamedTupleType)
        schema: dict[str, Any]
        if not is_tuple and not getattr(info, "array_like", False):
            properties = dict(zip(names, fields, strict=True))
            schema = {"type": "object", "properties": properties, "required": required}
            return {**schema, "additionalProperties": False} if _is_closed(info) else schema
        schema = {"type": "array", "prefixItems": fields} if fields else {"type": "array"}
        optional = len(list(itertools.takewhile(lambda one: not one.required, reversed(info.fields))))
        schema["minItems"] = len(fields) - optional
        if is_tuple or _is_closed(info):
            schema["maxItems"] = len(fields)
        return schema


def literal_choices(annotations: Iterable[Any]) -> Iterator[Any]:
    """Yield the choices of every `Literal` in `annotations`, as they were written."""
    for annotation in annotations:
        if get_origin(annotation) is Literal:
            for choice in get_args(annotation):
                yield from literal_choices([choice]) if get_origin(choice) is Literal else [choice]
        else:
            left = get_args(annotation)
            alias = getattr(annotation, "__value__", None)  # `type X = ...`
            yield from literal_choices((*left, alias) if alias is not None else left)


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """Return `name`, or what is like it and not taken, of the characters that a reference may have."""
    name = _UNSAFE.sub("_", name)
    candidates = (f"{name}{number or ''}" for number in range(len(taken) + 1))
    return next(candidate for candidate in candidates if candidate not in taken)


def _scalar(info: Any) -> dict[str, Any] | None:
    """Return the schema of what has no parts; None if `info` is of something else."""
    if isinstance(info, (mi.IntType, mi.FloatType)):
        kind = "integer" if isinstance(info, mi.IntType) else "number"
        return {"type": kind, **_bounds(info, _NUMBERS)}
    if isinstance(info, mi.StrType):
        return {"type": "string", **_bounds(info, _TEXTS)}
    if isinstance(info, _BINARY):
        lengths = {key: 4 * ((value + 2) // 3) for key, value in _bounds(info, _TEXTS).items()}
        return {"type": "string", "contentEncoding": "base64", **lengths}
    plain = _PLAIN.get(type(info))
    return None if plain is None else dict(plain)


def _bounds(info: Any, names: Mapping[str, str]) -> dict[str, Any]:
    stated = {key: getattr(info, name, None) for name, key in names.items()}
    return {key: value for key, value in stated.items() if value is not None}


def _is_text(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> bool:
    if "$ref" in schema:
        return _is_text(definitions.get(schema["$ref"].removeprefix(PREFIX), {}), {})
    if "anyOf" in schema:
        return all(_is_text(one, definitions) for one in schema["anyOf"])
    return schema.get("type") == "string"


def _choices(values: list[Any]) -> dict[str, Any]:
    """Return the schema of some values, with their type where they have one in common."""
    names = {_JSON_NAMES.get(type(value)) for value in values}
    one = names.pop() if len(names) == 1 else None
    return {"type": one, "enum": values} if one else {"enum": values}


def _enumerated(kind: type[enum.Enum]) -> dict[str, Any]:
    members = {id(member): member for member in kind.__members__.values()}.values()  # each alias once
    if not issubclass(kind, enum.Flag):
        return _choices([member.value for member in members])
    values = [member.value for member in members]
    mask = functools.reduce(operator.or_, values, 0)
    bits = [1 << place for place in range(mask.bit_length()) if mask >> place & 1]
    if len(bits) > _MAX_FLAGS:
        schema: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": mask}
    else:
        schema = {"type": "integer", "enum": sorted(_sums(bits))}
    if not _doc(kind):
        listed = ", ".join(f"{member.name} = {member.value}" for member in members)
        schema["description"] = f"A sum of: {listed}"
    return schema


def _sums(bits: list[int]) -> set[int]:
    sums = {0}
    for bit in bits:
        sums |= {value | bit for value in sums}
    return sums


def _default(field: Any) -> dict[str, Any]:
    if field.default is not msgspec.NODEFAULT:
        default = field.default
    elif field.default_factory in _EMPTY:
        default = field.default_factory()
    else:
        return {}
    return {"default": msgspec.json.decode(msgspec.json.encode(default, enc_hook=encode_hook))}


def _is_closed(info: Any) -> bool:
    return bool(getattr(info, "forbid_unknown_fields", False))


def _shown(kind: Any) -> dict[str, Any]:
    doc = _doc(getattr(kind, "__origin__", kind))
    title = {"title": _class_name(kind)}
    return {**title, "description": doc} if doc else title


def _class_name(kind: Any) -> str:
    origin = getattr(kind, "__origin__", None)
    if origin is None:
        return str(kind.__name__)
    arguments = ", ".join(one.__name__ if isinstance(one, type) else repr(one) for one in kind.__args__)
    return f"{origin.__name__}[{arguments}]"


def _doc(kind: Any) -> str:
    """Return what the author wrote of a class; what Python itself writes of it says nothing more."""
    doc = kind.__dict__.get("__doc__")
    if not isinstance(doc, str) or doc == "An enumeration.":
        return ""
    doc = inspect.cleandoc(doc)
    return "" if doc.startswith(f"{kind.__name__}(") and doc.endswith(")") else doc
