"""`States`: request states of one server on one node, sealed with the keys that its nodes share."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Protocol

from longreach.observe import event
from longreach.policy.journal import Entry
from longreach.policy.sealing import KeyRing, new_key, seal, unseal
from longreach.policy.states import Bound, Saved, bind, decode_saved, encode_saved

if TYPE_CHECKING:
    from longreach.actor.call import Call
    from longreach.clock import Clock

_log = logging.getLogger("longreach.actor.states")
DEFAULT_TTL_S = 600.0


class KeySource(Protocol):
    """Where the key ring comes from."""

    def ring(self, *, sealing: bool) -> KeyRing:
        """The ring as it is now.

        Raises:
            ConfigError: there is none.
        """
        ...


class EphemeralKeys:
    """A key that only this process has: states that it seals are good here, and nowhere else."""

    def __init__(self) -> None:
        self._ring = KeyRing((new_key(secrets.token_bytes, ephemeral=True),))
        self._warned = False

    def ring(self, *, sealing: bool) -> KeyRing:
        """The ring; the first time that it seals, a warning says what that means."""
        if sealing and not self._warned:
            self._warned = True
            warn_of_ephemeral()
        return self._ring


def warn_of_ephemeral() -> None:
    """Log what it means to seal with a key that nobody else has, and what to do."""
    hint = "retries that reach another node are refused; give all nodes of a server one --state-keys file"
    event(_log, "state.key_is_ephemeral", logging.WARNING, hint=hint)


class States:
    """Seals what a call must remember, and opens it for the same caller and request only.

    Args:
        keys: where the ring comes from.
        clock: the time.
        namespace: the node's.
        ttl_s: how long a state is good for, in seconds.
    """

    def __init__(
        self,
        keys: KeySource,
        clock: Clock,
        *,
        namespace: str = "default",
        ttl_s: float = DEFAULT_TTL_S,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._namespace = namespace
        self._ttl_ms = round(ttl_s * 1000)

    def seal(self, payload: bytes, also: bytes) -> str:
        """`payload` as text that the nodes of this server can open; `also` must be the same then.

        Raises:
            StateTooLarge: it would be too long.
            ConfigError: there is no ring, or `cryptography` is not installed.
        """
        return seal(payload, self._keys.ring(sealing=True), secrets.token_bytes, also)

    def unseal(self, text: str, also: bytes) -> bytes:
        """What `seal` was given, on whichever node.

        Raises:
            StateRefused: it was altered, sealed with another key, or for another `also`.
            ConfigError: there is no ring, or `cryptography` is not installed.
        """
        return unseal(text, self._keys.ring(sealing=False), also)

    def keep(self, call: Call, entries: list[Entry], *, explicit: bool, state: bytes | None) -> str:
        """The request state that lets `call` go on from here.

        Raises:
            StateTooLarge: it would be too long.
            ConfigError: there is no ring, or `cryptography` is not installed.
        """
        expires_ms = self._clock.wall_ms() + self._ttl_ms
        return self.seal(encode_saved(Saved(self._bound(call), expires_ms, explicit, entries, state)), _CALLS)

    def restore(self, call: Call, text: str) -> Saved:
        """What was kept for this very request.

        Raises:
            StateRefused: it was not kept for it, or not here, or too long ago.
            ConfigError: there is no ring, or `cryptography` is not installed.
        """
        return decode_saved(self.unseal(text, _CALLS), self._bound(call), self._clock.wall_ms())

    def _bound(self, call: Call) -> Bound:
        spec, params = call.spec, call.params
        return bind(
            namespace=self._namespace,
            via=call.via,
            caller=call.caller,
            server=spec.server,
            method=spec.method,
            name=spec.name,
            uri=params.uri,
            arguments=bytes(params.arguments),
            version=spec.version,
            definition=b"" if spec.listed is None else spec.listed.data,
        )


_CALLS = b"call"
