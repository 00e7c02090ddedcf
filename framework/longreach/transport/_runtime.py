"""Where processes of one user find each other: a private folder, a lock, and what is known of the broker."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from longreach.errors import BrokerUnavailable, ConfigError

_LOCK_TIMEOUT_S = 15.0
_LOCK_POLL_S = 0.02


class BrokerState(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the embedded broker that ran here last; it may be gone."""

    url: str
    port: int
    token: str
    server_name: str
    broker_pid: int
    owner_pid: int
    started_ms: int

    def __repr__(self) -> str:
        """Without the token."""
        return f"BrokerState(url={self.url!r}, broker_pid={self.broker_pid}, owner_pid={self.owner_pid})"


class RuntimeDir:
    """The folder of one user.

    Args:
        path: the folder; None: ``LONGREACH_RUNTIME_DIR``, else ``longreach`` in ``XDG_RUNTIME_DIR``, else
            ``longreach-<uid>`` in the folder for temporary files.

    Raises:
        ConfigError: the folder is somebody else's, or others may look into it: it holds a token.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or _default_path()
        self.config = self.path / "broker.conf"
        self.log = self.path / "broker.log"
        self._state = self.path / "broker.json"
        self._lock = self.path / "broker.lock"
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.path.lstat()
        except OSError as error:
            raise ConfigError(f"the runtime folder {self.path} cannot be made: {error.strerror}") from None
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise ConfigError(f"{self.path} is not a folder of yours; set LONGREACH_RUNTIME_DIR to one")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigError(f"{self.path} is open to others and would hold a token: chmod 700 {self.path}")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock among the processes of this user.

        Raises:
            BrokerUnavailable: another process holds it for too long.
            ConfigError: nothing can be written into the folder.
        """
        try:
            descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            _lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def read(self) -> BrokerState | None:
        """What is known of the broker; None if nothing, or nothing that can be read."""
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=BrokerState)
        except (OSError, msgspec.MsgspecError):
            return None

    def write(self, state: BrokerState) -> None:
        """Replace what is known.

        Raises:
            ConfigError: nothing can be written into the folder.
        """
        try:
            write_private(self._state, msgspec.json.encode(state))
        except OSError as error:
            raise _unwritable(self.path, error) from None


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    what = f"the runtime folder {folder} cannot be written: {error.strerror}"
    return ConfigError(
        f"{what}; set LONGREACH_RUNTIME_DIR to a folder of yours, or name a broker with --nats"
    )


def write_private(path: Path, data: bytes) -> None:
    """Replace the file at once, readable by its owner only from the first moment."""
    draft = path.with_suffix(f".{os.getpid()}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    draft.replace(path)


def _default_path() -> Path:
    named = os.environ.get("LONGREACH_RUNTIME_DIR")
    if named:
        return Path(named)
    xdg = os.environ.get("XDG_RUNTIME_DIR")
    if xdg and Path(xdg).is_dir():
        return Path(xdg) / "longreach"
    return Path(tempfile.gettempdir()) / f"longreach-{os.getuid()}"


def _lock(descriptor: int) -> None:
    give_up_at = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_at:
                raise BrokerUnavailable("another process is starting the embedded broker and hangs") from None
            time.sleep(_LOCK_POLL_S)
        else:
            return
