"""Names and URIs in requests and results, replaced where they stand; all else keeps its bytes. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from longreach.front.naming import offered_uri

_members = msgspec.json.Decoder(dict[str, Raw])
_elements = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode
_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_URI = b'"uri"'
"""No response without it names a resource: nothing in it is to be replaced."""


def with_params(request: bytes, changes: Mapping[str, str | Raw]) -> bytes:
    """The request with other members in its `params`: texts, or JSON."""
    message = _members.decode(request)
    params = _members.decode(message["params"])
    for name, value in changes.items():
        params[name] = Raw(_encode(value)) if isinstance(value, str) else value
    message["params"] = Raw(_encode(params))
    return _encode(message)


def with_offered_uris(response: bytes, server: str) -> bytes:
    """The response with the URIs of resources as the whole mesh has them.

    That is in linked and embedded resources, of a tool's result or a prompt, in the contents of a resource
    that was read, and in the error that says there is none. Links to the web stay what they are, and so does
    a response of any other shape.
    """
    if _URI not in response:
        return response
    try:
        message = _members.decode(response)
        part = "result" if "result" in message else "error"
        members = _members.decode(message[part])
        if not (_rewrite if part == "result" else _rewrite_error)(members, server):
            return response
    except (*_BAD_JSON, KeyError):
        return response
    message[part] = Raw(_encode(members))
    return _encode(message)


def _rewrite_error(members: dict[str, Raw], server: str) -> bool:
    if "data" not in members:
        return False
    data = _contents(members["data"], server)
    found = data is not members["data"]
    members["data"] = data
    return found


def _rewrite(members: dict[str, Raw], server: str) -> bool:
    found = False
    for name, rewrite in (("content", _block), ("contents", _contents), ("messages", _message)):
        value = members.get(name)
        if value is not None and _URI in bytes(value):
            members[name] = Raw(_encode([rewrite(element, server) for element in _elements.decode(value)]))
            found = True
    return found


def _message(message: Raw, server: str) -> Raw:
    if _URI not in bytes(message):
        return message
    members = _members.decode(message)
    if "content" in members:
        members["content"] = _block(members["content"], server)
    return Raw(_encode(members))


def _block(block: Raw, server: str) -> Raw:
    if _URI not in bytes(block):
        return block
    members = _members.decode(block)
    match bytes(members.get("type", Raw(b""))):
        case b'"resource_link"':
            return block if _is_web(members.get("uri")) else _contents(block, server)
        case b'"resource"' if "resource" in members:
            members["resource"] = _contents(members["resource"], server)
            return Raw(_encode(members))
        case _:
            return block


def _is_web(uri: Raw | None) -> bool:
    """Whether a link is for the client to follow by itself: MCP has no other use for the web's schemes."""
    return uri is not None and bytes(uri).startswith((b'"https://', b'"http://'))


def _contents(holder: Raw, server: str) -> Raw:
    members = _members.decode(holder)
    if "uri" not in members:
        return holder
    members["uri"] = Raw(_encode(offered_uri(server, _text.decode(members["uri"]))))
    return Raw(_encode(members))
