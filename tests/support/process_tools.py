"""Module-level functions that other processes can import."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from longreach.errors import ToolError


class Unpicklable(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__("secret of the child")


def whoami() -> int:
    return os.getpid()


def hang(path: str) -> str:
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)
    return ""


def hold(path: str) -> str:
    """Hang in C, with the interpreter held: no thread of the process gets on."""
    Path(path).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(60)
    return ""


def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def refuse() -> str:
    raise ToolError("not that one")


def fail() -> str:
    raise Unpicklable(1, 2)
