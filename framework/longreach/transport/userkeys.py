"""The key ring of one user: a file beside what is known of the embedded broker, made on first use."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from longreach.errors import ConfigError
from longreach.transport._runtime import RuntimeDir

_NAME = "state.keys"


def user_key_file(make: Callable[[], str], runtime_dir: Path | None = None) -> Path:
    """The file that holds this user's keys; where there is none, one with what `make` says.

    Of several processes that come here at once one makes it, whole, and the others find it.

    Args:
        make: the contents of a new file.
        runtime_dir: the private folder; None: the user's own.

    Raises:
        ConfigError: there is no private folder, or the file cannot be made.
    """
    path = RuntimeDir(runtime_dir).path / _NAME
    if path.exists():
        return path
    draft = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.draft")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(make())
            with contextlib.suppress(FileExistsError):  # another process was faster: its keys count
                os.link(draft, path)
        finally:
            draft.unlink()
    except OSError as error:
        raise ConfigError(f"the key file {path} cannot be made: {error.strerror}") from None
    return path
