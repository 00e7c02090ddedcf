"""The demo's processes: a broker and nodes, apart from all others of the user; they end with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import msgspec

from longreach.errors import LongreachError
from longreach.node import worker
from longreach.transport.embedded import EmbeddedBroker, Found

_POLL_S = 0.02
_END_TIMEOUT_S = 3.0
_TAIL_LINES = 5


class NodeProcess:
    """A `longreach run` in a process of its own.

    Args:
        identity: what the node calls itself.
        region: where it says it is.
        servers: as `longreach run` takes them.
        stage: the folder with the broker's whereabouts, and for the node's log.
    """

    def __init__(self, identity: str, region: str, servers: Iterable[str], stage: Path) -> None:
        self.identity = identity
        self.region = region
        self._log = stage / f"{identity}.log"
        command = [sys.executable, "-m", "longreach.cli", "run", *servers]
        command += ["--region", region, "--identity", identity]
        reports, write_end = os.pipe()
        os.set_blocking(reports, False)
        self._reports = os.fdopen(reports, "rb")
        environment = {
            **os.environ,
            "LONGREACH_RUNTIME_DIR": str(stage),
            # As a worker of ours it ends with us, killed -9 included, and reports why it failed.
            worker.VARIABLE: f"1:{write_end}:{os.getpid()}",
        }
        try:
            with self._log.open("wb") as log:
                # A session of its own: Ctrl-C is for the demo, which ends its nodes itself.
                self._process = subprocess.Popen(  # noqa: S603 - our own command
                    command,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    pass_fds=(write_end,),
                    start_new_session=True,
                )
        finally:
            os.close(write_end)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended, minus the signal if one killed it; None while it runs."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        """Why it failed, if it said so; else the end of its log."""
        for line in (self._reports.read() or b"").splitlines():
            report = msgspec.json.decode(line, type=worker.Report)
            if report.kind == "failed":
                return report.text
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return "\n".join(lines[-_TAIL_LINES:])

    def kill(self) -> None:
        """SIGKILL: it cannot say good-bye."""
        self._process.kill()

    def terminate(self) -> None:
        """SIGTERM: it drains."""
        self._process.send_signal(signal.SIGTERM)

    async def wait(self, timeout_s: float) -> int:
        """Its exit code, once it has ended.

        Raises:
            LongreachError: it has not, after `timeout_s`.
        """
        for _ in range(max(1, round(timeout_s / _POLL_S))):
            if self.exit_code is not None:
                return self.exit_code
            await asyncio.sleep(_POLL_S)
        raise LongreachError(f"{self.identity} has not ended after {timeout_s:g} s: {self.last_words}")

    def end(self) -> None:
        """Kill it if it still runs, and wait until it is gone."""
        if self.exit_code is None:
            self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_TIMEOUT_S)
        self._reports.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


class Stage:
    """A private folder, a broker, and the nodes started on it; all end when the stage is left.

    Raises:
        ConfigError: there is no nats-server to run.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="longreach-demo-"))
        self._found: Found | None = None
        self.nodes: dict[str, NodeProcess] = {}

    def __enter__(self) -> Stage:
        try:
            self._found = EmbeddedBroker.find_or_start(self._folder)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def broker(self) -> Found:
        """Where the broker is, and the token that it wants."""
        assert self._found is not None, "the stage has not been entered"
        return self._found

    def start(self, identity: str, region: str, servers: Iterable[str]) -> NodeProcess:
        """Start a node; it takes about a second until it serves."""
        node = self.nodes[identity] = NodeProcess(identity, region, servers, self._folder)
        return node

    def close(self) -> None:
        """End every process, and remove the folder."""
        for node in self.nodes.values():
            node.end()
        if self._found is not None and self._found.handle is not None:
            self._found.handle.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
