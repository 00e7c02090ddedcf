"""What commands that talk to the mesh share: the event loop, the connection, quiet logs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop

from longreach.cli.app import debugging
from longreach.cli.settings import resolve
from longreach.client.connect import connect
from longreach.observe import TextFormatter
from longreach.transport.options import NatsOptions

if TYPE_CHECKING:
    from longreach.client.connect import Connecting

T = TypeVar("T")

GIVE_UP_AFTER_S = 2.0
"""Without a broker. People and scripts wait for these commands; `longreach run` is the one that waits."""


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in a new event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def open_mesh(flags: Mapping[str, Any], wait_s: float = GIVE_UP_AFTER_S) -> Connecting:
    """Connect as flags, file and environment say; events are logged only with `--debug`.

    Args:
        flags: as click gives them, by key; other parameters of the command are ignored.
        wait_s: for a broker.

    Raises:
        ConfigError: a setting is malformed.
    """
    quiet_logs()
    found = resolve("client", flags, config=flags.get("config"))
    connection = NatsOptions(**found.get("connection", {}))
    return connect(connection=connection, wait_s=wait_s, **found.get("client", {}))


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
