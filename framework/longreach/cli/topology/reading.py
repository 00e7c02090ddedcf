"""From TOML text to a `Description`: shapes, and unknown keys. What fits together is `checking`'s."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from longreach.cli.topology import model
from longreach.errors import ConfigError

E = TypeVar("E", bound=model.Entry)

_TABLES: dict[str, type[model.Entry]] = {
    "regions": model.Region,
    "edges": model.Edge,
    "brokers": model.Broker,
    "namespaces": model.Namespace,
    "servers": model.Server,
    "nodes": model.Node,
    "callers": model.Caller,
    "gateways": model.Gateway,
    "operators": model.Operator,
}
_TOP = ("name", "credentials", "tls")
_CREDENTIALS = ("nkeys", "jwt")
_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"\s*([\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")
_PART = re.compile(r"\"[^\"]*\"|'[^']*'|[\w-]+")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
DEFAULT_NAMESPACE = "default"


class Wrong(ConfigError):
    """Something in a description is not right; the message says where, and what to do."""


class Text:
    """Where things are in the text of a description, found as people write TOML.

    Args:
        text: TOML.
        source: what messages call it.
    """

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        self._lines: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                table = _keys(header[1])
                self._lines.setdefault(table, number)
            elif key := _KEY.match(line):
                self._lines.setdefault((*table, *_keys(key[1])), number)

    def wrong(self, path: tuple[str, ...], message: str) -> Wrong:
        """An error about the key at `path`, such as ``("callers", "alice", "may")``."""
        prefixes = [path[:length] for length in range(len(path), 0, -1)]
        line = next((found for prefix in prefixes if (found := self._line(prefix)) is not None), None)
        where = f"{self._source}:{line}" if line else self._source
        return Wrong(f"{where}: {'.'.join(path)}: {message}")

    def _line(self, path: tuple[str, ...]) -> int | None:
        """The line of a key or table, or of the first one below it."""
        return self._lines.get(path) or next(
            (number for keys, number in self._lines.items() if keys[: len(path)] == path), None
        )


def _keys(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(text))


def read(text: str, source: str = "topology.toml") -> tuple[model.Description, Text]:
    """The description that `text` holds, not checked yet, and where things are in it.

    Raises:
        ConfigError: it is no TOML, a key is unknown or missing, a value is not what its key takes.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Wrong(f"{source} is no TOML: {error}") from None
    where = Text(text, source)
    _refuse_unknown(where, (), found, (*_TOP, *_TABLES))
    tables = {name: _table(where, name, kind, found.get(name, {})) for name, kind in _TABLES.items()}
    namespaces = tables["namespaces"]
    for kind in ("servers", "nodes", "callers", "gateways", "operators"):
        for entry in tables[kind].values():
            namespaces.setdefault(entry.namespace, model.Namespace())
    credentials = found.get("credentials", "nkeys")
    if credentials not in _CREDENTIALS:
        raise where.wrong(("credentials",), f"takes nkeys or jwt, not {credentials!r}")
    name = found.get("name", "longreach")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise where.wrong(("name",), "takes 1 to 64 of letters, digits, '_' and '-'")
    tls = _entry(where, ("tls",), model.Tls, found["tls"]) if "tls" in found else model.Tls(mode="off")
    return model.Description(name=name, credentials=credentials, tls=tls, **tables), where


def _table(where: Text, name: str, kind: type[E], found: Any) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise where.wrong((name,), f"takes tables: write [{name}.NAME]")
    for key in found:
        if not _NAME.fullmatch(key) or key == "_":
            raise where.wrong(
                (name, key), "a name is 1 to 64 of letters, digits, '_' and '-'; name = sets another"
            )
    return {key: _entry(where, (name, key), kind, entry) for key, entry in found.items()}


def _entry(where: Text, path: tuple[str, ...], kind: type[E], found: Any) -> E:
    if not isinstance(found, Mapping):
        raise where.wrong(path, f"takes a table: write [{'.'.join(path)}]")
    _refuse_unknown(where, path, found, kind.__struct_fields__)
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$.")
        key = re.split(r"[`.\[]", at, maxsplit=1)[0] if at else ""
        raise where.wrong((*path, key) if key else path, _plain(message)) from None


def _plain(message: str) -> str:
    missing = re.fullmatch(r"Object missing required field `(.*)`", message)
    return (
        f"the key {missing[1]!r} is missing"
        if missing
        else message[0].lower() + message[1:].replace("`", "'")
    )


def _refuse_unknown(where: Text, path: tuple[str, ...], found: Iterable[str], known: Iterable[str]) -> None:
    names = tuple(known)
    for key in found:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"
            raise where.wrong((*path, key), f"is an unknown key; {hint}")
