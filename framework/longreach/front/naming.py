"""What things of many servers are called where they are offered as one server's. Pure.

A tool or prompt is offered as ``server__name`` wherever that can be read back: the server's name has no
``__`` and does not end in ``_``, the name is of letters, digits, ``_`` and ``-``, and both fit into 64
characters, which is what the APIs of language models accept. Any other is offered as a readable slug
without ``__``, a ``-`` and 10 hexadecimal digits of a hash. So a name depends on nothing but what it
names: it is the same tomorrow, behind every gateway, whatever else the mesh offers.

A resource's URI is offered as ``longreach://server/<its own URI>``; a template likewise.
Source: docs/adr/0009-names-and-uris-of-the-whole-mesh.md.
"""

from __future__ import annotations

import hashlib
import re

MAX_NAME = 64
"""Names of tools may be so long, for the APIs of language models."""
SCHEME = "longreach://"
SEARCH_TOOLS = "search_tools"
"""Offered in place of many tools: finds them. No name made here is either: those have ``__`` or a hash."""
CALL_TOOL = "call_tool"
"""Offered in place of many tools: calls one of them."""

_JOINT = "__"
_HASH_DIGITS = 10
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_STRANGE = re.compile(r"[^A-Za-z0-9-]+")


def offered_name(server: str, name: str) -> str:
    """What the tool or prompt `name` of `server` is called beside those of other servers."""
    joined = server + _JOINT + name
    if len(joined) <= MAX_NAME and _JOINT not in server and server[-1:] != "_" and _PLAIN.fullmatch(joined):
        return joined
    digest = hashlib.blake2b(f"{server}.{name}".encode(errors="surrogatepass"), digest_size=_HASH_DIGITS // 2)
    slug = _STRANGE.sub("_", f"{server}_{name}")[: MAX_NAME - _HASH_DIGITS - 1]
    return f"{slug}-{digest.hexdigest()}"


def split_name(offered: str) -> tuple[str, str] | None:
    """The server and the name that `offered` is made of; None where it is a slug, which only a list tells."""
    server, joint, name = offered.partition(_JOINT)
    return (server, name) if joint and server and name else None


def offered_uri(server: str, uri: str) -> str:
    """The URI, or template, under which that of `server` is offered beside those of other servers."""
    return f"{SCHEME}{server}/{uri}"


def split_uri(offered: str) -> tuple[str, str] | None:
    """The server and its own URI, or template; None where `offered` is of no server."""
    if not offered.startswith(SCHEME):
        return None
    server, slash, uri = offered[len(SCHEME) :].partition("/")
    return (server, uri) if slash and server and uri else None
