"""Declarations of tools, as people write them: of issues, and of the pages of FastMCP and the SDK.

Each row is a parameter's annotation, and its default where it has one. `test_signatures.py` compares what we
publish with what FastMCP and the SDK publish for the same.
"""

import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import pathlib
import re
import uuid
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, Optional, TypeVar, Union

import annotated_types as at
import pydantic
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

T = TypeVar("T")
NONE = object()


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    owner: str


class Address(BaseModel):
    street: str
    city: str
    zip_code: str | None = None


class User(BaseModel):
    """Somebody."""

    name: str = Field(description="how to call them", min_length=1)
    age: int = Field(ge=0, le=150)
    email: str | None = None
    address: Address | None = None
    tags: list[str] = []


class Node(BaseModel):
    value: int
    children: "list[Node]" = []


class Aliased(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    page_size: int = Field(alias="pageSize")


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None = None


class Root(pydantic.RootModel[list[int]]):
    pass


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass
class Label:
    text: str


@dataclass
class Line:
    start: Point
    end: Point
    names: list[str] = field(default_factory=list)


@pydantic.dataclasses.dataclass
class Checked:
    a: int


class Pair(NamedTuple):
    a: int
    b: str


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Level(enum.IntEnum):
    HIGH = 2
    LOW = 1


class Size(enum.StrEnum):
    SMALL = "s"
    LARGE = "l"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


PLAIN: dict[str, Any] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "bytes": bytes,
    "any": Any,
    "none": None,
    "list": list,
    "dict": dict,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "object_like": dict[str, Any],
    "list_int": list[int],
    "list_str": list[str],
    "list_any": list[Any],
    "list_list": list[list[int]],
    "list_dict": list[dict[str, Any]],
    "set_str": set[str],
    "frozenset_int": frozenset[int],
    "sequence": Sequence[int],
    "mapping": Mapping[str, int],
    "dict_int": dict[str, int],
    "dict_list": dict[str, list[int]],
    "dict_int_key": dict[int, str],
    "dict_float": dict[str, float],
    "tuple_two": tuple[int, str],
    "tuple_many": tuple[int, ...],
    "tuple_none": tuple[()],
    "tuple_three": tuple[float, float, float],
    "optional": int | None,
    "optional_old": Optional[str],  # noqa: UP045
    "union": int | str,
    "union_old": Union[int, str],  # noqa: UP007
    "union_three": int | float | str,
    "union_list": str | list[str],
    "union_dict": dict[str, int] | list[int],
    "optional_list": list[int] | None,
    "optional_dict": dict[str, str] | None,
    "list_optional": list[int | None],
    "bool_or_int": bool | int,
    "list_union": list[int | str],
}
CHOICES: dict[str, Any] = {
    "literal": Literal["a", "b"],
    "literal_order": Literal["z", "a", "m"],
    "literal_one": Literal["only"],
    "literal_int": Literal[3, 1, 2],
    "literal_mixed": Literal["a", 1],
    "literal_none": Literal["a"] | None,
    "literal_bool": Literal[True, False],
    "enum": Colour,
    "int_enum": Level,
    "str_enum": Size,
    "enum_list": list[Colour],
    "enum_optional": Colour | None,
    "flag": Right,
    "enum_key": dict[Colour, int],
    "literal_key": dict[Literal["z", "a"], int],
    "literal_list": list[Literal["json", "csv"]],
}
VALUES: dict[str, Any] = {
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "uuid": uuid.UUID,
    "decimal": decimal.Decimal,
    "path": pathlib.Path,
    "pure_path": pathlib.PurePosixPath,
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "ipv4_network": ipaddress.IPv4Network,
    "ipv6_network": ipaddress.IPv6Network,
    "ipv4_interface": ipaddress.IPv4Interface,
    "ipv6_interface": ipaddress.IPv6Interface,
    "fraction": fractions.Fraction,
    "pattern": re.Pattern,
    "pattern_str": re.Pattern[str],
    "zone": zoneinfo.ZoneInfo,
    "any_url": pydantic.AnyUrl,
    "http_url": pydantic.HttpUrl,
    "email": pydantic.EmailStr,
    "name_email": pydantic.NameEmail,
    "secret": pydantic.SecretStr,
    "byte_size": pydantic.ByteSize,
    "ip_any": pydantic.IPvAnyAddress,
    "json_int": pydantic.Json[list[int]],
    "past": pydantic.PastDate,
    "future": pydantic.FutureDatetime,
    "aware": pydantic.AwareDatetime,
    "uuid4": pydantic.UUID4,
    "file_path": pydantic.FilePath,
    "base64": pydantic.Base64Bytes,
    "paths": list[pathlib.Path],
    "optional_path": pathlib.Path | None,
    "optional_url": pydantic.AnyUrl | None,
    "dates": list[dt.date],
    "optional_datetime": dt.datetime | None,
    "text_or_date": str | dt.date,
    "date_or_datetime": dt.date | dt.datetime,
    "date_or_int": dt.date | int,
    "uuid_or_text": uuid.UUID | str,
    "decimals": dict[str, decimal.Decimal],
    "secret_optional": pydantic.SecretStr | None,
    "complex": complex,
}
RECORDS: dict[str, Any] = {
    "model": User,
    "model_nested": Address,
    "model_optional": User | None,
    "model_list": list[User],
    "model_dict": dict[str, Address],
    "model_recursive": Node,
    "model_alias": Aliased,
    "model_closed": Closed,
    "model_generic": Page[int],
    "model_root": Root,
    "models": Cat | Dog,
    "models_optional": Cat | Dog | None,
    "models_tagged": Annotated[Cat | Dog, Field(discriminator="kind")],
    "models_list": list[Cat | Dog],
    "models_dict": dict[str, Cat | Dog],
    "model_or_int": Cat | int,
    "model_or_text": Cat | str,
    "dataclass": Point,
    "dataclass_nested": Line,
    "dataclass_optional": Point | None,
    "dataclass_list": list[Point],
    "dataclasses": Point | Label,
    "dataclass_or_model": Point | Cat,
    "pydantic_dataclass": Checked,
    "named_tuple": Pair,
    "typed_dict": Movie,
    "typed_dict_list": list[Movie],
    "tuple_model": tuple[Address, int],
}
BOUNDS: dict[str, Any] = {
    "ge": Annotated[int, Field(ge=1)],
    "between": Annotated[int, Field(ge=1, le=100)],
    "gt": Annotated[float, Field(gt=0)],
    "lt": Annotated[float, Field(lt=10)],
    "multiple": Annotated[int, Field(multiple_of=5)],
    "length": Annotated[str, Field(min_length=2, max_length=10)],
    "pattern_bound": Annotated[str, Field(pattern="^[A-Z]{3}$")],
    "items": Annotated[list[int], Field(min_length=1, max_length=5)],
    "dict_size": Annotated[dict[str, int], Field(max_length=3)],
    "described": Annotated[int, Field(description="how many")],
    "text": Annotated[int, "how many"],
    "titled": Annotated[int, Field(title="Count")],
    "examples": Annotated[str, Field(examples=["a", "b"])],
    "extra": Annotated[int, Field(json_schema_extra={"x-unit": "m"})],
    "optional_ge": Annotated[int | None, Field(ge=1)],
    "optional_length": Annotated[str | None, Field(max_length=5)],
    "inner_ge": list[Annotated[int, Field(ge=0)]],
    "at_ge": Annotated[int, at.Ge(1)],
    "at_len": Annotated[str, at.Len(1, 5)],
    "at_interval": Annotated[int, at.Interval(ge=1, lt=9)],
    "positive": pydantic.PositiveInt,
    "non_negative": pydantic.NonNegativeFloat,
    "conint": pydantic.conint(ge=1),
    "constr": pydantic.constr(max_length=3),
    "conlist": pydantic.conlist(int, min_length=1),
    "strict_int": pydantic.StrictInt,
    "strict_str": pydantic.StrictStr,
    "decimal_gt": Annotated[decimal.Decimal, Field(gt=0)],
    "upper": Annotated[str, pydantic.AfterValidator(str.upper)],
    "before": Annotated[int, pydantic.BeforeValidator(int)],
    "stripped": Annotated[str, pydantic.StringConstraints(strip_whitespace=True)],
    "stated": Annotated[int, Field(default=4)],
    "stated_list": Annotated[list[int], Field(default_factory=list)],
    "deprecated": Annotated[int, Field(deprecated=True)],
    "with_schema": Annotated[int, pydantic.WithJsonSchema({"type": "integer", "minimum": 3})],
}
DEFAULTS: dict[str, tuple[Any, Any]] = {
    "default_int": (int, 5),
    "default_str": (str, "a"),
    "default_bool": (bool, False),
    "default_none": (int | None, None),
    "default_float": (float, 0.5),
    "default_list": (list[int], []),
    "default_dict": (dict[str, int], {}),
    "default_enum": (Colour, Colour.GREEN),
    "default_literal": (Literal["a", "b"], "b"),
    "default_ge": (Annotated[int, Field(ge=1)], 2),
    "default_optional_ge": (Annotated[int | None, Field(ge=1)], None),
    "default_path": (pathlib.Path, pathlib.Path("a")),
    "default_date": (dt.date, dt.date(2026, 1, 2)),
    "default_model": (Address | None, None),
    "default_tuple": (tuple[int, int], (1, 2)),
    "field_default": (int, Field(default=4, ge=1)),
    "field_required": (str, Field(description="what to look for")),
    "field_factory": (list[str], Field(default_factory=list)),
    "default_union": (int | str, 3),
    "default_decimal": (decimal.Decimal, decimal.Decimal("1.5")),
}


def declarations() -> dict[str, tuple[Any, Any]]:
    """Return (annotation, default or NONE) of every row."""
    rows = {**PLAIN, **CHOICES, **VALUES, **RECORDS, **BOUNDS}
    return {**{name: (kind, NONE) for name, kind in rows.items()}, **DEFAULTS}


def function_of(annotation: Any, default: Any) -> Any:
    """Return a tool with one parameter."""
    if default is NONE:

        def tool(x): ...
    else:

        def tool(x=default): ...

    tool.__annotations__ = {"x": annotation}
    return tool
