"""What commands that talk to the mesh share: the event loop, the connection and its time, quiet logs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import uvloop

from longreach.cli.app import debugging
from longreach.cli.settings import resolve
from longreach.client.connect import connect
from longreach.errors import BrokerUnavailable, CallTimeout, LongreachError, NotFound
from longreach.observe import TextFormatter
from longreach.transport.options import NatsOptions

if TYPE_CHECKING:
    from longreach.client.connect import Connecting
    from longreach.client.mesh import Mesh

T = TypeVar("T")

GIVE_UP_AFTER_S = 2.0
"""Without a broker. People and scripts wait for these commands; `longreach run` is the one that waits."""
CLOSE_S = 1.0
"""How long the last words of a command may take: a broker that hangs takes none."""
_WITHIN = re.compile(r"within [0-9.e+-]+ s")
_GRACE_S = 0.5
"""So much later than the call itself its command gives up: the call knows better what became of it."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in a new event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


class Course:
    """The time of one command: `--timeout` bounds all of it, and how far it came decides what it ends in.

    Args:
        timeout_s: of the whole; None: each step has its own bound.
    """

    def __init__(self, timeout_s: float | None) -> None:
        self.timeout_s = timeout_s
        self.step: Literal["connecting", "asking", "calling"] = "connecting"
        self.mesh: Mesh | None = None
        now = asyncio.get_running_loop().time()
        self._end = None if timeout_s is None else now + timeout_s
        self.scope = asyncio.timeout_at(self._end)

    def call(self) -> float | None:
        """Say that from now on something may run; what is left for it, in seconds; None: any time."""
        self.step = "calling"
        if self._end is None:
            return None
        self.scope.reschedule(self._end + _GRACE_S)
        return max(0.001, self._end - asyncio.get_running_loop().time())

    def late(self, server: str | None) -> LongreachError:
        """Make the error of a command whose time is up."""
        within = f"within {self.timeout_s:g} s"
        if self.step == "connecting":
            return BrokerUnavailable(f"no connection to a broker {within}")
        if self.step == "asking" or not self._could_be_called(server):
            whose = "no node says" if server is None else f"no node of {server!r} says"
            return LongreachError(f"{whose} {within} what it offers: nothing was called", delivered="no")
        return CallTimeout(f"no answer {within}; it may have run")

    def _could_be_called(self, server: str | None) -> bool:
        """Return whether anybody was found to send a call to."""
        if server is None or self.mesh is None:
            return True
        return any(self.mesh.catalog.of_server(server))


async def on_mesh(
    flags: Mapping[str, Any],
    work: Callable[[Mesh, Course], Awaitable[T]],
    *,
    server: str | None = None,
    timeout_s: float | None = None,
    missing: Callable[[T], bool] = lambda _: False,
) -> T:
    """Connect, do the work of a command, and close: all of it within a command's `--timeout`.

    Where the command is about one server, only that one is heard of, as permissions may demand; if there is
    none of that name the work is done once more with all in sight, so that the error can name one like it.

    Args:
        flags: as click gives them.
        work: gets the mesh and its time. It may be done twice where nothing ran.
        server: what the command is about; None: the mesh.
        timeout_s: of the whole; None: each step has its own bound.
        missing: whether a result says that there is no such server.

    Raises:
        BrokerUnavailable: no broker.
        LongreachError: the time was up before anything was called; ``delivered`` is ``"no"``.
        CallTimeout: the time was up.
    """
    course = Course(timeout_s)
    try:
        async with course.scope:
            if server:
                try:
                    found = await _once(flags, work, course, (server,))
                except NotFound as error:
                    if error.reason != "no_such_server":
                        raise
                else:
                    if not missing(found):
                        return found
            return await _once(flags, work, course, None)
    except CallTimeout as error:
        if timeout_s is not None:  # the call was given what was left; its user wrote the whole
            error.args = (_WITHIN.sub(f"within {timeout_s:g} s", str(error), count=1),)
        raise
    except TimeoutError as error:
        if isinstance(error, LongreachError) or not course.scope.expired():
            raise
        raise course.late(server) from None


async def _once(
    flags: Mapping[str, Any],
    work: Callable[[Mesh, Course], Awaitable[T]],
    course: Course,
    servers: tuple[str, ...] | None,
) -> T:
    wait_s = GIVE_UP_AFTER_S if course.timeout_s is None else min(GIVE_UP_AFTER_S, course.timeout_s)
    connecting = open_mesh(flags, wait_s, servers)
    mesh = await connecting.__aenter__()
    try:
        course.step, course.mesh = "asking", mesh
        return await work(mesh, course)
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await connecting.__aexit__(None, None, None)


def open_mesh(
    flags: Mapping[str, Any], wait_s: float = GIVE_UP_AFTER_S, servers: tuple[str, ...] | None = None
) -> Connecting:
    """Connect as flags, file and environment say; events are logged only with `--debug`.

    Args:
        flags: as click gives them, by key; other parameters of the command are ignored.
        wait_s: for a broker.
        servers: the only ones that are heard of, unless a setting says which are.

    Raises:
        ConfigError: a setting is malformed.
    """
    quiet_logs()
    found = resolve("client", flags, config=flags.get("config"))
    connection = NatsOptions(**found.get("connection", {}))
    return connect(connection=connection, wait_s=wait_s, **{"servers": servers, **found.get("client", {})})


def quiet_logs() -> None:
    """Log everything with `--debug`, and otherwise nothing: the command's own line says what is wrong."""
    logger = logging.getLogger("longreach")
    handler: logging.Handler = logging.NullHandler()
    if debugging():
        handler = logging.StreamHandler()
        handler.setFormatter(TextFormatter())
        logger.setLevel(logging.DEBUG)
    logger.handlers = [handler]
    logger.propagate = False
