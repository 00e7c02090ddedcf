"""Module-level functions that other processes can import."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from longreach.errors import Crash, ToolError


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


def raise_named(name: str) -> str:
    """Raise what `name` stands for; return the process's id for no name."""
    if not name:
        return str(os.getpid())
    raise {
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt(),
        "generator": GeneratorExit(),
        "base": BaseException("odd"),
        "memory": MemoryError(),
        "crash": Crash(),
        "group": BaseExceptionGroup("g", [SystemExit()]),
        "stop": StopIteration(),
        "cancelled": asyncio.CancelledError(),
        "unspeakable": Unspeakable("x"),
    }[name]


class Unspeakable(ToolError):
    def __str__(self) -> str:
        raise SystemExit


class LeavesOnReading:
    def __reduce__(self) -> object:
        return sys.exit, (3,)


class LeavesOnWriting:
    def __reduce__(self) -> object:
        raise SystemExit(3)


def give(how: str):
    """Give back what cannot be given back."""
    match how:
        case "reading":
            return LeavesOnReading()
        case "writing":
            return LeavesOnWriting()
        case "lambda":
            return lambda: None
    return os.getpid()


def use_the_descriptors() -> str:
    """Write to descriptor 1 and read descriptor 0, as programs do that are started here."""
    subprocess.run(["echo", "x"], check=True)
    os.system("echo y")
    os.write(1, b"z\n")
    print("p")
    started = subprocess.run(["cat"], check=True, stdout=subprocess.PIPE).stdout
    os.write(2, b"." * 200_000)  # more than a pipe holds that nobody reads
    return repr((os.read(0, 1), sys.stdin.read(), started))
