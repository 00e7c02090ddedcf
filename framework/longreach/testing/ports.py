"""Free ports of this machine, and what answers on them."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
_PORTS = range(12000, 31000)
"""Below the ranges from which systems give ports to outgoing connections, so that a port stays free while
what listened on it is down."""
_given: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, and that this process was not given before."""
    for _ in range(1000):
        port = random.choice(_PORTS)  # noqa: S311 - a port is no secret
        if port in _given:
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


def greets(port: int, word: bytes, timeout_s: float = 1.0) -> bool:
    """Whether what listens on a port begins with `word`."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            connection.settimeout(timeout_s)
            return connection.recv(len(word), socket.MSG_WAITALL) == word
    except OSError:
        return False
