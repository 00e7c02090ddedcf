"""From settings to a bridge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from longreach_bridge.bridge import Bridge
from longreach_bridge.credentials import header_secrets
from longreach_bridge.foreign.handshake import Times
from longreach_bridge.settings import BridgeSettings, environment_of

if TYPE_CHECKING:
    from longreach_bridge.foreign.channel import Channel


def make_bridge(settings: BridgeSettings) -> Bridge:
    """A bridge that is not connected yet.

    Raises:
        ConfigError: a secret is not there.
    """
    return Bridge(
        _channels(settings),
        name=settings.name,
        trust_hints=settings.trust_hints,
        is_patient=settings.url is not None,
        times=Times(min(Times().probe_s, settings.start_timeout_s), settings.start_timeout_s),
    )


def _channels(settings: BridgeSettings) -> Callable[[], Channel]:
    """Makes the channel for each connection."""
    label = settings.name or "foreign"
    if settings.url is not None:
        from longreach_bridge.foreign.http import HttpChannel

        url = settings.url
        secrets = header_secrets(
            bearer_token=settings.bearer_token,
            bearer_token_file=settings.bearer_token_file,
            header_env=settings.header_env,
            header_file=settings.header_file,
        )
        return lambda: HttpChannel(label, url, secrets)

    from longreach_bridge.foreign.stdio import StdioChannel

    environment = environment_of(settings)
    folder = Path(settings.folder) if settings.folder else None
    return lambda: StdioChannel(label, settings.command, environment, folder=folder)
