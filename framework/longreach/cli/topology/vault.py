"""What must stay the same from one generation to the next: seeds, passwords, the test authority.

A `Vault` is a value: names and texts. Whoever generates says what is there; what is not is made with the
randomness that is given, and kept by whoever called.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Literal

from longreach.errors import ConfigError

RandomBytes = Callable[[int], bytes]
Kind = Literal["operator", "account", "user"]


class Vault:
    """Secrets by name; what is asked for and not there is made.

    Args:
        kept: what is there from before.
        random_bytes: where new ones come from.
    """

    def __init__(self, kept: Mapping[str, str], random_bytes: RandomBytes) -> None:
        self.texts = dict(kept)
        self.used: set[str] = set()
        self.random_bytes = random_bytes

    def text(self, name: str, make: Callable[[], str], is_good: Callable[[str], bool] | None = None) -> str:
        """The secret of that name; one that is there and not good any more is made anew."""
        self.used.add(name)
        if name not in self.texts or (is_good is not None and not is_good(self.texts[name])):
            self.texts[name] = make()
        return self.texts[name]

    def key(self, kind: Kind, name: str) -> KeyPair:
        """The key pair of that name."""
        return KeyPair(self.text(f"{name}.nk", lambda: new_seed(kind, self.random_bytes)))

    def password(self, name: str) -> str:
        """The password of that name: letters, digits, '-' and '_', so that a URL can hold it."""
        return self.text(f"{name}.secret", lambda: base64.urlsafe_b64encode(self.random_bytes(24)).decode())


class KeyPair:
    """An NKey: its seed, its public name, and what it signs."""

    def __init__(self, seed: str) -> None:
        nkeys = _nkeys()
        self.seed = seed.strip()
        try:
            self._pair = nkeys.from_seed(bytearray(self.seed, "ascii"))
            self.public = self._pair.public_key.decode()
        except (nkeys.NkeysError, ValueError) as error:
            raise ConfigError(f"a kept key is no NKey seed: {error}") from None

    def sign(self, data: bytes) -> bytes:
        """A signature of `data`."""
        signature: bytes = self._pair.sign(data)
        return signature


def new_seed(kind: Kind, random_bytes: RandomBytes) -> str:
    """The seed of a new key pair."""
    nkeys = _nkeys()
    prefix = {
        "operator": nkeys.PREFIX_BYTE_OPERATOR,
        "account": nkeys.PREFIX_BYTE_ACCOUNT,
        "user": nkeys.PREFIX_BYTE_USER,
    }[kind]
    seed: bytes = nkeys.encode_seed(random_bytes(32), prefix)
    return seed.decode()


def _nkeys() -> Any:
    try:
        import nkeys
    except ImportError:
        raise ConfigError("keys for brokers need a package: pip install 'longreach[nkeys]'") from None
    return nkeys
