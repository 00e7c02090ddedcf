"""From ``module:server`` on a command line to `Server` objects."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from longreach.errors import ConfigError, LongreachError

if TYPE_CHECKING:
    from longreach.actor.server import Server


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
    for target in targets:
        server = _load(target)
        if server not in servers:
            servers.append(server)
    return servers


def _load(target: str) -> Server:
    from longreach.actor.server import Server

    name, _, attribute = target.partition(":")
    module = _import_file(name) if name.endswith(".py") else _import(name, name)
    if attribute:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part, None)
        if isinstance(found, Server):
            return found
        what = "is no Server" if found is not None else "is not there"
        raise ConfigError(f"{attribute} of {name} {what}{_choices(module)}")
    mine = _servers_of(module)
    if len(set(mine.values())) == 1:
        return next(iter(mine.values()))
    raise ConfigError(f"{name} holds {len(mine) or 'no'} servers; write {name}:NAME{_choices(module)}")


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
        raise ConfigError(
            f"importing {target} failed: {type(error).__name__}: {error} (--debug shows where)"
        ) from error
