"""`KeyFile`: what a file of keys says, read again when it has changed.

A file that cannot be read any more, or holds no keys, leaves what was there before: keys are rotated while
everything runs, and a slip in the file must not end it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.errors import ConfigError
from longreach.observe import event

T = TypeVar("T")


class KeyFile(Generic[T]):
    """What a file says, as `parse` understands it.

    Args:
        file: its path.
        what: how messages call it: ``"the claims key"``.
        name: of the events ``<name>.read`` and ``<name>.unreadable``.
        parse: makes the value of the text.
        log: gets the events, which hold no key.
        every_s: the file is looked at no more often; 0: whenever `current` is asked.
        clock: the time.

    Raises:
        ConfigError: it cannot be read, or `parse` says that it holds no keys.
    """

    def __init__(
        self,
        file: str | Path,
        what: str,
        name: str,
        parse: Callable[[str], T],
        log: logging.Logger,
        *,
        every_s: float = 0.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.path = Path(file)
        self._what = what
        self._name = name
        self._parse = parse
        self._log = log
        self._every_s = every_s
        self._clock = clock
        self._mark = self._look()
        self._looked_at = clock.monotonic()
        self._value = self._read()

    def current(self) -> T:
        """What it says now; the same object for as long as it says the same."""
        if self._every_s:
            now = self._clock.monotonic()
            if now - self._looked_at < self._every_s:
                return self._value
            self._looked_at = now
        mark = self._look()
        if mark != self._mark:
            self._mark = mark
            try:
                self._value = self._read()
            except ConfigError as error:
                event(self._log, f"{self._name}.unreadable", logging.WARNING, reason=str(error))
            else:
                event(self._log, f"{self._name}.read", file=str(self.path))
        return self._value

    def _look(self) -> tuple[int, ...]:
        """What tells one state of the file from another."""
        try:
            status = os.stat(self.path)
        except OSError:
            return ()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> T:
        try:
            text = self.path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(f"{self._what} {self.path} cannot be read: {reason}") from None
        return self._parse(text)
