"""A request as it comes from an MCP client: read once, as far as routing needs it, and kept byte for byte.

Source: MCP 2026-07-28 basic; docs/binding.md M2.1.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from longreach.wire.jsonrpc import RequestId, RequestMeta, decode_request, decode_with

_BY_URI = "resources/read"


class _Head(msgspec.Struct, frozen=True, gc=False):
    """What routing reads of `params`."""

    name: str | None = None
    uri: str | None = None
    request_state: str | None = msgspec.field(name="requestState", default=None)
    meta: RequestMeta | UnsetType = msgspec.field(name="_meta", default=UNSET)


_NO_HEAD = _Head()


class _Message(msgspec.Struct, gc=False):
    jsonrpc: Literal["2.0"]
    id: RequestId
    method: str
    params: _Head = _NO_HEAD


class Incoming(msgspec.Struct, gc=False):
    """A request of an MCP client.

    Attributes:
        id: of the request.
        method: the MCP method.
        name: `params.name`; `params.uri` for resources/read, or where there is no name; else None.
        meta: `params._meta`, not checked yet (`jsonrpc.validate_meta`).
        request_state: `params.requestState`, None where there is none.
        data: the whole message, as it came.
    """

    id: RequestId
    method: str
    name: str | None
    meta: RequestMeta | UnsetType
    request_state: str | None
    data: bytes

    @property
    def params(self) -> Raw:
        """The JSON bytes of `params`; ``{}`` where there are none. Read again from `data` each time."""
        return decode_request(self.data).params


_decoder = msgspec.json.Decoder(_Message)


def decode_incoming(data: bytes) -> Incoming:
    """A request, in one pass over its bytes.

    Raises:
        Malformed: it is none; a notification or a response included.
    """
    message = decode_with(_decoder, data)
    head, method = message.params, message.method
    name = head.uri if head.name is None or method == _BY_URI else head.name
    return Incoming(message.id, method, name, head.meta, head.request_state, data)
