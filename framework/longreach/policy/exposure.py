"""Whether a door may be opened where it is asked for: a pure decision for everything that listens.

A door is whatever lists or calls tools for those who connect to it: the gateway, and whatever is built like
it. On a loopback address it is for the users of the machine, who can reach the broker as well. On any other
address it is for everybody who reaches the machine, so it either checks tokens, or its owner has said
``--anonymous``. Health and metrics are no doors: they hold no names of callers, no arguments and no secrets.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple

_ALWAYS_LOCAL = "localhost"


class Exposure(NamedTuple):
    """What is about to be opened.

    Attributes:
        host: as its owner wrote it.
        addresses: all that `host` resolves to, as texts; empty: not known yet, and not judged.
        checks_tokens: whether callers without a valid token are refused.
        anonymous: what its owner said of callers without a token; None: nothing.
        flags: how its owner says that tokens are checked, for the message.
    """

    host: str
    addresses: tuple[str, ...]
    checks_tokens: bool
    anonymous: bool | None = None
    flags: str = "--bearer-tokens FILE, or --jwks-url and --issuer"


def refuse_exposure(asked: Exposure) -> str | None:
    """Return why the door must not be opened, and what to do; None if it may be."""
    if asked.anonymous and asked.checks_tokens:
        return "--anonymous lets callers in without a token, and there are tokens to check: leave one out"
    if asked.anonymous is False and not asked.checks_tokens:
        return f"--no-anonymous refuses callers without a token, and no token is valid: name {asked.flags}"
    if asked.checks_tokens or asked.anonymous or is_local(asked.addresses):
        return None
    found = ", ".join(dict.fromkeys(each for each in asked.addresses if not is_loopback(each)))
    where = repr(asked.host) if found == asked.host else f"{asked.host!r} ({found})"
    return (
        f"--host {where} is not a loopback address: everybody who reaches it could list and call all that is "
        f"offered there. Name {asked.flags}; or say --anonymous"
    )


def is_local(addresses: Iterable[str]) -> bool:
    """Return whether all of `addresses` are reached from this machine only."""
    return all(map(is_loopback, addresses))


def is_loopback(host: str) -> bool:
    """Return whether who listens on `host` is reached from this machine only.

    Args:
        host: an IP address, with or without brackets and scope, or ``localhost``; any other name is not.
    """
    text = host.removeprefix("[").removesuffix("]")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text.lower() == _ALWAYS_LOCAL
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback  # Python before 3.13 takes no mapped address for a loopback one
