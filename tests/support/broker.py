"""A real nats-server for tests: one process, one port, which it keeps over restarts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from longreach.transport.embedded import find_server_binary

_READY_TIMEOUT_S = 10.0


class Broker:
    """Starts at once; use it as a context manager, or call `close`.

    Args:
        config: further configuration text.
        port: to listen on; None: a free one.
    """

    def __init__(self, config: str = "", *, port: int | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="longreach-broker-"))
        self.port = port if port is not None else free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._log = self.folder / "log"
        self._config = self.folder / "nats.conf"
        self.configure(config)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def configure(self, config: str) -> None:
        """Replace the configuration; `restart` or `reload` makes it count."""
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nping_interval: "2s"\nping_max: 2\n{config}\n'
        )

    def start(self) -> None:
        assert self._process is None, "the broker is running"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [find_server_binary(), "-c", self._config], stdout=log, stderr=log, start_new_session=True
            )
        give_up_at = time.monotonic() + _READY_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise AssertionError(f"nats-server does not start:\n{self.log}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                return probe.recv(5) == b"INFO "
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9; clients see the connection end."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """kill -9, and a new process on the same port."""
        if self._process is not None:
            self.kill()
        self.start()

    def stop(self) -> None:
        """SIGSTOP: it hangs, and keeps its connections."""
        os.kill(self.pid, signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT: it goes on where it stopped."""
        os.kill(self.pid, signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP: the configuration is read again."""
        os.kill(self.pid, signal.SIGHUP)

    def lame_duck(self) -> None:
        """SIGUSR2: it asks its clients to go."""
        os.kill(self.pid, signal.SIGUSR2)

    def close(self) -> None:
        if self._process is not None:
            self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        assert self._process is not None, "the broker is not running"
        self._process.send_signal(number)
        self._process.wait(5)
        self._process = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
