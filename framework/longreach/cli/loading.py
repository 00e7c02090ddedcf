"""From ``module:server`` on a command line to `Server` objects.

An object that is no `Server` is shown to the adapters, the entry points of the group `longreach.adapters`:
the bridge makes servers of what was written for the official SDK or for FastMCP.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from longreach.errors import ConfigError, LongreachError

if TYPE_CHECKING:
    from longreach.actor.server import Server

ADAPTERS = "longreach.adapters"
_NEEDS_EXTRA = "servers of the official SDK and of FastMCP need `pip install 'longreach[bridge]'`"
_SDK = frozenset({"mcp", "mcp_types", "fastmcp"})

Adapter: TypeAlias = "Callable[[object], Server | None]"
"""Makes a `Server` of an object of its kind; None for any other."""


def load_servers(targets: Iterable[str]) -> list[Server]:
    """Import what is named, in order; each server once.

    Args:
        targets: ``module:server``, ``file.py:server``, or without ``:server`` where the module has just one.

    Raises:
        ConfigError: a module or server is not there, or its code raises as it is imported.
        DeclarationError: a handler cannot be one.
    """
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    servers: list[Server] = []
    adapters = _Adapters()
    for target in targets:
        server = _load(target, adapters)
        if server not in servers:
            servers.append(server)
    return servers


def _load(target: str, adapters: _Adapters) -> Server:
    from longreach.actor.server import Server

    name, _, attribute = target.partition(":")
    module = _import_file(name) if name.endswith(".py") else _import(name, name)
    if attribute:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        server = found if isinstance(found, Server) else adapters.adapt(found)
        if server is not None:
            return server
        what = f"is no Server{adapters.missing()}" if found is not None else "is not there"
        raise ConfigError(f"{attribute} of {name} {what}{_choices(module)}")
    # Adapters cost a second to import, so they are asked only where nothing of ours is found.
    mine = _servers_of(module) or adapters.adapt_all(module)
    if len(set(mine.values())) == 1:
        return next(iter(mine.values()))
    choices = f"; its servers are {', '.join(sorted(mine))}" if mine else _choices(module)
    held = len(set(mine.values())) or "no"
    raise ConfigError(f"{name} holds {held} servers; write {name}:NAME{choices}{adapters.missing()}")


class _Adapters:
    """Makes servers of foreign objects, one of each; loaded when the first is asked for."""

    def __init__(self) -> None:
        self._loaded: list[Adapter] | None = None
        self._failed: list[str] = []
        self._made: dict[int, tuple[object, Server]] = {}  # with the object, so that its id stays its own

    def adapt(self, found: object) -> Server | None:
        """The server made of `found`; None: no adapter knows such an object."""
        if found is None:
            return None
        known = self._made.get(id(found))
        if known is not None:
            return known[1]
        server = next((made for adapter in self._adapters() if (made := adapter(found)) is not None), None)
        if server is not None:
            self._made[id(found)] = (found, server)
        return server

    def adapt_all(self, module: ModuleType) -> dict[str, Server]:
        """The servers made of what `module` holds, by the names there."""
        adapted = {name: self.adapt(value) for name, value in vars(module).items()}
        return {name: server for name, server in adapted.items() if server is not None}

    def missing(self) -> str:
        """What to say of adapters that could not be loaded; empty if all were."""
        return "".join(f" ({failure})" for failure in self._failed)

    def _adapters(self) -> list[Adapter]:
        if self._loaded is None:
            self._loaded = []
            for point in entry_points(group=ADAPTERS):
                try:
                    self._loaded.append(point.load())
                except ImportError as error:
                    self._failed.append(f"{_NEEDS_EXTRA}: {error}")
        return self._loaded


def _servers_of(module: ModuleType) -> dict[str, Server]:
    from longreach.actor.server import Server

    return {name: value for name, value in vars(module).items() if isinstance(value, Server)}


def _choices(module: ModuleType) -> str:
    names = sorted(_servers_of(module))
    return f"; its servers are {', '.join(names)}" if names else "; a server is made by Server(...)"


def _import_file(name: str) -> ModuleType:
    """Import a file as the module that its folder makes it, so that processes of handlers find it too."""
    path = Path(name).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(f"there is no file {name}")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = _import(path.stem, name)
    if Path(module.__file__ or "").resolve() != path:
        raise ConfigError(f"{name} cannot be loaded: another module is called {path.stem}; rename the file")
    return module


def _import(name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except LongreachError:
        raise
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        if missing and (name == error.name or name.startswith(f"{error.name}.")):  # type: ignore[attr-defined]
            raise ConfigError(
                f"there is no module {error.name!r} for {target}: run this where it can be imported, "  # type: ignore[attr-defined]
                f"or write the path of its file, such as path/{name.rpartition('.')[2]}.py"
            ) from error
        hint = "; install longreach[bridge]" if missing and error.name in _SDK else ""  # type: ignore[attr-defined]
        raise ConfigError(
            f"importing {target} failed: {type(error).__name__}: {error}{hint} (--debug shows where)"
        ) from error
