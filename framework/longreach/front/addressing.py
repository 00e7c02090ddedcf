"""Where a request goes: from what a client asks for to a server, its name there, and the body. Pure."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

from longreach.front.endings import Refused
from longreach.front.filters import Filters
from longreach.front.naming import split_name, split_uri
from longreach.front.offering import Offering
from longreach.front.rewriting import with_params
from longreach.front.shelf import Kind
from longreach.wire import codes
from longreach.wire.incoming import Incoming
from longreach.wire.jsonrpc import decode_with

_WORDS: dict[Kind, str] = {"tools": "tool", "prompts": "prompt"}
_EXPRESSION = re.compile(r"\{[^{}]*\}")


class Address(NamedTuple):
    """Where a request goes: the server, the name or URI there, and the body."""

    server: str
    name: str | None
    data: bytes


class _Ref(msgspec.Struct):
    type: Literal["ref/prompt", "ref/resource"]
    name: str | None = None
    uri: str | None = None


class _CompleteParams(msgspec.Struct):
    ref: _Ref


class _CompleteRequest(msgspec.Struct):
    params: _CompleteParams


class _Refs(msgspec.Struct):
    ref: dict[str, msgspec.Raw]


_complete_decoder = msgspec.json.Decoder(_CompleteRequest)
_refs_decoder = msgspec.json.Decoder(_Refs)


def find_named(
    offering: Offering, kind: Kind, request: Incoming, server: str | None, filters: Filters
) -> Address:
    """Where a request for a tool or prompt goes.

    One that is not known is asked for all the same where its server has announced what is not known yet.

    Args:
        offering: what is offered.
        kind: tools or prompts.
        request: of tools/call or prompts/get.
        server: the one server of the front; None: the whole mesh.
        filters: what may be seen.

    Raises:
        Refused: there is no such thing.
    """
    name = _required(request, "name")
    item = offering.find(kind, name)
    if item is not None:
        return Address(item.server, item.name, _renamed(request, "name", item.name, server))
    owner = (server, name) if server is not None else split_name(name)
    if owner is not None and _may_offer_more(offering, owner[0], server, filters):
        return Address(*owner, _renamed(request, "name", owner[1], server))
    raise _unknown(_WORDS[kind], name)


def find_resource(offering: Offering, request: Incoming, server: str | None, filters: Filters) -> Address:
    """Where resources/read goes. A server that has resources knows which: it may read more than it lists.

    Raises:
        Refused: there is no such resource.
    """
    offered = _required(request, "uri")
    owner, uri = _owner_of(offering, offered, server, filters)
    shelf = offering.shelves.get(owner)
    if shelf is not None and shelf.whole and not shelf.items["resources"] and not shelf.items["templates"]:
        raise _no_resource(offered)
    if filters.tags is not None and not _is_listed(offering, offered):
        raise _no_resource(offered)
    return Address(owner, uri, _renamed(request, "uri", uri, server))


def find_completed(offering: Offering, request: Incoming, server: str | None, filters: Filters) -> Address:
    """Where completion/complete goes: to whose prompt or template an argument is completed for.

    Raises:
        Refused: there is none.
        Malformed: `params` are not as they should be.
    """
    ref = decode_with(_complete_decoder, request.data).params.ref
    is_prompt = ref.type == "ref/prompt"
    member, offered = ("name", ref.name) if is_prompt else ("uri", ref.uri)
    if offered is None:
        raise Refused(codes.INVALID_PARAMS, f"params.ref.{member} is missing")
    kinds: tuple[Kind, ...] = ("prompts",) if is_prompt else ("templates", "resources")
    item = next((found for kind in kinds if (found := offering.find(kind, offered)) is not None), None)
    if server is not None and (item is not None or filters.tags is None):
        return Address(server, None, request.data)
    if item is None:
        raise _unknown("prompt" if is_prompt else "resource template", offered)
    members = decode_with(_refs_decoder, bytes(request.params)).ref
    members[member] = msgspec.Raw(msgspec.json.encode(item.name))
    data = with_params(request.data, {"ref": msgspec.Raw(msgspec.json.encode(members))})
    return Address(item.server, None, data)


def owned_uri(
    offering: Offering, offered: str, server: str | None, filters: Filters
) -> tuple[str, str] | None:
    """The server and its own URI of an offered one; None where it is nobody's here."""
    if filters.tags is not None and not _is_listed(offering, offered):
        return None
    try:
        return _owner_of(offering, offered, server, filters)
    except Refused:
        return None


def _owner_of(offering: Offering, offered: str, server: str | None, filters: Filters) -> tuple[str, str]:
    if server is not None:
        return server, offered
    split = split_uri(offered)
    if split is None or not filters.allow_server(split[0]):
        raise _no_resource(offered)
    if split[0] not in offering.shelves and split[0] not in offering.unknown:
        raise _no_resource(offered)
    return split


def _is_listed(offering: Offering, uri: str) -> bool:
    if offering.find("resources", uri) is not None:
        return True
    return any(_may_be_of(item.offered, uri) for item in offering.lists["templates"])


def _may_be_of(template: str, uri: str) -> bool:
    """Whether the literal parts of `template` are in `uri`, in order; its server decides in the end."""
    first, *others = _EXPRESSION.split(template)
    if not others:
        return uri == first
    *middle, last = others
    if not uri.startswith(first):
        return False
    at = len(first)
    for part in middle:
        found = uri.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return uri.endswith(last) and len(uri) - len(last) >= at


def _may_offer_more(offering: Offering, owner: str, server: str | None, filters: Filters) -> bool:
    if filters.tags is not None or not filters.allow_server(owner):
        return False
    return owner in offering.unknown or (server is not None and owner not in offering.shelves)


def _renamed(request: Incoming, member: str, value: str, server: str | None) -> bytes:
    return request.data if server is not None else with_params(request.data, {member: value})


def _required(request: Incoming, member: str) -> str:
    if request.name is None:
        raise Refused(codes.INVALID_PARAMS, f"params.{member} is missing")
    return request.name


def _no_resource(uri: str) -> Refused:
    return Refused(codes.INVALID_PARAMS, f"there is no resource {uri[:200]!r} here", {"uri": uri})


def _unknown(what: str, name: str) -> Refused:
    return Refused(codes.INVALID_PARAMS, f"there is no {what} {name[:200]!r} here")
