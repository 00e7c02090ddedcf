"""Finding a broker: every URL in order, home first, round after round until one takes us."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

from longreach.errors import BrokerUnavailable, ConfigError, CredentialsRejected, LongreachError
from longreach.observe import event
from longreach.transport._client import NatsClient
from longreach.transport.options import NatsOptions, connect_arguments, redact

_log = logging.getLogger("longreach.transport")

FIRST_WAIT_S = 0.05
MAX_WAIT_S = 2.0
REJECTED_WAIT_S = 5.0
SAY_EVERY_S = 10.0
STEADY_AFTER_S = 1.0
"""A connection that held for less counts as a failed attempt: a broker that takes and drops us at once
must not be hammered."""

_REJECTIONS = ("authorization violation", "authentication", "authorization timeout")


class Connector:
    """Makes connections, one after the other, for one link.

    Args:
        options: asked for anew before each round.
        new_client: makes an unconnected client.
        patient: say now and then that a broker is awaited.
    """

    def __init__(
        self,
        options: Callable[[], NatsOptions],
        new_client: Callable[[], NatsClient],
        *,
        patient: bool,
    ) -> None:
        self._options = options
        self._new_client = new_client
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

    async def connect(self, on_failed: Callable[[LongreachError], None]) -> tuple[NatsClient, NatsOptions]:
        """A new connection, whenever one can be had; `on_failed` hears of each round without one."""
        loop = asyncio.get_running_loop()
        if self._connected_at is not None:
            steady = loop.time() - self._connected_at >= STEADY_AFTER_S
            self._failures = 0 if steady else self._failures + 1
            if self._failures:
                await asyncio.sleep(_backoff_s(self._failures))
        say_at = loop.time()
        while True:
            try:
                options = self._ask_options()
                client = await self._round(options)
            except LongreachError as error:
                self._failures += 1
                on_failed(error)
                if loop.time() >= say_at:
                    say_at = loop.time() + SAY_EVERY_S
                    self._say(error)
                rejected = isinstance(error, CredentialsRejected)
                await asyncio.sleep(REJECTED_WAIT_S if rejected else _backoff_s(self._failures))
            else:
                self._connected_at = loop.time()
                return client, options

    def _ask_options(self) -> NatsOptions:
        try:
            return self._options()
        except LongreachError:
            raise
        except Exception as error:
            raise ConfigError(f"the function that gives the broker's options failed: {error!r}") from error

    def _say(self, error: LongreachError) -> None:
        if isinstance(error, CredentialsRejected | ConfigError):
            event(_log, "broker.rejected", logging.ERROR, reason=str(error))
        else:
            level = logging.WARNING if self._patient else logging.DEBUG
            event(_log, "broker.waiting", level, reason=str(error))

    async def _round(self, options: NatsOptions) -> NatsClient:
        """Try each URL once; a rejection outweighs brokers that are not there."""
        rejected: CredentialsRejected | None = None
        reasons = []
        for url in options.urls:
            try:
                return await self._attempt(options, url)
            except CredentialsRejected as error:
                rejected = error
            except BrokerUnavailable as error:
                reasons.append(str(error))
        if rejected is not None:
            raise rejected
        raise BrokerUnavailable(
            f"no broker: {'; '.join(reasons)}. Start one there, or name another (--nats, NatsOptions.urls)"
        )

    async def _attempt(self, options: NatsOptions, url: str) -> NatsClient:
        client = self._new_client()
        connected = False
        try:
            async with asyncio.timeout(options.connect_timeout_s):
                await client.connect(
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    connect_timeout=options.connect_timeout_s,  # type: ignore[arg-type]  # a float is fine
                    error_cb=_ignore,
                    lame_duck_mode_cb=_lame_duck,
                    **connect_arguments(options, url),
                )
            connected = True
            client.shown_url = redact(url)
        except Exception as error:
            hung_up = isinstance(error, OSError) and not isinstance(error, TimeoutError)
            complaint = await client.unread_complaint() if hung_up else ""
            raise translate(error, redact(url), complaint) from error
        finally:
            if not connected:
                client.abort("not connected")
        return client


def translate(error: Exception, url: str, complaint: str = "") -> LongreachError:
    """What failed at `url`, in longreach's terms; `complaint` is what the broker said last."""
    text = f"{error} {complaint}".strip().lower()
    if isinstance(error, LongreachError):
        return error
    if any(word in text for word in _REJECTIONS):
        return CredentialsRejected(
            f"the broker at {url} does not accept these credentials: check token, user, NKey or .creds file",
            reason="credentials",
        )
    if isinstance(error, ssl.SSLError):
        return BrokerUnavailable(f"{url}: TLS failed: {error}")
    if isinstance(error, TimeoutError):
        return BrokerUnavailable(f"{url}: no answer in time")
    if isinstance(error, ConnectionRefusedError) or "connect call failed" in text:
        return BrokerUnavailable(f"{url}: nobody listens")
    return BrokerUnavailable(f"{url}: {text or type(error).__name__}")


def _backoff_s(failures: int) -> float:
    """50 ms at first, doubling to 2 s, with jitter, so that a fleet does not come back in step."""
    from tenacity import RetryCallState, wait_exponential, wait_random  # here: a good start needs none of it

    state = RetryCallState(None, None, (), {})  # type: ignore[arg-type]  # the strategies read the number alone
    state.attempt_number = failures
    wait = wait_exponential(multiplier=FIRST_WAIT_S, max=MAX_WAIT_S) + wait_random(0, FIRST_WAIT_S)
    return wait(state)


async def _ignore(_: Exception) -> None:
    """What nats-py reports this way is raised or seen by the read loop too."""


async def _lame_duck() -> None:
    event(_log, "broker.lame_duck", logging.WARNING)
