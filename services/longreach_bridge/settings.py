"""The settings of `longreach bridge`: flags, the table ``[bridge]`` of a TOML file, the environment."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from longreach.cli import values
from longreach.cli.settings import add_table, setting
from longreach.errors import ConfigError
from longreach.wire.names import check_server_name
from longreach_bridge.credentials import read_env_file

TABLE = "bridge"
_SERVER, _PROCESS, _HTTP, _TRUST = "The server", "A process", "A URL", "Trust"


def words(raw: Any) -> tuple[str, ...]:
    """A command: a list of words, or one text as a shell would split it."""
    if isinstance(raw, str):
        try:
            raw = shlex.split(raw)
        except ValueError as error:
            raise values.Malformed(f"is no command: {error}") from None
    if not isinstance(raw, (list, tuple)) or not raw or not all(isinstance(word, str) for word in raw):
        raise values.Malformed("takes a command: a list of words")
    return tuple(raw)


_OWN = (
    setting("name", "bridge.name", values.text, "The server's name in the mesh.", "NAME", _SERVER,
            default="what it calls itself"),
    setting("start_timeout", "bridge.start_timeout_s", values.seconds,
            "How long it may take to start; programs are downloaded at their first start.", "SECONDS",
            _SERVER, default="120"),
    setting("command", "bridge.command", words, "The process to start, where the command line names none.",
            "COMMAND", _PROCESS, ""),
    setting("env", "bridge.env", values.texts, "Variables of this environment that it gets.",
            "VARIABLE[,VARIABLE]", _PROCESS, default="none but PATH, HOME and the like"),
    setting("env_file", "bridge.env_file", values.file, "A file of further ones: lines NAME=value.", "FILE",
            _PROCESS),
    setting("folder", "bridge.folder", values.file, "Where it runs.", "FOLDER", _PROCESS,
            default="the working directory"),
    setting("url", "bridge.url", values.text, "Where it answers.", "URL", _HTTP),
    setting("bearer_token", "bridge.bearer_token", values.text, "A bearer token for it.", "TOKEN", _HTTP, ""),
    setting("bearer_token_file", "bridge.bearer_token_file", values.file,
            "A file that holds the token; read again when it changes.", "FILE", _HTTP),
    setting("header_env", "bridge.header_env", values.pairs,
            "A header, and the variable that holds its value.", "HEADER=VARIABLE", _HTTP),
    setting("header_file", "bridge.header_file", values.pairs,
            "A header, and the file that holds its value; read again when it changes.", "HEADER=FILE", _HTTP),
    setting("trust_hints", "bridge.trust_hints", values.switch,
            "Believe its tools' hints: those that are read-only or idempotent may run twice.", "", _TRUST,
            default="no"),
    setting("stateless", "bridge.stateless", values.switch,
            "It keeps nothing between calls: several instances may share its calls.", "", _TRUST,
            default="no"),
)  # fmt: skip

add_table(TABLE, _OWN, base="node", without=("servers", "workers"))


class BridgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is bridged, and how; `settings_of` says what each means."""

    name: str | None = None
    start_timeout_s: float = 120.0
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    env_file: str | None = None
    folder: str | None = None
    url: str | None = None
    bearer_token: str | None = None
    bearer_token_file: str | None = None
    header_env: dict[str, str] = {}
    header_file: dict[str, str] = {}
    trust_hints: bool = False
    stateless: bool = False

    def __post_init__(self) -> None:
        if self.name is not None:
            _ = check_server_name(self.name)
        if bool(self.command) == (self.url is not None):
            raise ConfigError(
                "name one server to bridge: `longreach bridge -- COMMAND...`, or `longreach bridge --url URL`"
            )
        of_url = (self.bearer_token, self.bearer_token_file, self.header_env, self.header_file)
        if self.command and any(of_url):
            raise ConfigError("headers and bearer tokens are for --url; a process gets its secrets by --env")
        if self.url is not None and (self.env or self.env_file or self.folder):
            raise ConfigError("--env, --env-file and --folder are for a process; --url starts none")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ConfigError("--url takes a URL that begins with https:// or http://")
        if self.url is not None and urlsplit(self.url).username is not None:
            raise ConfigError(
                "a URL with credentials is shown to everybody; use --header-file or --header-env"
            )
        if self.bearer_token and self.bearer_token_file:
            raise ConfigError("a bearer token comes from the environment or from a file, not from both")

    def __repr__(self) -> str:
        """Without secrets."""
        what = self.url or (self.command[0] if self.command else "")
        return f"<bridge settings: {self.name} {what}>"


def bridge_settings(found: Mapping[str, Mapping[str, Any]]) -> BridgeSettings:
    """The settings, from what `settings.resolve` found.

    Raises:
        ConfigError: one contradicts another.
    """
    return BridgeSettings(**found.get("bridge", {}))


def environment_of(settings: BridgeSettings, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that a process gets beside the harmless ones.

    Raises:
        ConfigError: one of them is not set, or the file cannot be read.
    """
    missing = [name for name in settings.env if name not in ours]
    if missing:
        raise ConfigError(f"--env names {', '.join(missing)}, which the environment does not have")
    from_file = read_env_file(Path(settings.env_file)) if settings.env_file else {}
    return {name: ours[name] for name in settings.env} | from_file
