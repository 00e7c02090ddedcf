"""The process: a socket, uvicorn on it, signals that drain, and the banner."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import uvicorn

from longreach import forks
from longreach.cli.listening import open_door
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach_gateway.assembly import Assembly, check_settings, learn
from longreach_gateway.protocol import BoundedProtocol, sweep

if TYPE_CHECKING:
    from longreach.client.connect import Connecting
    from longreach_gateway.settings import GatewaySettings

_log = logging.getLogger("longreach.gateway")
_BACKLOG = 2048
_KEEP_ALIVE_S = 75
"""Longer than the 60 s after which usual balancers close a connection: they do it first, and know it."""
_LEARN_S = 2.0
_SWEEPS = 4
_GC_AFTER = 10_000


class _Server(uvicorn.Server):
    """uvicorn's, but its signals are ours, and it says when it listens."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is there now stays: the collector need not look through it again, nor at every 700 new objects.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_AFTER, 20, 20)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    connecting: Connecting, settings: GatewaySettings, on_ready: Callable[[str, str | None], None]
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal cuts off what still runs.

    Args:
        connecting: the mesh, about to be opened.
        settings: what the gateway is set to.
        on_ready: called with the URL and the broker's URL once requests are answered.

    Raises:
        ConfigError: the address cannot be listened on, or is open to everybody and nobody said so.
        BrokerUnavailable: no broker.
    """
    check_settings(settings)
    _raise_file_limit()
    with open_door(
        settings.host, settings.port, checks_tokens=settings.checks_tokens, anonymous=settings.anonymous
    ) as sock:
        url = _url_of(settings.host, sock)
        async with connecting as mesh:
            await learn(mesh, _LEARN_S)
            assembly = Assembly(mesh, settings, url, bound_to=sock.getsockname()[0])
            server = _Server(
                _config(assembly, settings), lambda: on_ready(settings.public_url or url, mesh.url)
            )
            tasks = TaskSet("serving")
            try:
                tasks.start(_sweeping(server, settings.body_timeout_s), name="sweep")
                tasks.start(_drain_on_signal(server, assembly, _catch_signals()), name="signals")
                await server.serve([sock])
            finally:
                await assembly.close()
                await tasks.close()


def _config(assembly: Assembly, settings: GatewaySettings) -> uvicorn.Config:
    return uvicorn.Config(
        assembly.app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.drain_timeout_s) + 5,
    )


def _raise_file_limit() -> None:
    """Each connection is a file, and the usual soft limit of 1,024 is less than what a gateway is for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _url_of(host: str, sock: socket.socket) -> str:
    name = host.strip("[]") or sock.getsockname()[0]
    return f"http://{f'[{name}]' if ':' in name else name}:{sock.getsockname()[1]}"


async def _sweeping(server: _Server, timeout_s: float) -> None:
    """Close connections that send no head in time."""
    connections: Any = server.server_state.connections
    while True:
        await asyncio.sleep(timeout_s / _SWEEPS)
        if closed := sweep(connections, _SWEEPS):
            event(_log, "connections.idle", logging.DEBUG, closed=closed)


def _catch_signals() -> asyncio.Queue[int]:
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT):
        forks.hear(asyncio.get_running_loop(), number, signals.put_nowait, number)
    return signals


async def _drain_on_signal(server: _Server, assembly: Assembly, signals: asyncio.Queue[int]) -> None:
    """At the first signal let everything end, at the second cut it off."""
    await signals.get()
    event(_log, "gateway.draining", running=len(assembly.overseer.running))
    assembly.drain()
    server.should_exit = True
    async with asyncio.TaskGroup() as group:
        group.create_task(assembly.close())
        await signals.get()
        server.force_exit = True
        assembly.cut()
