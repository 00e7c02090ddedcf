"""Processes that serve until they are told to end: nodes, gateways, other frameworks' servers."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_READY_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 15.0


def write_state_keys(path: Path) -> Path:
    """A key ring for the nodes of a server; its path."""
    path.write_text(f"tests:{base64.b64encode(secrets.token_bytes(32)).decode()}\n")
    path.chmod(0o600)
    return path


class Service:
    """Starts at once; use it as a context manager, or call `close`. What it says goes to a file.

    Args:
        log: that file.
        words: for the Python interpreter.
        environment: besides this process's own, without its settings for longreach.
    """

    def __init__(self, log: Path, *words: str, **environment: str) -> None:
        self._log = log
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LONGREACH_")}
        paths = os.pathsep.join(str(_ROOT / folder) for folder in ("framework", "services", "."))
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *words], cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, env={**kept, "PYTHONPATH": paths, **environment},
            )  # fmt: skip

    @classmethod
    def longreach(cls, log: Path, *words: str, **environment: str) -> Service:
        """`longreach` with these words."""
        return cls(log, "-m", "longreach.cli", *words, **environment)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def listens(self, port: int) -> None:
        """Wait until something answers on a port."""
        give_up_at = time.monotonic() + _READY_TIMEOUT_S
        while True:
            assert self.process.poll() is None, f"it ended before it listened:\n{self.said}"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                assert time.monotonic() < give_up_at, f"nothing listens on port {port}:\n{self.said}"
                time.sleep(0.02)
            else:
                return

    def close(self) -> None:
        """SIGTERM, and SIGKILL if that is not enough."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
