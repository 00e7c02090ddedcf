"""What the transport uses of nats-py without its promise (docs/adr/0002).

A failure here means: read the new nats-py, then adapt transport/_client.py.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
from nats.aio.client import Client
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

from longreach.transport._client import NatsClient

_OVERRIDDEN = {
    "_read_loop": ["self"],
    "_process_err": ["self", "err_msg"],
    "_process_op_err": ["self", "e"],
    "_select_next_server": ["self"],
    "_ping_interval": ["self"],
    "_flusher": ["self"],
    "_process_info": ["self", "info", "initial_connection"],
}
_CALLED = {
    "_process_connect_init": ["self"],
}
_ATTRIBUTES = [
    "_server_pool",
    "_current_server",
    "_transport",
    "_ps",
    "_reading_task",
    "_status",
    "_max_payload",
    "_server_info",
    "options",
]


def test_the_version_is_the_one_that_was_read():
    assert version("nats-py").split(".")[:2] == ["2", "16"]


@pytest.mark.parametrize("name", _OVERRIDDEN)
def test_what_is_overridden_is_there_with_its_signature(name: str):
    theirs = getattr(Client, name)
    assert list(inspect.signature(theirs).parameters) == _OVERRIDDEN[name]
    assert inspect.iscoroutinefunction(theirs)
    ours = getattr(NatsClient, name)
    assert ours is not theirs
    assert inspect.iscoroutinefunction(ours)
    assert len(inspect.signature(ours).parameters) == len(_OVERRIDDEN[name])


@pytest.mark.parametrize("name", _CALLED)
def test_what_is_called_is_there_with_its_signature(name: str):
    theirs = getattr(Client, name)
    assert list(inspect.signature(theirs).parameters) == _CALLED[name]
    assert inspect.iscoroutinefunction(theirs)


@pytest.mark.parametrize("name", _ATTRIBUTES)
def test_the_attributes_are_there(name: str):
    assert hasattr(Client(), name)


@pytest.mark.parametrize(
    "name",
    [
        "_end",
        "_lose",
        "lose",
        "write",
        "ping",
        "abort",
        "_write_out",
        "_out",
        "_pings",
        "sinks",
        "hold",
        "release",
        "url",
    ],
)
def test_our_own_names_hide_none_of_theirs(name: str):
    assert not hasattr(Client(), name)


def test_the_parser_hands_over_messages_with_positional_arguments():
    source = inspect.getsource(Parser.parse)
    assert "self.nc._process_msg(sid, subject, reply, payload, hdr)" in source
    assert "self.nc._process_pong()" in source
    assert "self.nc._process_ping()" in source
    assert "self.nc._process_err(emsg)" in source


def test_the_tcp_transport_has_its_two_writers():
    transport = TcpTransport()
    assert transport._io_writer is None
    assert transport._bare_io_writer is None


async def test_the_handshake_starts_reading_through_the_overridden_methods():
    source = inspect.getsource(Client._process_connect_init)
    assert "self._reading_task = asyncio.get_running_loop().create_task(self._read_loop())" in source
    assert "self._flusher()" in source
    assert "self._ping_interval()" in source


async def test_headers_are_parsed_to_a_dict():
    client = Client()
    parsed = await client._process_headers(b"NATS/1.0\r\nA: b\r\n\r\n")
    assert parsed == {"A": "b"}
