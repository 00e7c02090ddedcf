"""Ends sockets so that nothing of what is unsent arrives."""

from __future__ import annotations

import logging
import os
import socket
import struct
from typing import Any

from longreach.observe import event

_log = logging.getLogger("longreach.transport")
_RESET_ON_CLOSE = struct.pack(
    "ii", 1, 0
)  # SO_LINGER on, zero seconds: close sends RST, the kernel drops the rest


def reset_on_close(sock: Any) -> None:
    """Let the close of `sock` send RST, so that neither kernel delivers what is still on its way.

    A socket of uvloop's has no `setsockopt` of its own, hence the duplicate, which shares the option.
    """
    if sock is None or sock.fileno() < 0:
        return
    try:
        with socket.socket(fileno=os.dup(sock.fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    except OSError as error:  # the socket is gone already
        event(_log, "link.reset_failed", logging.DEBUG, reason=str(error))
