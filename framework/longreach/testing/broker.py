"""A real nats-server on ports of its own, which it keeps over its lives."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec

from longreach.testing.ports import HOST, free_port, greets
from longreach.testing.process import Process
from longreach.transport.embedded import find_server_binary

_READY_TIMEOUT_S = 10.0
_MONITOR_TIMEOUT_S = 10.0

_CONFIG = """\
server_name: "{name}"
listen: "{host}:{port}"
http: "{host}:{monitor_port}"
ping_interval: "2s"
ping_max: 2
lame_duck_grace_period: "1s"
"""


class Broker(Process):
    """One nats-server, with the short pings that a mesh wants.

    Args:
        config: more of its configuration; what is said twice, counts as it is said here.
        name: what it calls itself.
        port: where it listens; None: some free port.
        leafnodes: whether leaf nodes may join it.
    """

    def __init__(
        self, config: str = "", *, name: str | None = None, port: int | None = None, leafnodes: bool = True
    ) -> None:
        self.port = port or free_port()
        super().__init__(name or f"broker-{self.port}")
        self.monitor_port = free_port()
        self.leaf_port = free_port()
        self.url = f"nats://{HOST}:{self.port}"
        self.leaf_url = f"nats-leaf://{HOST}:{self.leaf_port}"
        self.config = config
        self._leafnodes = leafnodes
        self._folder: Path | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """Its URL, as the one of several."""
        return (self.url,)

    def configure(self, config: str) -> None:
        """Replace what was given as `config`; `reload` or `restart` makes it count."""
        self.config = config
        if self._folder is not None:
            self._write_config()

    def launch(self) -> None:
        """Start it, and wait until it takes connections.

        Raises:
            RuntimeError: it does not start; with the end of its log.
            ConfigError: there is no nats-server; says what to install.
        """
        config = self._write_config()
        self.start_guarded(
            (str(find_server_binary()), "-c", str(config)),
            lambda: greets(self.port, b"INFO "),
            _READY_TIMEOUT_S,
        )

    def dispose(self) -> None:
        """Kill it, and remove its folder."""
        self.end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def lame_duck(self) -> None:
        """SIGUSR2: it asks its clients to go, and ends when they have gone."""
        self.signal(signal.SIGUSR2)

    def reload(self) -> None:
        """SIGHUP: it reads its configuration again."""
        self.signal(signal.SIGHUP)

    async def monitor(self, path: str) -> dict[str, Any]:
        """What the broker's monitoring says, such as of ``connz?subs=1``."""
        return await asyncio.to_thread(self.ask_monitor, path)

    def ask_monitor(self, path: str) -> dict[str, Any]:
        """`monitor`, for code that may block."""
        address = f"http://{HOST}:{self.monitor_port}/{path}"
        with urlopen(address, timeout=_MONITOR_TIMEOUT_S) as answer:
            known: dict[str, Any] = msgspec.json.decode(answer.read())
        return known

    def _write_config(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="longreach-broker-"))
            self.log_file = self._folder / "log"
        basis = _CONFIG.format(
            name=self.name,
            host=HOST,
            port=self.port,
            monitor_port=self.monitor_port,
        )
        if self._leafnodes:
            # Not told to leaf nodes: those would join again past the proxy that is their link.
            basis += f'leafnodes {{ listen: "{HOST}:{self.leaf_port}", no_advertise: true }}\n'
        path = self._folder / "nats.conf"
        path.write_text(f"{basis}{self.config}\n", encoding="utf-8")
        return path
