"""Runs scenarios of the suite, and reads what it found."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import msgspec
from tests.conformance.toolbox import ROOT, Toolbox

RUN_TIMEOUT_S = 240.0
VERSIONS = ("2025-06-18", "2025-11-25", "2026-07-28")
_RESULT = re.compile(r"^(?:server-)?(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z$")
_LISTED = re.compile(r"^\s+- (?P<scenario>\S+) \[", re.MULTILINE)


class Check(msgspec.Struct, rename="camel"):
    """One thing that a scenario looked at."""

    id: str
    status: str
    description: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What came of one scenario.

    Attributes:
        checks: all that it looked at, in order.
        said: what the client wrote on standard error, where a client was tested.
    """

    name: str
    checks: list[Check] = field(default_factory=list)
    said: str = ""

    @property
    def failed(self) -> list[Check]:
        """What is wrong: failures, and warnings too."""
        return [check for check in self.checks if check.status in {"FAILURE", "WARNING"}]

    @property
    def skipped(self) -> list[Check]:
        return [check for check in self.checks if check.status == "SKIPPED"]

    @property
    def succeeded(self) -> int:
        return sum(check.status == "SUCCESS" for check in self.checks)

    @property
    def passed(self) -> bool:
        return self.succeeded > 0 and not self.failed


class Suite:
    """The suite, and a folder for what it writes."""

    def __init__(self, toolbox: Toolbox, folder: Path) -> None:
        self._toolbox = toolbox
        self._folder = folder

    async def scenarios(self, side: str, version: str) -> list[str]:
        """The names of those for `side`, server or client, at a version of the protocol."""
        _, listed = await self._run("list", f"--{side}", "--spec-version", version)
        names = _LISTED.findall(listed)
        assert names, f"the suite lists no scenarios:\n{listed}"
        return names

    async def server(self, url: str, version: str, label: str, scenario: str | None = None) -> list[Scenario]:
        """Test the server at `url`; every scenario of the version, or one."""
        chosen = ["--scenario", scenario] if scenario is not None else ["--suite", "all"]
        return await self._test("server", ["--url", url, *chosen], version, label)

    async def client(
        self, command: str, scenario: str, version: str, environment: Mapping[str, str]
    ) -> Scenario:
        """Test the client that `command` starts, in one scenario."""
        words = ["--command", command, "--scenario", scenario, "--timeout", "60000"]
        found = await self._test("client", words, version, f"client-{scenario}", environment)
        assert len(found) == 1, f"the suite left no result of {scenario}"
        return found[0]

    async def _test(
        self,
        side: str,
        words: list[str],
        version: str,
        label: str,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> list[Scenario]:
        out = self._folder / f"{label}-{version}"
        shutil.rmtree(out, ignore_errors=True)
        code, said = await self._run(
            side, *words, "--spec-version", version, "-o", str(out), environment=environment
        )
        out.mkdir(parents=True, exist_ok=True)
        (out / "suite.log").write_text(said)
        found = [_read(folder) for folder in sorted(out.iterdir()) if folder.is_dir()]
        if code != 0 and found and not any(scenario.failed for scenario in found):
            why = f"the checks are well, but it ended with {code}, as when a client does: {out / 'suite.log'}"
            found[-1].checks.append(Check("exit-code", "FAILURE", error_message=why))
        return found

    async def _run(
        self, *words: str, environment: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            str(self._toolbox.node), str(self._toolbox.suite), *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, cwd=ROOT,
            env={**os.environ, "NO_COLOR": "1", **environment},
        )  # fmt: skip
        try:
            async with asyncio.timeout(RUN_TIMEOUT_S):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, said.decode(errors="replace")


def _read(folder: Path) -> Scenario:
    named = _RESULT.match(folder.name)
    assert named is not None, f"a folder of results with a strange name: {folder.name}"
    checks = msgspec.json.decode((folder / "checks.json").read_bytes(), type=list[Check])
    said = folder / "stderr.txt"
    return Scenario(named["scenario"], checks, said.read_text() if said.exists() else "")
