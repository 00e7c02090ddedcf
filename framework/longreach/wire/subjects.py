"""The address of everything: subjects, built and parsed.

Fields of an address are tokens, as on the wire. Source: docs/binding.md 1.
"""

from __future__ import annotations

import hashlib
import re
from typing import ClassVar

import msgspec

from longreach.errors import TooLarge
from longreach.wire.tokens import NONE, encode_token, is_token

ROOT = "lr.v1"
ANY = NONE
"""The target that is any instance, and the region that is every region."""
MAX_SUBJECT_BYTES = 1024
_VERSION = re.compile(r"v?([0-9]{1,9})(?:[.+-].*)?", re.DOTALL)
_METHODS = (
    "server/discover",
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "subscriptions/listen",
)
_METHOD_TOKENS = {method: method.replace("/", "-") for method in _METHODS}
_METHOD_NAMES = {token: method for method, token in _METHOD_TOKENS.items()}


def method_token(method: str) -> str:
    """The token of an MCP method: ``tools/call`` is ``tools-call``.

    Raises:
        ValueError: MCP has no such method.
    """
    try:
        return _METHOD_TOKENS[method]
    except KeyError:
        raise ValueError(f"{method!r} is no method of MCP 2026-07-28") from None


def method_name(token: str) -> str:
    """The MCP method of a token; the inverse of `method_token`.

    Raises:
        ValueError: no method has that token.
    """
    try:
        return _METHOD_NAMES[token]
    except KeyError:
        raise ValueError(f"{token!r} is no token of a method") from None


def version_target(version: str) -> str:
    """The target token of a version's major number: ``2.1.0`` is ``v2``, what has none is ``v0``."""
    match = _VERSION.fullmatch(version)
    return f"v{int(match[1])}" if match else "v0"


def resource_hash(uri: str) -> str:
    """The last token of the events about a resource: 32 hexadecimal digits. Source: docs/binding.md 13.

    Raises:
        ValueError: `uri` has no UTF-8 form.
    """
    return hashlib.blake2b(uri.encode(), digest_size=16).hexdigest()


def instance_target(instance: str) -> str:
    """The target token of one node's instance: the token of the text ``n-<instance>``.

    Raises:
        ValueError: `instance` is empty, or has no UTF-8 form.
    """
    if not instance:
        raise ValueError("an instance cannot be empty")
    return encode_token(f"n-{instance}")


def canary_target(version: str) -> str:
    """The target token of a canary's slot: the token of ``c-<version>``. Source: docs/binding.md 15."""
    return encode_token(f"c-{version}")


def is_slot(to: str) -> bool:
    """Whether a target token is that of a canary's slot, unless its version is too long to be read."""
    return to.startswith("c-")


def check_subject(subject: str) -> str:
    """`subject`, if the broker's protocol line can carry it.

    Raises:
        TooLarge: it is longer than 1,024 bytes.
    """
    size = len(subject) if subject.isascii() else len(subject.encode(errors="replace"))
    if size > MAX_SUBJECT_BYTES:
        raise TooLarge(
            f"a subject of {size} bytes is more than the {MAX_SUBJECT_BYTES} that are allowed: "
            "shorten the names of namespace, region, server or tool"
        )
    return subject


class _Address(msgspec.Struct, frozen=True):
    """What all addresses share: ``lr.v1.<ns>.<region>.<space>.<the rest>``."""

    SPACE: ClassVar[str] = ""

    ns: str
    region: str

    def subject(self) -> str:
        """The subject, its tokens joined.

        Raises:
            ValueError: a field is no token; joined, it would be another address or a wildcard.
        """
        tokens = [token for token in msgspec.structs.astuple(self) if token is not None]
        if not all(map(is_token, tokens)):
            raise ValueError(f"each field of an address is a token (see encode_token): {self}")
        return ".".join((ROOT, tokens[0], tokens[1], self.SPACE, *tokens[2:]))


class Request(_Address, frozen=True):
    """A request to a server; the queue group is the server's token."""

    SPACE: ClassVar[str] = "req"

    server: str
    to: str
    via: str
    caller: str
    method: str
    name: str


class All(_Address, frozen=True):
    """A question to every instance of a server."""

    SPACE: ClassVar[str] = "all"

    server: str
    via: str
    caller: str
    verb: str


class Node(_Address, frozen=True):
    """A question to one node."""

    SPACE: ClassVar[str] = "node"

    identity: str
    instance: str
    via: str
    caller: str
    verb: str


class Ops(_Address, frozen=True):
    """An operator's request to one node."""

    SPACE: ClassVar[str] = "ops"

    identity: str
    instance: str
    via: str
    caller: str
    verb: str


class Reply(_Address, frozen=True):
    """Where an answer goes; the region is the answering node's."""

    SPACE: ClassVar[str] = "rep"

    via: str
    caller: str
    connection: str
    call: str


class Adv(_Address, frozen=True):
    """An announcement of one server by one node."""

    SPACE: ClassVar[str] = "adv"

    server: str
    identity: str
    instance: str


class Evt(_Address, frozen=True):
    """An event of a server: a list or a resource has changed."""

    SPACE: ClassVar[str] = "evt"

    server: str
    kind: str
    hash: str | None = None


class Who(_Address, frozen=True):
    """The question who is there."""

    SPACE: ClassVar[str] = "who"

    via: str
    caller: str


class Gw(_Address, frozen=True):
    """A message to one gateway process; the verb is ``open``, ``beat``, or an exchange's id."""

    SPACE: ClassVar[str] = "gw"

    gateway: str
    instance: str
    verb: str


Address = Request | All | Node | Ops | Reply | Adv | Evt | Who | Gw
_SPACES: dict[str, type[Address]] = {
    kind.SPACE: kind for kind in (Request, All, Node, Ops, Reply, Adv, Evt, Who, Gw)
}


def parse(subject: str) -> Address | None:
    """The address that `subject` is; None if it is none of ours."""
    if len(subject) > MAX_SUBJECT_BYTES:
        return None
    tokens = subject.split(".")
    if tokens[:2] != ["lr", "v1"] or len(tokens) < 5 or not all(map(is_token, tokens[2:])):
        return None
    kind = _SPACES.get(tokens[4])
    if kind is None:
        return None
    fields = [tokens[2], tokens[3], *tokens[5:]]
    most = len(kind.__struct_fields__)
    fewest = most - (1 if kind is Evt else 0)
    return kind(*fields) if fewest <= len(fields) <= most else None
