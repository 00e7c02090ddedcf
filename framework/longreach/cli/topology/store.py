"""The folder of a topology: reading what is kept, writing what is made, comparing both. The only I/O here."""

from __future__ import annotations

import difflib
import os
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from longreach.cli.topology import checking, reading
from longreach.cli.topology.accounts import credentials
from longreach.cli.topology.brokers import ACCOUNTS, CONFIG
from longreach.cli.topology.generate import File, generate
from longreach.cli.topology.members import members
from longreach.cli.topology.model import Description
from longreach.cli.topology.vault import Vault
from longreach.errors import ConfigError

KEYS, BROKERS = "keys", "brokers"
_PRIVATE_MODE, _PUBLIC_MODE, _FOLDER_MODE = 0o600, 0o644, 0o700
MANIFEST = "files.txt"
"""What the last generation wrote: of these files, those that are not made any more are removed. No others."""


class Change(NamedTuple):
    """What a new generation does to one file: ``new``, ``changed`` or ``gone``."""

    kind: str
    path: str


class Plan(NamedTuple):
    """A generation that is not written yet.

    Attributes:
        description: what it is made of.
        files: all that there will be.
        kept: the secrets, old and new.
        changes: compared with the folder as it is.
    """

    description: Description
    files: Mapping[str, File]
    kept: Mapping[str, str]
    changes: tuple[Change, ...]

    @property
    def to_reload(self) -> tuple[str, ...]:
        """Brokers that a SIGHUP brings up to date."""
        told = {*self.to_restart, *self.to_stop}
        return tuple(name for name in self._brokers(lambda change: True) if name not in told)

    @property
    def to_restart(self) -> tuple[str, ...]:
        """Brokers that are new, or must be restarted, one after the other."""
        gone = self.to_stop
        touched = self._brokers(lambda change: not change.path.endswith(f"/{ACCOUNTS}"))
        return tuple(name for name in touched if name not in gone)

    @property
    def to_stop(self) -> tuple[str, ...]:
        """Brokers that there are no more."""
        return self._brokers(lambda change: change.kind == "gone" and change.path.endswith(f"/{CONFIG}"))

    def _brokers(self, which: Callable[[Change], bool]) -> tuple[str, ...]:
        paths = (
            change.path for change in self.changes if change.path.startswith(f"{BROKERS}/") and which(change)
        )
        return tuple(sorted({path.split("/")[1] for path in paths}))


def load(path: Path) -> Description:
    """The checked description in a file.

    Raises:
        ConfigError: it cannot be read, or is not right.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    made, where = reading.read(text, str(path))
    return checking.check(made, where)


def plan(made: Description, folder: Path, *, root: str | None = None) -> Plan:
    """What `write` would write, and how it differs from what is there.

    Args:
        made: the description.
        folder: of the topology; need not exist.
        root: where the brokers' files will be when they run; None: in `folder`.

    Raises:
        ConfigError: the folder cannot be read.
    """
    try:
        vault = Vault(_kept(folder / KEYS), secrets.token_bytes)
        files = generate(made, vault, root=root or str(folder.resolve()), now=datetime.now(UTC))
        before = (folder / MANIFEST).read_text().splitlines() if (folder / MANIFEST).exists() else []
        old = {
            path: (folder / path).read_text(encoding="utf-8")
            for path in dict.fromkeys([*before, *files])
            if (folder / path).is_file()
        }
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder} cannot be read: {error}") from None
    changes = [
        Change("new" if path not in old else "changed", path)
        for path, file in files.items()
        if old.get(path) != file.text
    ]
    changes += [Change("gone", path) for path in old if path not in files and not path.startswith(f"{KEYS}/")]
    # Whoever is gone and comes back is somebody new: what was copied of old keys must open nothing.
    lost = [f"{KEYS}/{name}" for name in vault.texts if name not in vault.used]
    changes += [Change("gone", path) for path in lost if path in before]
    return Plan(
        made,
        files,
        {name: text for name, text in vault.texts.items() if name in vault.used},
        tuple(sorted(changes, key=lambda change: change.path)),
    )


def write(made: Plan, folder: Path) -> None:
    """Write a generation; each file is there whole, the old or the new one.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for name, text in made.kept.items():
            _put(folder, f"{KEYS}/{name}", File(text))
        for path, file in made.files.items():
            _put(folder, path, file)
        for change in made.changes:
            if change.kind == "gone":
                (folder / change.path).unlink(missing_ok=True)
        written = sorted([*made.files, *(f"{KEYS}/{name}" for name in made.kept)])
        _put(folder, MANIFEST, File("".join(f"{path}\n" for path in written)))
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error}") from None


def renew(made: Description, folder: Path, user: str, expires_at: int) -> str:
    """A creds file for a user, such as ``callers/alice``, that ends at a time (seconds since the epoch).

    Raises:
        ConfigError: there are no JWTs, no such user, or it was not written yet.
    """
    if made.credentials != "jwt":
        raise ConfigError('only JWTs end: write credentials = "jwt" at the top of the description')
    everybody = {member.id: member for member in members(made)}
    if user not in everybody:
        near = difflib.get_close_matches(user, everybody, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(everybody)}"
        raise ConfigError(f"{user!r} is no user of the description; {hint}")
    try:
        vault = Vault(_kept(folder / KEYS), secrets.token_bytes)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder} cannot be read: {error}") from None
    known = set(vault.texts)
    given = credentials(made, everybody[user], vault, expires_at).creds
    if vault.texts.keys() - known or given is None:
        raise ConfigError(f"{folder} has no keys of {user}: `longreach topology write` makes them")
    return given


def _make_folder(path: Path, top: Path) -> None:
    """`path` and what is above it up to `top`; all of them are their owner's alone."""
    for each in reversed([path, *path.parents]):
        if each == top or top in each.parents:
            each.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def _put(folder: Path, name: str, file: File) -> None:
    path = folder / name
    _make_folder(path.parent, folder)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    mode = _PRIVATE_MODE if file.private else _PUBLIC_MODE
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(file.text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _kept(folder: Path) -> dict[str, str]:
    """All secrets below `folder`, by their path; none if it is not there."""
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }
