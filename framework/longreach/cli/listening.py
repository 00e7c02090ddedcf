"""Opens the sockets of doors: resolves the host, lets `policy.exposure` decide, listens there."""

from __future__ import annotations

import logging
import socket

from longreach.errors import ConfigError
from longreach.observe import event
from longreach.policy.exposure import Exposure, is_local, refuse_exposure

_log = logging.getLogger("longreach.cli.listening")


def open_door(host: str, port: int, *, checks_tokens: bool, anonymous: bool | None = None) -> socket.socket:
    """Listen where a door is asked for, if it may be opened there; call it before a broker is looked for.

    The host is resolved once, so that what is listened on is what was judged.

    Args:
        host: an address or a name; empty: every address.
        port: 0: any that is free.
        checks_tokens: whether callers without a valid token are refused.
        anonymous: what its owner said of callers without a token; None: nothing.

    Returns:
        A bound socket that does not block; whoever called closes it.

    Raises:
        ConfigError: the door must not be opened there, or the address cannot be listened on.
    """
    shown = f"{host}:{port}"
    try:
        found = socket.getaddrinfo(
            host.removeprefix("[").removesuffix("]") or None,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{shown} cannot be listened on: {_words(error)}") from None
    addresses = tuple(dict.fromkeys(str(info[4][0]) for info in found))
    refusal = refuse_exposure(Exposure(host, addresses, checks_tokens, anonymous))
    if refusal is not None:
        raise ConfigError(refusal)
    if not checks_tokens and not is_local(addresses):
        event(_log, "door.anonymous", logging.WARNING, host=host, addresses=", ".join(addresses))
    family, _, _, _, address = found[0]
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise ConfigError(f"{shown} cannot be listened on: {_words(error)}") from None
    return sock


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
