from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longreach_gateway.joining import JoiningTransport

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Inner(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.did: list[Any] = []

    def write(self, data: Any) -> None:
        self.did.append(bytes(data))

    def close(self) -> None:
        self.did.append("close")

    def abort(self) -> None:
        self.did.append("abort")

    def is_closing(self) -> bool:
        return "close" in self.did

    def pause_reading(self) -> None:
        self.did.append("pause")

    def resume_reading(self) -> None:
        self.did.append("resume")

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.did.append(protocol)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return name


@pytest.mark.parametrize(
    ("writes", "sent"),
    [
        ([HEAD, b"body"], [HEAD + b"body"]),
        ([HEAD, b"a", b"b"], [HEAD + b"a", b"b"]),
        ([HEAD, b""], [HEAD]),
        ([HEAD, b"a", HEAD, b"b"], [HEAD + b"a", HEAD + b"b"]),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", HEAD, b"a"], [b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"a"]),
        ([b"", b"a", bytearray(b"b")], [b"a", b"b"]),
        ([HEAD], []),
        ([STREAM, b"a"], [STREAM, b"a"]),
    ],
)
def test_a_head_goes_out_with_what_follows_it(writes: list[bytes], sent: list[bytes]):
    inner = Inner()
    transport = JoiningTransport(inner)
    for data in writes:
        transport.write(data)

    assert inner.did == sent


@pytest.mark.parametrize(
    ("end", "sent"), [("flush", [HEAD]), ("close", [HEAD, "close"]), ("abort", ["abort"])]
)
def test_a_head_that_nothing_follows(end: str, sent: list[Any]):
    inner = Inner()
    transport = JoiningTransport(inner)
    transport.write(HEAD)

    getattr(transport, end)()

    assert inner.did == sent


def test_everything_else_is_as_it_was():
    inner, protocol = Inner(), asyncio.Protocol()
    transport = JoiningTransport(inner)

    transport.pause_reading()
    transport.resume_reading()
    transport.set_protocol(protocol)
    assert (transport.is_closing(), transport.get_extra_info("peername")) == (False, "peername")
    transport.close()

    assert inner.did == ["pause", "resume", protocol, "close"]
    assert transport.is_closing()
