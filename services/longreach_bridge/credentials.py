"""Secrets for foreign servers: from the environment or from files, never from a command line.

A file is read again when it has changed, so that a renewed token needs no restart.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from longreach.errors import ConfigError

_MAX_BYTES = 64 * 1024
_CONTROL = frozenset("\r\n\0")


class SecretFile:
    """A file that holds one secret.

    Args:
        path: of the file.

    Raises:
        ConfigError: it cannot be read now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark: tuple[int, int, int] | None = None
        self._text = ""
        _ = self.read()

    def read(self) -> str:
        """The secret, as it is now; the last one while the file is being replaced."""
        try:
            found = os.stat(self._path)
            mark = (found.st_mtime_ns, found.st_size, found.st_ino)
            if mark != self._mark:
                self._text = self._fresh()
                self._mark = mark
        except (OSError, ValueError) as error:
            if self._mark is None:
                raise ConfigError(f"{self._path} cannot be read: {error}") from None
        return self._text

    def _fresh(self) -> str:
        with self._path.open("rb") as file:
            text = file.read(_MAX_BYTES).decode().strip()
        if not text or _CONTROL & set(text):
            raise ValueError("it must hold one line, which is not empty")
        return text


class HeaderSecrets:
    """The headers with which a URL is asked.

    Args:
        fixed: headers whose values do not change.
        files: headers whose values are in files.
        bearer_file: a file that holds a bearer token.
    """

    def __init__(
        self, fixed: Mapping[str, str], files: Mapping[str, Path], bearer_file: Path | None = None
    ) -> None:
        self._fixed = dict(fixed)
        self._files = {name: SecretFile(path) for name, path in files.items()}
        self._bearer = SecretFile(bearer_file) if bearer_file is not None else None

    def __call__(self) -> dict[str, str]:
        """The headers as they are now."""
        headers = self._fixed | {name: file.read() for name, file in self._files.items()}
        if self._bearer is not None:
            headers["Authorization"] = f"Bearer {self._bearer.read()}"
        return headers


def header_secrets(
    *,
    bearer_token: str | None,
    bearer_token_file: str | None,
    header_env: Mapping[str, str],
    header_file: Mapping[str, str],
    environment: Mapping[str, str] = os.environ,
) -> HeaderSecrets:
    """The headers that settings speak of.

    Raises:
        ConfigError: a variable is not set, or a file cannot be read.
    """
    missing = sorted({variable for variable in header_env.values() if not environment.get(variable)})
    if missing:
        raise ConfigError(f"--header-env names {', '.join(missing)}, which the environment does not have")
    fixed = {name: environment[variable] for name, variable in header_env.items()}
    if bearer_token:
        fixed["Authorization"] = f"Bearer {bearer_token}"
    if any(_CONTROL & set(text) for pair in fixed.items() for text in pair):
        raise ConfigError("a header and its value are one line each")
    files = {name: Path(path).expanduser() for name, path in header_file.items()}
    return HeaderSecrets(fixed, files, Path(bearer_token_file) if bearer_token_file else None)


def read_env_file(path: Path) -> dict[str, str]:
    """The variables in a file of lines ``NAME=value``; ``#`` begins a comment, quotes around a value go.

    Raises:
        ConfigError: it cannot be read, or has a line that is none; the message never quotes a line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier() or "\0" in value:
            raise ConfigError(f"line {number} of {path} is not NAME=value")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name.strip()] = value
    return found
