"""A node process: `longreach run`, killed and stopped as a test wants it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from longreach.testing.process import Process

_READY_TIMEOUT_S = 30.0


class NodeProcess(Process):
    """`longreach run` of some servers, in a process of its own.

    It serves when it is entered; `node` is then what the mesh calls it.

    Args:
        targets: what to run, ``module:server`` or ``file.py:server``; several words are several servers.
        nats: the broker's URL, or several, home first.
        region: of the node.
        flags: more words for `longreach run`.
        folder: where it runs, and finds modules; None: where this process does.
        environment: besides this process's own, whose settings for longreach it does not get.
    """

    def __init__(
        self,
        targets: str,
        nats: str | Sequence[str],
        *,
        region: str = "local",
        flags: Sequence[str] = (),
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"node of {targets}")
        urls = nats if isinstance(nats, str) else ",".join(nats)
        self._words = [*targets.split(), "--nats", urls, "--region", region, "--log-format", "json", *flags]
        self._run_in = folder or Path.cwd()
        self._environment = dict(environment or {})
        self._folder: Path | None = None
        self._lives = 0
        self.node = ""

    def launch(self) -> None:
        """Start it, and wait until it serves.

        Raises:
            RuntimeError: it does not come to serve; with the end of its log.
        """
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="longreach-node-"))
            self.log_file = self._folder / "log"
            self.log_file.touch()
        self._lives = len(self.events("node.serving"))
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LONGREACH_")}
        paths = os.pathsep.join(filter(None, sys.path))
        self.start_guarded(
            (sys.executable, "-P", "-m", "longreach.cli", "run", *self._words),
            self._serves,
            _READY_TIMEOUT_S,
            folder=self._run_in,
            environment={**kept, "PYTHONPATH": paths, **self._environment},
        )

    def dispose(self) -> None:
        """Kill it, and remove its log."""
        self.end()
        self._lives = 0
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def events(self, name: str) -> list[dict[str, object]]:
        """What it has logged under `name`, such as ``link.down``."""
        found = []
        for line in self.log.splitlines():
            if name in line and line.startswith("{"):
                try:
                    said = json.loads(line)
                except json.JSONDecodeError:  # half a line: it is still being written
                    continue
                if said.get("event") == name:
                    found.append(said)
        return found

    def _serves(self) -> bool:
        serving = self.events("node.serving")
        if len(serving) == self._lives:
            return False
        self.node = str(serving[-1]["node"])
        return True
