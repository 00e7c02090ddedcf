"""Starting what is measured: a broker of our own, and peers, which end with the run."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from longreach.transport.embedded import find_server_binary

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT_S = 120.0


class Watched:
    """A process, seen from outside."""

    def __init__(self, pid: int) -> None:
        self._view = psutil.Process(pid)

    @property
    def cpu_s(self) -> float:
        """The CPU time it has used so far, in seconds."""
        if sys.platform == "linux":
            # The clock that clock_getcpuclockid(3) names: in nanoseconds, where others have steps of 10 ms.
            return time.clock_gettime((~self._view.pid << 3) | 2)
        times = self._view.cpu_times()
        return float(times.user + times.system)

    @property
    def rss_mib(self) -> float:
        """Its resident memory, in MiB."""
        return float(self._view.memory_info().rss) / 2**20


class Broker(Watched):
    """A running nats-server."""

    def __init__(self, pid: int, url: str) -> None:
        super().__init__(pid)
        self.url = url


@contextmanager
def broker() -> Iterator[Broker]:
    """A nats-server on a free port, with its defaults."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(find_server_binary()), "-a", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield Broker(process.pid, f"nats://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def wait_for_port(port: int) -> None:
    """Wait until somebody listens there."""
    give_up_at = time.monotonic() + 10
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if time.monotonic() > give_up_at:
            raise SystemExit("nats-server does not start")
        time.sleep(0.01)


class Peer(Watched):
    """A process that is measured.

    Args:
        arguments: what Python runs.
        ready: a text in the line with which it says that it is ready.
    """

    def __init__(self, *arguments: str, ready: str = '"ready"') -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._command = [sys.executable, *arguments]
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._read = b""
        while ready not in self._line():
            pass
        super().__init__(self._process.pid)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def ask(self, **wanted: Any) -> dict[str, float]:
        """Let it measure a round."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._line())
        return answer

    def end(self) -> None:
        """Close its input, and kill it if that does not end it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(3)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _line(self) -> str:
        """Its next line, in `TIMEOUT_S` at most."""
        assert self._process.stdout is not None
        while b"\n" not in self._read:
            found, _, _ = select.select([self._process.stdout], [], [], TIMEOUT_S)
            data = os.read(self._process.stdout.fileno(), 65_536) if found else b""
            if not data:
                self._process.kill()
                said = self._read.decode(errors="replace")
                raise SystemExit(f"a benchmark's process says nothing: {' '.join(self._command)}\n{said}")
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        if line.startswith(b"Traceback"):
            rest = line + b"\n" + self._read + self._process.stdout.read()
            raise SystemExit(rest.decode(errors="replace"))
        return line.decode(errors="replace")


def peer(role: str, url: str, **options: str) -> Peer:
    """A peer in the role of `benchmarks.peers`."""
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return Peer("-m", "benchmarks.peers", role, url, *flags)
