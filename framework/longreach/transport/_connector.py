"""Finding a broker: every URL in order, home first, round after round until one takes us."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from longreach.errors import BrokerUnavailable, ConfigError, CredentialsRejected, LongreachError
from longreach.observe import event
from longreach.tasks import TaskSet
from longreach.transport._attempt import attempt
from longreach.transport._client import NatsClient
from longreach.transport._credentials import Stamp, stamp
from longreach.transport._urls import Target, Told
from longreach.transport.options import NatsOptions, connect_arguments

_log = logging.getLogger("longreach.transport")

FIRST_WAIT_S = 0.05
MAX_WAIT_S = 2.0
REJECTED_WAIT_S = 5.0
LOOK_EVERY_S = 0.25
"""How often rejected credentials are looked at: once they are others, nothing else is waited for."""
SAY_EVERY_S = 10.0
STEADY_AFTER_S = 1.0
"""A connection that held for less counts as a failed attempt: a broker that takes and drops us at once
must not be hammered."""
HEAD_START_S = 0.3
"""What each URL has before the next one is tried beside it: one that hangs must not cost a time limit."""
JITTER_S = 0.05
"""Added at random to a head start, so that a fleet does not fall upon the next broker in step."""


class Made(NamedTuple):
    """A connection, and what it was made with."""

    client: NatsClient
    target: Target
    options: NatsOptions
    stamp: Stamp


class Connector:
    """Makes connections, one after the other, for one link.

    Args:
        options: asked for anew before each round.
        new_client: makes an unconnected client.
        told: the brokers that brokers told of.
        patient: say now and then that a broker is awaited.
    """

    def __init__(
        self,
        options: Callable[[], NatsOptions],
        new_client: Callable[[], NatsClient],
        told: Told,
        *,
        patient: bool,
    ) -> None:
        self._options = options
        self._new_client = new_client
        self._told = told
        self._patient = patient
        self._failures = 0
        self._connected_at: float | None = None

    def check(self) -> None:
        """Raise `ConfigError` now for what no broker could mend."""
        options = self._options()
        if not options.urls:
            raise ConfigError("no broker URL: give one, such as nats://localhost:4222")
        for url in options.urls:
            connect_arguments(options, url)

    async def connect(self, on_failed: Callable[[LongreachError], None]) -> Made:
        """A new connection, whenever one can be had; `on_failed` hears of each round without one."""
        loop = asyncio.get_running_loop()
        if self._connected_at is not None:
            steady = loop.time() - self._connected_at >= STEADY_AFTER_S
            self._failures = 0 if steady else self._failures + 1
            if self._failures:
                await asyncio.sleep(_backoff_s(self._failures))
        say_at = loop.time()
        shown: Stamp = ()
        while True:
            try:
                options = self.ask_options()
                shown = stamp(options)
                made = await self.once(options, self._told.targets(options))
            except LongreachError as error:
                self._failures += 1
                on_failed(error)
                if loop.time() >= say_at:
                    say_at = loop.time() + SAY_EVERY_S
                    self._say(error)
                if isinstance(error, CredentialsRejected):
                    await self._wait_for_others(shown)
                else:
                    await asyncio.sleep(_backoff_s(self._failures))
            else:
                self._connected_at = loop.time()
                return made

    def ask_options(self) -> NatsOptions:
        """The options as they are now.

        Raises:
            ConfigError: the function that gives them failed.
        """
        try:
            return self._options()
        except LongreachError:
            raise
        except Exception as error:
            raise ConfigError(f"the function that gives the broker's options failed: {error!r}") from error

    async def once(self, options: NatsOptions, targets: Sequence[Target]) -> Made:
        """A connection to the first of `targets` that takes us; each is tried once.

        Raises:
            CredentialsRejected: none does, and one refuses the credentials.
            BrokerUnavailable: none does.
            ConfigError: a file cannot be used.
        """
        before = stamp(options)
        race = _Race(self._new_client, options)
        client = None
        try:
            client, target = await race.run(targets)
            await race.close()
        except BaseException:
            if client is not None:  # cancelled at the last moment
                client.abort("not wanted")
            await race.close()
            raise
        return Made(client, target, options, before)

    async def _wait_for_others(self, refused: Stamp) -> None:
        """Wait before the same credentials are shown again; not for others."""
        left_s = REJECTED_WAIT_S
        while left_s > 0:
            await asyncio.sleep(LOOK_EVERY_S)
            left_s -= LOOK_EVERY_S
            try:
                if stamp(self.ask_options()) != refused:
                    return
            except LongreachError:
                continue  # said by the next round, if it lasts

    def _say(self, error: LongreachError) -> None:
        if isinstance(error, CredentialsRejected | ConfigError):
            event(_log, "broker.rejected", logging.ERROR, reason=str(error))
        else:
            level = logging.WARNING if self._patient else logging.DEBUG
            event(_log, "broker.waiting", level, reason=str(error))


_Won = tuple[NatsClient, Target]


class _Race:
    """Attempts that begin one after the other, and go on beside each other where one of them hangs."""

    def __init__(self, new_client: Callable[[], NatsClient], options: NatsOptions) -> None:
        self._new_client = new_client
        self._options = options
        self._tasks = TaskSet("attempts", on_error=lambda _name, _error: None)  # `_one` reads what they raise
        self._running: set[asyncio.Task[_Won]] = set()
        self._rejected: CredentialsRejected | None = None
        self._reasons: list[str] = []

    async def run(self, targets: Sequence[Target]) -> _Won:
        """The first client that stands."""
        for number, target in enumerate(targets, 1):
            coming = self._attempt(target)
            self._running.add(self._tasks.spawn(coming, name="attempt"))
            last = number == len(targets)
            while self._running:
                head_start_s = None if last else HEAD_START_S
                won, any_ended = await self._one(head_start_s)
                if won is not None:
                    return won
                if not last:
                    if any_ended:
                        await asyncio.sleep(random.random() * JITTER_S)  # noqa: S311 - jitter, no secret
                    break
        if self._rejected is not None:
            raise self._rejected
        raise BrokerUnavailable(
            f"no broker: {'; '.join(self._reasons)}. "
            "Start one there, or name another (--nats, NatsOptions.urls)"
        )

    async def _attempt(self, target: Target) -> _Won:
        return await attempt(self._new_client, self._options, target), target

    async def _one(self, timeout_s: float | None) -> tuple[_Won | None, bool]:
        """Wait until an attempt ends: its client, if it has one, and whether one ended at all.

        Attempts are bounded themselves.
        """
        ended, self._running = await asyncio.wait(
            self._running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        won: _Won | None = None
        for task in ended:
            error = task.exception()
            if error is None:
                if won is None:
                    won = task.result()
                else:
                    task.result()[0].abort("another broker was as fast")
            elif isinstance(error, CredentialsRejected):
                self._rejected = error
            elif isinstance(error, BrokerUnavailable):
                self._reasons.append(str(error))
            else:
                raise error
        return won, bool(ended)

    async def close(self) -> None:
        """End the attempts that lost."""
        await self._tasks.close()
        for task in self._running:
            if task.done() and not task.cancelled() and task.exception() is None:
                task.result()[0].abort("another broker was faster")


def _backoff_s(failures: int) -> float:
    """50 ms at first, doubling to 2 s, with jitter, so that a fleet does not come back in step."""
    from tenacity import RetryCallState, wait_exponential, wait_random  # here: a good start needs none of it

    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # the strategies read the number alone
    state.attempt_number = failures
    wait = wait_exponential(multiplier=FIRST_WAIT_S, max=MAX_WAIT_S) + wait_random(0, FIRST_WAIT_S)
    return wait(state)
