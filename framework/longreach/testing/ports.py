"""Free ports of this machine, and what answers on them."""

from __future__ import annotations

import fcntl
import functools
import os
import random
import socket
import tempfile

HOST = "127.0.0.1"
_PORTS = range(12000, 31000)
"""Below the ranges from which systems give ports to outgoing connections, so that a port stays free while
what listened on it is down."""
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that this process was not given before."""
    for _ in range(1000):
        port = random.choice(_PORTS)  # noqa: S311 - a port is no secret
        if port in _given or not _reserved(port):
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RuntimeError("no free port on this machine")


@functools.cache
def _register() -> int:
    """Open the file in which processes of this user reserve ports; it stays open for the process's life."""
    path = os.path.join(tempfile.gettempdir(), f"longreach-ports.{os.getuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _reserved(port: int) -> bool:
    """Lock the port's byte until this process ends; False if another process has it."""
    try:
        fcntl.lockf(_register(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def greets(port: int, word: bytes, timeout_s: float = 1.0) -> bool:
    """Whether what listens on a port begins with `word`."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            return connection.recv(len(word), socket.MSG_WAITALL) == word
    except OSError:
        return False
