"""Node processes for tests, killed and drained for real."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_SETPRIV = shutil.which("setpriv")
_ENDS_WITH_US = [_SETPRIV, "--pdeathsig", "KILL"] if _SETPRIV else []
"""A node ends with the tests' own process, however that ends; where the system can."""


class NodeProcess:
    """One running node process; `name` is what the mesh calls it."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self.name = name

    @classmethod
    async def start(
        cls,
        url: str,
        region: str = "local",
        effects: str = os.devnull,
        module: str = "tests.support.chaos_node",
    ) -> NodeProcess:
        process = await asyncio.create_subprocess_exec(
            *_ENDS_WITH_US, sys.executable, "-m", module, url, region, effects,
            stdout=asyncio.subprocess.PIPE, cwd=_ROOT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode().split()
        assert line[:1] == ["ready"], f"the node did not come up: {line}"
        return cls(process, line[1])

    def kill(self) -> None:
        self.process.kill()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self.process.terminate()

    async def ended(self, timeout_s: float = 20) -> int:
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
