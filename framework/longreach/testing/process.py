"""A process under test: killed, stopped and continued, and never left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from longreach.transport._guard import GuardedProcess

_POLL_S = 0.005


class Process:
    """What brokers and nodes have in common; it runs from `launch` to `close`, and may run again.

    However this process ends, a guard ends the one under test.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.log_file = Path(os.devnull)
        self._guarded: GuardedProcess | None = None

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._begin)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.dispose)

    def _begin(self) -> None:
        try:
            self.launch()
        except BaseException:
            self.dispose()
            raise

    # To be said by what it is

    def launch(self) -> None:
        """Start it and wait until it serves; what `async with` does, for code that may block."""
        raise NotImplementedError

    def dispose(self) -> None:
        """Kill it, if it runs, and remove what it left on disk."""
        raise NotImplementedError

    # What every test wants of it

    @property
    def running(self) -> bool:
        """Whether it runs; one that is stopped by `stop` does."""
        return self._guarded is not None and self._guarded.running

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            RuntimeError: it was never started.
        """
        if self._guarded is None:
            raise RuntimeError(f"{self.name} was not started: enter it with `async with`, or call `launch`")
        return self._guarded.pid

    @property
    def log(self) -> str:
        """What it has printed so far, over all of its lives."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """SIGKILL: its connections end at once, and it says nothing to anybody."""
        self.signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGSTOP: it hangs, and keeps its connections."""
        self.signal(signal.SIGSTOP)

    def cont(self) -> None:
        """SIGCONT: it goes on where it stopped."""
        self.signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM: it may end in its own way; a node drains."""
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens if it has ended."""
        if self.running:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:  # it ended a moment ago
                return

    async def ended(self, timeout_s: float = 20.0) -> int:
        """Wait until it has ended; its exit code, or 128 and the number of the signal that killed it.

        Raises:
            TimeoutError: it still runs.
        """
        async with asyncio.timeout(timeout_s):
            while self.running:  # noqa: ASYNC110 - the guard tells nobody
                await asyncio.sleep(_POLL_S)
        assert self._guarded is not None
        return self._guarded.code or 0

    async def restart(self) -> None:
        """Kill it if it runs, and start it again where it was."""
        await asyncio.to_thread(self.relaunch)

    def relaunch(self) -> None:
        """`restart`, for code that may block."""
        self.end()
        self.launch()

    def end(self) -> None:
        """Kill it if it runs, and wait until it has ended."""
        if self._guarded is not None:
            self._guarded.stop()
            self._guarded = None

    def start_guarded(
        self,
        command: Sequence[str],
        ready: Callable[[], bool],
        timeout_s: float,
        *,
        folder: Path = Path("/"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Run `command` under a guard, and wait until it is `ready`.

        Raises:
            RuntimeError: it ended, or was not ready in time; with the last of what it printed.
        """
        if self.running:
            raise RuntimeError(f"{self.name} runs already")
        self.end()
        self._guarded = GuardedProcess(
            command, self.log_file, pdeathsig=True, folder=folder, environment=environment
        )
        give_up_at = time.monotonic() + timeout_s
        while not ready():
            if not self._guarded.running or time.monotonic() > give_up_at:
                last = "\n".join(self.log.splitlines()[-20:])
                self.end()
                raise RuntimeError(f"{self.name} does not come up:\n{last}")
            time.sleep(_POLL_S)
