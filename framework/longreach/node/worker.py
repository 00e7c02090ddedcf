"""The worker's side of `--workers N`: it ends with its supervisor, and tells it how it is.

A process knows by ``LONGREACH_WORKER`` that it is a worker. When the supervisor ends, kill -9 included, the
kernel closes the pipe on the worker's standard input; on Linux it also sends a signal, which needs no thread
of ours. What the worker has to say it writes into a second pipe.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import MutableMapping
from typing import Literal

import msgspec

VARIABLE = "LONGREACH_WORKER"
"""Holds the worker's number, the descriptor for its reports, and the supervisor's process id."""
_PR_SET_PDEATHSIG = 1


class Report(msgspec.Struct, frozen=True):
    """What a worker says of itself: that it is serving, with what is to be known, or why it failed."""

    kind: Literal["serving", "failed"]
    text: str = ""
    details: msgspec.Raw = msgspec.Raw(b"null")


class Attachment:
    """A worker's tie to its supervisor; made by `attach`.

    Args:
        number: of the worker, from 1 on.
        descriptor: where reports go.
    """

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self._descriptor = descriptor

    def report(self, report: Report) -> None:
        """Tell the supervisor; if it is gone, so are we."""
        data = msgspec.json.encode(report) + b"\n"
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._descriptor, data) :]


def attach(environment: MutableMapping[str, str] = os.environ) -> Attachment | None:
    """In a worker: end with the supervisor, from now on. None in a process that is no worker."""
    said = environment.pop(VARIABLE, None)  # processes that a worker starts are no workers
    if said is None:
        return None
    number, descriptor, supervisor = map(int, said.split(":"))
    os.set_inheritable(descriptor, False)
    _die_with_parent(supervisor)
    threading.Thread(target=_watch, args=(_take_stdin(),), name="supervisor watch", daemon=True).start()
    return Attachment(number, descriptor)


def _take_stdin() -> int:
    """The pipe on standard input, which is empty for everybody else from now on."""
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe


def _watch(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _die_with_parent(supervisor: int) -> None:
    """On Linux the kernel kills us with the supervisor, even while a handler holds the interpreter."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:  # it was faster
        os.kill(os.getpid(), signal.SIGKILL)
