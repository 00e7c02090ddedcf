"""Where a node's key ring comes from: settings, a file, the user's own file, or nowhere but this process."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from longreach.actor.states import EphemeralKeys, KeySource, warn_of_ephemeral
from longreach.keyfile import KeyFile
from longreach.policy.sealing import KeyRing, is_ephemeral, key_line, new_key, parse_keys
from longreach.transport.userkeys import user_key_file

if TYPE_CHECKING:
    from longreach.node.settings import NodeSettings

_log = logging.getLogger("longreach.node.keys")
_HEADER = "# longreach: keys that seal request states. The first one seals, all of them open.\n"


class ConfiguredKeys:
    """The keys of a file, read again when it changes, then those that the settings hold.

    A file that cannot be read any more, or holds no keys, leaves those that were there before.

    Args:
        file: the file; None without one.
        texts: keys as ``id:base64``.

    Raises:
        ConfigError: there are no keys, or one is malformed.
    """

    def __init__(self, file: str | Path | None, texts: tuple[str, ...] = ()) -> None:
        self._given = parse_keys("\n".join(texts), "state_keys").keys if texts else ()
        self._warned = False
        self._path = None if file is None else str(file)
        self._file = None if file is None else KeyFile(file, "the key file", "state_keys", self._parse, _log)
        self._alone = KeyRing(self._given) if self._file is None else None

    def ring(self, *, sealing: bool) -> KeyRing:
        """The ring as it is now."""
        ring = self._alone if self._file is None else self._file.current()
        assert ring is not None
        if sealing and not self._warned and is_ephemeral(ring.keys[0]):
            self._warned = True
            warn_of_ephemeral()
        return ring

    def _parse(self, text: str) -> KeyRing:
        assert self._path is not None
        keys = parse_keys(text, self._path).keys
        known = {key.id for key in keys}
        return KeyRing((*keys, *(key for key in self._given if key.id not in known)))


class UserKeys:
    """The keys of the user whose embedded broker this node uses; their file is made on first use."""

    def __init__(self, runtime_dir: Path | None = None) -> None:
        self._runtime_dir = runtime_dir
        self._keys: ConfiguredKeys | None = None

    def ring(self, *, sealing: bool) -> KeyRing:
        """The ring as it is now.

        Raises:
            ConfigError: there is no private folder, or the file holds no keys.
        """
        if self._keys is None:
            self._keys = ConfiguredKeys(user_key_file(_fresh_file, self._runtime_dir))
        return self._keys.ring(sealing=sealing)


def _fresh_file() -> str:
    return f"{_HEADER}{key_line(new_key(secrets.token_bytes))}\n"


def key_source(settings: NodeSettings, *, embedded: bool) -> KeySource:
    """Where the node's keys come from.

    Args:
        settings: of the node.
        embedded: its broker is the user's embedded one.

    Raises:
        ConfigError: a key is malformed, or the file cannot be read.
    """
    if settings.state_keys_file is not None or settings.state_keys:
        return ConfiguredKeys(settings.state_keys_file, settings.state_keys)
    return UserKeys() if embedded else EphemeralKeys()
