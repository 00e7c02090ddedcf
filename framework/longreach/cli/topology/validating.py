"""Asking the real nats-server whether a configuration is one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from longreach.cli.topology.brokers import CONFIG
from longreach.errors import ConfigError
from longreach.transport.embedded import find_server_binary

_TIMEOUT_S = 20.0


def validate(folder: Path) -> list[str]:
    """Check every broker's configuration below `folder`; the names of those that were.

    Raises:
        ConfigError: nats-server refuses one; the message says what it says.
    """
    checked = []
    for path in sorted((folder / "brokers").glob(f"*/{CONFIG}")):
        done = subprocess.run(  # noqa: S603 - our own binary and file
            [find_server_binary(), "-c", str(path), "-t"],
            capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().removeprefix("nats-server: ")
            raise ConfigError(f"nats-server refuses the configuration of broker {path.parent.name}: {said}")
        checked.append(path.parent.name)
    return checked
