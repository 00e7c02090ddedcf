"""One attempt at one broker, and what its failure means."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import msgspec

from longreach.errors import BrokerUnavailable, CredentialsRejected, LongreachError
from longreach.transport._client import NatsClient
from longreach.transport._urls import Target
from longreach.transport.options import NatsOptions, connect_arguments, redact

_REJECTIONS = ("authorization violation", "authentication", "authorization timeout")


async def attempt(new_client: Callable[[], NatsClient], options: NatsOptions, target: Target) -> NatsClient:
    """Connect to `target`, within its time limit.

    Raises:
        CredentialsRejected: it is there, and refuses the credentials.
        BrokerUnavailable: it is not, or not in time.
        ConfigError: a file cannot be used.
    """
    client = new_client()
    connected = False
    if target.tls_name is not None and options.tls_hostname is None:
        options = msgspec.structs.replace(options, tls_hostname=target.tls_name)
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            await client.connect(
                allow_reconnect=False,
                max_reconnect_attempts=1,
                connect_timeout=options.connect_timeout_s,  # type: ignore[arg-type]  # a float is fine
                error_cb=_ignore,
                **connect_arguments(options, target.url),
            )
        connected = True
        client.url = target.url
        client.shown_url = redact(target.url)
    except Exception as error:
        hung_up = isinstance(error, OSError) and not isinstance(error, TimeoutError)
        complaint = await client.unread_complaint() if hung_up else ""
        raise translate(error, redact(target.url), complaint) from error
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


async def _ignore(_: Exception) -> None:
    """What nats-py reports this way is raised or seen by the read loop too."""
