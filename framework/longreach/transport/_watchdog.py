"""Notices a broker that hangs: one that is connected and says nothing.

A broker that is stopped keeps its sockets, and with data unsent nothing in TCP or nats-py tells for
minutes. So the link asks, every `ping_interval_s`, and gives up after `max_silence_s` without one byte.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from longreach.tasks import TaskSet
from longreach.transport.options import NatsOptions


class Watched(Protocol):
    """What the watchdog needs of a connection."""

    heard_at: float

    def ping(self) -> None:
        """Ask for a sign of life."""
        ...

    def lose(self, reason: str) -> None:
        """End the connection."""
        ...


class Watchdog:
    """Watches one connection until it is cancelled or gives it up.

    Args:
        client: the connection; its `heard_at` is on the event loop's clock.
        ping_interval_s: between two questions.
        max_silence_s: without one byte, the broker is given up.
    """

    def __init__(self, client: Watched, ping_interval_s: float, max_silence_s: float) -> None:
        self._client = client
        self._ping_interval_s = ping_interval_s
        self._max_silence_s = max_silence_s

    async def run(self) -> None:
        """Ask and watch. Time in which this process itself stood still is not held against the broker."""
        loop = asyncio.get_running_loop()
        client = self._client
        step_s = self._ping_interval_s / 2
        heard_at = client.heard_at
        silent_s = 0.0
        next_ping_s = 0.0
        while silent_s < self._max_silence_s:
            if next_ping_s <= 0:
                client.ping()
                next_ping_s = self._ping_interval_s
            before = loop.time()
            await asyncio.sleep(step_s)
            # After a pause of ours the answers wait in the socket, unread: count what was planned.
            watched_s = min(loop.time() - before, 2 * step_s)
            next_ping_s -= watched_s
            silent_s = silent_s + watched_s if client.heard_at == heard_at else 0.0
            heard_at = client.heard_at
        client.lose("silent")


class Watchdogs:
    """A watchdog for each connection of one link.

    Args:
        tasks: owns them.
    """

    def __init__(self, tasks: TaskSet) -> None:
        self._tasks = tasks
        self._running: dict[Watched, asyncio.Task[None]] = {}

    def watch(self, client: Watched, options: NatsOptions) -> None:
        """Begin."""
        dog = Watchdog(client, options.ping_interval_s, options.max_silence_s)
        self._running[client] = self._tasks.spawn(dog.run(), name="link watchdog")

    def unwatch(self, client: Watched) -> None:
        """End, if it was begun."""
        dog = self._running.pop(client, None)
        if dog is not None:
            dog.cancel()
