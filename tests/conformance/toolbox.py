"""What comes from npm: the conformance suite, a Node.js that is new enough for it, and the TypeScript client.

Installed by name and version into a folder of the project that git ignores, once; a second run finds it.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "npm"
INSTALL_TIMEOUT_S = 300

PACKAGES = {
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/client": "2.4.0",
    "node": "24",
}


class NotInstalled(Exception):
    """The packages are not there and cannot be brought; the text says why."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Where things are.

    Attributes:
        node: the Node.js program.
        suite: the suite's command line, a script for `node`.
        modules: the folder that scripts import packages from.
    """

    node: Path
    suite: Path
    modules: Path


def install() -> Toolbox:
    """Have the packages, installing them if they are not there yet.

    Raises:
        NotInstalled: there is no npm, or it failed.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    manifest = json.dumps(
        {
            "name": "longreach-tests",
            "private": True,
            "dependencies": PACKAGES,
            "allowScripts": {"node": True},  # its script brings the program for this machine
        }
    )
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = CACHE / ".installed"
        if not installed.exists() or installed.read_text() != manifest:
            (CACHE / "package.json").write_text(manifest)
            _npm_install()
            installed.write_text(manifest)
    modules = CACHE / "node_modules"
    return Toolbox(
        modules / ".bin" / "node",
        modules / "@modelcontextprotocol" / "conformance" / "dist" / "index.js",
        modules,
    )


def _npm_install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NotInstalled("there is no npm on this machine: install Node.js, which brings it, and try again")
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--loglevel", "error"],
        cwd=CACHE, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise NotInstalled(f"npm could not install {', '.join(PACKAGES)}:\n{done.stderr.strip()}")
