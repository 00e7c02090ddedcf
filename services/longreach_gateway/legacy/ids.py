"""Session ids that say which gateway has the session: ``<gateway>.<region>.<instance>-<random>``.

The three are subject tokens; together they are the address of one gateway process. Source: docs/gateway.md.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

from longreach.wire.tokens import NONE, encode_token, is_token

_MAX_LENGTH = 400
_RANDOM_BYTES = 16


class GatewayAddress(NamedTuple):
    """One gateway process: its name, its region, and an instance of its own. All three are tokens."""

    gateway: str
    region: str
    instance: str

    def __str__(self) -> str:
        return ".".join(self)


def new_address(gateway: str, region: str) -> GatewayAddress:
    """The address of a new process of the gateway `gateway`."""
    return GatewayAddress(encode_token(gateway), encode_token(region), secrets.token_hex(8))


def new_session_id(address: GatewayAddress) -> str:
    """The id of a new session of that gateway, which nobody can guess."""
    return f"{address}-{secrets.token_hex(_RANDOM_BYTES)}"


def address_of(session_id: str) -> GatewayAddress | None:
    """The gateway that has that session; None if the id is none of ours."""
    if len(session_id) > _MAX_LENGTH:
        return None
    address, dash, random = session_id.rpartition("-")
    tokens = address.split(".")
    if not (dash and random and len(tokens) == 3) or NONE in tokens or not all(map(is_token, tokens)):
        return None
    return GatewayAddress(*tokens)
