"""Commands that other packages bring: described without an import, and explained where an extra is missing.

An entry point of the group ``longreach.commands`` is a command. Its line in ``longreach --help`` is the first
line of the command's docstring, read from the source: importing the gateway for its help would cost 0.5 s and
more, and would fail where its extra is not installed. A module that needs an extra says so in a constant,
``EXTRA``.
"""

from __future__ import annotations

import ast
import re
from importlib import metadata, util
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

import click

_REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)[^;]*;(?P<marker>.*)$")


class Plugin(NamedTuple):
    """A command of another package.

    Attributes:
        name: of the command.
        target: ``module:attribute``.
        dist: the distribution that brings it; None where that is not known.
    """

    name: str
    target: str
    dist: metadata.Distribution | None = None

    @property
    def help(self) -> str:
        """One line: what it does, and which extra it needs where that is missing. Imports nothing."""
        source = _parse(self.target.partition(":")[0])
        text = None if source is None else _first_line(source, self.target.partition(":")[2])
        if source is None or text is None:
            return f"From {self.target}."
        extra = _extra_of(source)
        if extra is None or not _missing(self.dist, extra):
            return text
        return f"{text} Needs {self._install(extra)}."

    def explain_missing(self, error: ModuleNotFoundError) -> None:
        """Name the extra where `error` is about a package of it; do nothing where it is not.

        Raises:
            click.ClickException: names the package that is missing, and what to install.
        """
        source = _parse(self.target.partition(":")[0])
        extra = None if source is None else _extra_of(source)
        top, missing = self.target.partition(".")[0], (error.name or "").partition(".")[0]
        if extra is None or missing in ("", "longreach", top):
            return
        text = f"{self.name} needs the package {missing}: {self._install(extra)}"
        raise click.ClickException(text) from error

    def _install(self, extra: str) -> str:
        name = self.dist.metadata["Name"] if self.dist is not None else "longreach"
        return f"pip install '{name}[{extra}]'"


def find_plugins(group: str) -> dict[str, Plugin]:
    """Find every command that another package brings, by name.

    Args:
        group: of entry points.
    """
    points = metadata.entry_points(group=group)
    return {point.name: Plugin(point.name, point.value, point.dist) for point in points}


def require(*modules: str) -> None:
    """Check that modules are installed, for a command that imports them when the first request needs them.

    Raises:
        ModuleNotFoundError: one is not.
    """
    for module in modules:
        try:
            found = util.find_spec(module)
        except ValueError:  # it is marked as missing, or half imported
            found = None
        if found is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def _parse(module: str) -> ast.Module | None:
    """The source of `module`, parsed; None where there is none. Neither it nor its packages are imported."""
    path: list[str] | None = None
    spec = None
    for end in range(1, module.count(".") + 2):
        spec = PathFinder.find_spec(".".join(module.split(".")[:end]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        return ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _first_line(source: ast.Module, function: str) -> str | None:
    """The first line of the docstring of a top-level function."""
    for node in source.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            text = ast.get_docstring(node)
            return None if not text else text.partition("\n\n")[0].replace("\n", " ").strip()
    return None


def _extra_of(source: ast.Module) -> str | None:
    """The constant ``EXTRA`` of a module."""
    for node in source.body:
        if (
            isinstance(node, ast.Assign)
            and [target.id for target in node.targets if isinstance(target, ast.Name)] == ["EXTRA"]
            and isinstance(node.value, ast.Constant)
        ):
            return str(node.value.value)
    return None


def _missing(dist: metadata.Distribution | None, extra: str) -> bool:
    """Return whether a distribution of an extra is not installed; only its own marker is looked at."""
    wanted = re.compile(rf"""extra\s*==\s*['"]{re.escape(extra)}['"]""")
    for text in (dist.requires or ()) if dist is not None else ():
        found = _REQUIREMENT.match(text)
        if found is not None and wanted.search(found["marker"]):
            try:
                metadata.distribution(found["name"])
            except metadata.PackageNotFoundError:
                return True
    return False
