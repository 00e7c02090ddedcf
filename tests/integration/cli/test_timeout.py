"""`--timeout` bounds a whole command, whatever keeps it waiting, and the exit code says what may have run."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from tests.support.broker import Broker
from tests.support.commands import Desk

_TIMEOUT_S = 2.0
_SLACK_S = 6.0
"""For two starts of an interpreter on a busy machine. What is bounded here took 16 s and longer."""
_INFO = {
    "server_id": "X", "version": "2.12.0", "proto": 1, "host": "127.0.0.1", "max_payload": 1048576,
    "headers": True,
}  # fmt: skip
_COMMANDS = {
    "call": ("call", "docs.locate", "zip=1"),
    "prompt": ("prompt", "docs.greet"),
    "read": ("read", "docs", "docs://one"),
    "drain": ("drain", "n1.abc"),
}


@contextmanager
def a_listener(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something on a port that takes connections and does `talk` with each; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as stack:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                stack.enter_context(connection)
                threading.Thread(target=talked, args=(connection,), daemon=True).start()

        def talked(connection: socket.socket) -> None:
            try:
                talk(connection)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        yield f"nats://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def says_nothing(connection: socket.socket) -> None:
    connection.recv(65536)


def hangs_after_info(connection: socket.socket) -> None:
    connection.sendall(f"INFO {json.dumps(_INFO)}\r\n".encode())


def hangs_after_the_handshake(connection: socket.socket) -> None:
    """It answers the first ping, as a broker that is stopped right after a client came."""
    hangs_after_info(connection)
    heard = b""
    while b"PING" not in heard:
        heard += connection.recv(65536)
    connection.sendall(b"PONG\r\n")
    while connection.recv(65536):
        continue


def run(desk: Desk, command: str, url: str, *words: str) -> tuple[int, float, str]:
    """The exit code, how long it took, and what it said."""
    began = time.monotonic()
    done = desk.longreach(*_COMMANDS[command], "--timeout", f"{_TIMEOUT_S:g}", "--nats", url, *words)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.returncode, time.monotonic() - began, done.stderr


@pytest.mark.parametrize("command", _COMMANDS)
@pytest.mark.parametrize("talk", [says_nothing, hangs_after_info])
def test_a_broker_that_does_not_greet_is_no_broker(
    desk: Desk, command: str, talk: Callable[[socket.socket], None]
):
    with a_listener(talk) as url:
        code, took_s, said = run(desk, command, url)

    assert (code, took_s < _TIMEOUT_S + _SLACK_S) == (6, True), (took_s, said)


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_broker_that_hangs_once_it_has_greeted_ends_a_command_in_time(desk: Desk, command: str):
    with a_listener(hangs_after_the_handshake) as url:
        code, took_s, said = run(desk, command, url)

    # Nobody is found there, or the connection is lost: nothing ran, whichever is noticed first.
    # On a busy machine the bound of the whole command may be first.
    assert code in (3, 4, 5, 6), said
    assert "may have run" not in said
    assert took_s < _TIMEOUT_S + _SLACK_S


_SILENT = """
import asyncio, sys
from longreach import NatsOptions, Node, NodeSettings, Server
from longreach.node.announcer import Announcer

docs = Server("docs", version="1.0.0")

@docs.tool
async def locate(zip: str) -> str:
    await asyncio.sleep(60)
    return zip

@docs.prompt
async def greet() -> str:
    await asyncio.sleep(60)
    return "hello"

@docs.resource("docs://one")
async def one() -> str:
    await asyncio.sleep(60)
    return "one"

if "no-blobs" in sys.argv:
    Announcer.answer_blobs = lambda *_: None

async def main():
    settings = NodeSettings(identity="n1", connection=NatsOptions(urls=(sys.argv[1],)))
    async with Node(docs, settings=settings):
        print("serves", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@contextmanager
def a_silent_server(desk: Desk, *how: str) -> Iterator[str]:
    with Broker() as broker:
        desk.write("silent.py", _SILENT)
        process = desk.python(
            f"import sys, runpy; sys.argv = {['silent.py', broker.url, *how]!r}\n"
            "runpy.run_path('silent.py', run_name='__main__')"
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "serves\n"
        yield broker.url


@pytest.mark.parametrize("command", ["call", "prompt"])
def test_a_server_that_never_says_what_it_offers_was_not_called(desk: Desk, command: str):
    with a_silent_server(desk, "no-blobs") as url:
        code, took_s, said = run(desk, command, url)

    assert (code, took_s < _TIMEOUT_S + _SLACK_S) == (4, True), (took_s, said)
    assert "no node of 'docs' says within 2 s what it offers: nothing was called" in said


@pytest.mark.parametrize("command", ["call", "prompt", "read"])
def test_what_never_answers_may_have_run(desk: Desk, command: str):
    with a_silent_server(desk) as url:
        code, took_s, said = run(desk, command, url)

    assert (code, took_s < _TIMEOUT_S + _SLACK_S) == (5, True), (took_s, said)
