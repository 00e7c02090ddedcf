"""`longreach` as people run it: commands that end, and nodes that serve until they are told."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

_ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 40.0


class Desk:
    """A working directory with servers in it, and an embedded broker of its own.

    Args:
        folder: the directory; the broker's whereabouts are kept below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._nodes: list[RunningNode] = []
        self._scripts: list[subprocess.Popen[str]] = []
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("LONGREACH_")},
            "LONGREACH_RUNTIME_DIR": str(folder / "runtime"),
            "PYTHONPATH": os.pathsep.join([str(_ROOT / "framework"), str(_ROOT)]),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def longreach(self, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "longreach.cli", *words],
            cwd=self.folder, env={**self.environment, **environment}, input=stdin, text=True,
            capture_output=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line as if it were pasted into a shell."""
        return subprocess.run(
            line, shell=True, cwd=self.folder, env=self.environment, text=True, capture_output=True,
            timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command that does not end by itself."""
        process = subprocess.Popen(
            [sys.executable, "-m", "longreach.cli", *words], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._scripts.append(process)
        return process

    def python(self, script: str) -> subprocess.Popen[str]:
        """Start a script; what it prints can be read."""
        process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._scripts.append(process)
        return process

    def node(self, *words: str, **environment: str) -> RunningNode:
        """Start `longreach run`; `RunningNode.until` waits for what it says."""
        node = RunningNode([sys.executable, "-m", "longreach.cli", "run", *words], self.folder,
                           {**self.environment, **environment})  # fmt: skip
        self._nodes.append(node)
        return node

    def bridge(self, *words: str, **environment: str) -> RunningNode:
        """Start `longreach bridge`; `RunningNode.until` waits for what it says."""
        node = RunningNode([sys.executable, "-m", "longreach.cli", "bridge", *words], self.folder,
                           {**self.environment, **environment})  # fmt: skip
        self._nodes.append(node)
        return node

    def close(self) -> None:
        for node in self._nodes:
            node.close()
        for script in self._scripts:
            script.kill()
            script.communicate(timeout=10)


class RunningNode:
    """A `longreach run`, and what it wrote on standard error so far."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.process.stderr, selectors.EVENT_READ)
        self.said = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def until(self, text: str, timeout_s: float = _TIMEOUT_S, times: int = 1) -> str:
        """Wait until it has said `text`, `times` times in all; what it has said."""
        give_up_at = time.monotonic() + timeout_s
        while self.said.count(text) < times:
            assert time.monotonic() < give_up_at, f"it never said {text!r}:\n{self.said}"
            if not self._listen(0.2) and self.process.poll() is not None:
                assert self.said.count(text) >= times, f"it ended without {text!r}:\n{self.said}"
        return self.said

    def _listen(self, timeout_s: float) -> bool:
        """Read what there is; whether there was something."""
        if not self._selector.select(timeout_s):
            return False
        assert self.process.stderr is not None
        data = self.process.stderr.read() or b""
        self.said += data.decode()
        return bool(data)

    def family(self) -> list[psutil.Process]:
        """All processes that came from it, and itself."""
        me = psutil.Process(self.pid)
        return [me, *me.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        return [child for child in psutil.Process(self.pid).children() if "longreach.cli" in child.cmdline()]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, timeout_s: float = _TIMEOUT_S) -> int:
        """Its exit code; everything it said is in `said`."""
        give_up_at = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < give_up_at, f"it does not end:\n{self.said}"
            self._listen(0.05)
        while self._listen(0.0):
            pass
        return self.process.returncode

    def close(self) -> None:
        """Kill it and all that came from it."""
        try:
            family = self.family()
        except psutil.NoSuchProcess:
            family = []
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(10)
        assert self.process.stderr is not None
        self._selector.close()
        self.process.stderr.close()


def gone(processes: list[psutil.Process], timeout_s: float = 10.0) -> list[psutil.Process]:
    """Those that still run after `timeout_s`; none, if all is well."""
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
