"""The one table of settings: flags, TOML keys and environment variables all come from it.

Precedence: flags, then the TOML file, then the environment, then defaults. `longreach run` reads the
file's table ``[node]``, the commands that call read ``[client]``, and a command that another package brings
has a table of its own (`add_table`); the environment is the same for all.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from longreach.cli import values
from longreach.cli.values import Malformed
from longreach.errors import ConfigError

DEFAULT_FILE = "longreach.toml"
ENVIRONMENT_PREFIX = "LONGREACH_"

Table = str
"""``"node"``, ``"client"``, or one of those that `add_table` made."""
BOTH: tuple[Table, ...] = ("node", "client")


class Setting(NamedTuple):
    """One thing that can be set.

    Attributes:
        key: its name in the TOML file; in capitals and after ``LONGREACH_`` the environment variable.
        target: ``connection.<field>`` of NatsOptions, ``node.<field>`` of NodeSettings, or ``cli.<name>``.
        read: from what a source says to the value; raises `Malformed`.
        help: one sentence.
        metavar: what the flag takes; empty for a switch.
        section: under which heading `--help` shows it.
        flags: none where the command line has another place for it, or must not show it: it is secret.
        tables: which tables of the TOML file know it.
        shown_default: what happens without it.
    """

    key: str
    target: str
    read: Callable[[Any], Any]
    help: str
    metavar: str
    section: str
    flags: tuple[str, ...]
    tables: tuple[Table, ...] = BOTH
    shown_default: str | None = None

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return ENVIRONMENT_PREFIX + self.key.upper()


def setting(
    key: str,
    target: str,
    read: Callable[[Any], Any],
    text: str,
    metavar: str,
    section: str,
    *flags: str,
    only: Table | None = None,
    default: str | None = None,
) -> Setting:
    """A setting; without `flags` its flag is its key, and with an empty one it has none."""
    chosen = flags or (f"--{key.replace('_', '-')}",)
    tables = BOTH if only is None else (only,)
    shown = () if chosen == ("",) else chosen
    return Setting(key, target, read, text, metavar, section, shown, tables, default)


_PLACE, _BROKER, _SECRETS, _NODE, _LOG = "Place", "Broker", "Credentials and TLS", "Node", "Logging"

SETTINGS: tuple[Setting, ...] = (
    setting("region", "node.region", values.text, "The residency and failure domain of the node.", "NAME",
            _PLACE, only="node", default="local"),
    setting("region", "client.region", values.text, "Home: this region is asked first.", "NAME",
            _PLACE, only="client"),
    setting("prefer", "client.prefer", values.texts, "Regions that are asked after home, in order.",
            "NAME[,NAME]", _PLACE, only="client"),
    setting("residency", "client.residency", values.texts, "The only regions that may be used.",
            "NAME[,NAME]", _PLACE, only="client", default="any"),
    setting("version_range", "client.version", values.text,
            "Which versions of servers may be used: '>=2,<3', '2', '2.1.*'.", "RANGE", _PLACE, "--version",
            only="client", default="any"),
    setting("hedge_after", "client.hedge_s", values.seconds,
            "Ask a second node for what is read-only and takes longer; the first answer counts.", "SECONDS",
            _PLACE, only="client", default="never"),
    setting("hedge", "client.hedge", values.choice("p95"),
            "The same, after what 19 of 20 calls of the tool before took.", "p95", _PLACE, only="client"),
    setting("namespace", "node.namespace", values.text, "The tenant: others neither see nor reach it.",
            "NAME", _PLACE, only="node", default="default"),
    setting("namespace", "client.namespace", values.text, "The tenant whose nodes are meant.",
            "NAME", _PLACE, only="client", default="default"),
    setting("caller", "client.caller", values.text, "The name that the broker's permissions give you.",
            "NAME", _PLACE, "--as", only="client"),
    setting("only_servers", "client.servers", values.texts,
            "Be told of these servers only; permissions may demand it.", "NAME[,NAME]", _PLACE,
            "--only-servers", only="client", default="all"),
    setting("identity", "node.identity", values.text, "What the node's credentials call it.", "NAME",
            _PLACE, only="node", default="user-host"),
    setting("labels", "node.labels", values.pairs, "Announced with the node's servers; may be repeated.",
            "KEY=VALUE", _PLACE, "--label", only="node"),
    setting("canary", "node.canary", values.percent,
            "Begin as a canary with this share of calls; `longreach canary` changes it.", "PERCENT", _NODE,
            only="node", default="100"),
    setting("nats", "connection.urls", values.texts, "Brokers, home first.", "URL[,URL]", _BROKER,
            default="the embedded broker"),
    setting("bare_inboxes", "node.bare_inboxes", values.switch,
            "Answer requests of plain NATS clients, whose replies go to _INBOX.", "", _BROKER, only="node",
            default="only with the embedded broker"),
    setting("connect_timeout", "connection.connect_timeout_s", values.seconds,
            "For one attempt at one URL.", "SECONDS", _BROKER, default="2"),
    setting("ping_interval", "connection.ping_interval_s", values.seconds,
            "How often the broker is asked whether it lives.", "SECONDS", _BROKER, default="2"),
    setting("max_silence", "connection.max_silence_s", values.seconds,
            "A broker that sends nothing for so long is given up.", "SECONDS", _BROKER, default="4"),
    setting("failback", "connection.failback_s", values.seconds,
            "How often a broker that comes first in the list is looked for, while another one is used.",
            "SECONDS", _BROKER, default="30"),
    setting("follow_discovered", "connection.follow_discovered", values.switch,
            "Also use the brokers that a broker tells of.", "", _BROKER,
            default="the ones of its cluster; none with --residency"),
    setting("renew_every", "connection.renew_every_s", values.seconds,
            "How often credentials are looked at: others are used at once.", "SECONDS", _BROKER, default="5"),
    setting("connection_name", "connection.name", values.text,
            "What the broker's monitoring shows for the connection.", "NAME", _BROKER, default="longreach"),
    setting("token", "connection.token", values.text, "A shared secret.", "TOKEN", _SECRETS),
    setting("token_file", "connection.token_file", values.file, "A file that holds the token.", "FILE",
            _SECRETS),
    setting("user", "connection.user", values.text, "User name.", "NAME", _SECRETS),
    setting("password", "connection.password", values.text, "Its password.", "TEXT", _SECRETS, ""),
    setting("password_file", "connection.password_file", values.file, "A file that holds the password.",
            "FILE", _SECRETS),
    setting("nkey_seed", "connection.nkey_seed", values.text, "The NKey seed itself (SU...).", "SEED",
            _SECRETS, ""),
    setting("nkey_seed_file", "connection.nkey_seed_file", values.file, "A file that holds an NKey seed.",
            "FILE", _SECRETS, "--nkey-seed"),
    setting("creds", "connection.creds_file", values.file, "A .creds file: a user's JWT and seed.", "FILE",
            _SECRETS),
    setting("creds_text", "connection.creds", values.text, "What such a file holds.", "TEXT", _SECRETS, ""),
    setting("tls_ca", "connection.tls_ca", values.file, "Authorities to trust, PEM.", "FILE", _SECRETS,
            default="the system's"),
    setting("tls_cert", "connection.tls_cert", values.file, "Certificate chain to show, PEM.", "FILE",
            _SECRETS),
    setting("tls_key", "connection.tls_key", values.file, "Its private key, PEM.", "FILE", _SECRETS),
    setting("tls_hostname", "connection.tls_hostname", values.text,
            "The name to verify, where it is not the URL's.", "NAME", _SECRETS),
    setting("tls_handshake_first", "connection.tls_handshake_first", values.switch,
            "TLS begins before the broker's greeting.", "", _SECRETS, default="no"),
    setting("state_keys", "node.state_keys", values.texts,
            "Keys that seal request states, id:base64; the first one seals, all open.", "KEY[,KEY]", _SECRETS,
            "", only="node"),
    setting("state_keys_file", "node.state_keys_file", values.file,
            "A file with such keys, one a line, the same on all nodes of a server.", "FILE", _SECRETS,
            "--state-keys", only="node", default="the user's own with the embedded broker"),
    setting("claims_keys", "node.claims_keys_file", values.file,
            "Public keys of the gateways whose users' claims are believed, one a line.", "FILE", _SECRETS,
            only="node"),
    setting("servers", "cli.servers", values.texts, "What is hosted, where the command line names nothing.",
            "MODULE:SERVER", _NODE, "", only="node"),
    setting("workers", "cli.workers", values.count, "Processes, in the same queue groups.", "N", _NODE,
            only="node", default="1"),
    setting("drain_timeout", "node.drain_timeout_s", values.seconds,
            "How long running calls may go on when the node drains.", "SECONDS", _NODE, only="node",
            default="30"),
    setting("max_body_bytes", "node.max_body_bytes", values.size,
            "The largest request, or result, that is carried in parts.", "BYTES", _NODE, only="node",
            default="64 MiB"),
    setting("max_body_bytes", "client.max_body_bytes", values.size,
            "The largest request, or result, that is carried in parts.", "BYTES", _BROKER, only="client",
            default="64 MiB"),
    setting("compress", "node.compress", values.switch,
            "Compress results of more than 64 KiB, for callers that want that.", "", _NODE, only="node",
            default="no"),
    setting("compress", "client.compress", values.switch,
            "Compress what goes in parts, and take large results compressed.", "", _BROKER, only="client",
            default="no"),
    setting("ask_every", "client.ask_every_s", values.seconds,
            "For thin links: ask so often who is there, and hear no heartbeats.", "SECONDS", _BROKER,
            only="client", default="heartbeats are heard"),
    setting("announce_every", "node.announce_every_s", values.seconds,
            "The heartbeat, at most 12.", "SECONDS", _NODE, only="node", default="12"),
    setting("caller_silence", "node.caller_silence_s", values.seconds,
            "The calls of a caller that is silent for so long are cancelled.", "SECONDS", _NODE,
            only="node", default="15"),
    setting("limit_rate", "limits.rate_per_s", values.rate, "Calls a second of each caller, on this node.",
            "N", _NODE, only="node", default="any number"),
    setting("limit_burst", "limits.burst", values.count, "So many of them at once, after a quiet time.",
            "N", _NODE, only="node", default="one second's worth"),
    setting("limit_concurrency", "limits.concurrency", values.count,
            "Calls of each caller under way at once, on this node.", "N", _NODE, only="node",
            default="any number"),
    setting("audit", "node.audit", values.file, "Write an event for each call; -: to standard output.",
            "FILE|-", _LOG, only="node"),
    setting("audit_arguments", "node.audit_arguments", values.switch,
            "Let these events hold the arguments, too.", "", _LOG, only="node", default="no"),
    setting("log_format", "cli.log_format", values.choice("text", "json"), "How events are written.",
            "text|json", _LOG, only="node", default="text"),
    setting("log_level", "cli.log_level", values.choice("debug", "info", "warning", "error"),
            "What is written.", "debug|info|warning|error", _LOG, only="node", default="info"),
)  # fmt: skip


_added: dict[Table, tuple[Setting, ...]] = {}


def add_table(
    table: Table, settings: Sequence[Setting], *, base: Table = "client", without: Collection[str] = ()
) -> None:
    """Make a table for a command that another package brings.

    Args:
        table: its name, in the TOML file too.
        settings: its own.
        base: a table whose settings it has as well.
        without: keys of `base` that it does not have.
    """
    shared = (each for each in settings_of(base) if each.key not in without)
    _added[table] = (*settings, *shared)


def settings_of(table: Table) -> Iterator[Setting]:
    """The settings that the commands of a table know."""
    if table in _added:
        return iter(_added[table])
    return (each for each in SETTINGS if table in each.tables)


def _tables() -> set[Table]:
    return {*BOTH, *_added}


def resolve(
    table: Table,
    flags: Mapping[str, Any],
    *,
    config: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """What is set, by whichever source comes first.

    Args:
        table: ``"node"``, ``"client"``, or one that `add_table` made.
        flags: by key; None or an empty tuple: not given.
        config: the TOML file; None: ``longreach.toml`` of the working directory, if it is there.
        environment: by variable; None: the process's.

    Returns:
        Values by the first part of `Setting.target`, then by its second; what is not set is not there.

    Raises:
        ConfigError: a value is malformed or a key unknown; the message names both and the source.
    """
    from_file, path = _read_file(table, config)
    variables = os.environ if environment is None else environment
    found: dict[str, dict[str, Any]] = {}
    for each in settings_of(table):
        sources = (
            (flags.get(each.key), next(iter(each.flags), each.metavar)),
            (_anchored(each, from_file.get(each.key), path), f"{each.key} in [{table}] of {path}"),
            (variables.get(each.variable) or None, each.variable),
        )
        given = [(raw, source) for raw, source in sources if raw is not None and raw != ()]
        if given:
            part, _, field = each.target.partition(".")
            found.setdefault(part, {})[field] = _read(each, *given[0])
    return found


def _read(wanted: Setting, raw: Any, source: str) -> Any:
    try:
        return wanted.read(raw)
    except Malformed as error:
        raise ConfigError(f"{source} {error}") from None


def _read_file(table: Table, config: str | None) -> tuple[dict[str, Any], Path]:
    path = Path(config or DEFAULT_FILE)
    try:
        everything = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config is not None:
            raise ConfigError(f"there is no file {config}") from None
        return {}, path
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    for key, value in everything.items():
        if key != table and not isinstance(value, dict):
            raise ConfigError(f"{path} has {key!r} above its tables: write it below [{table}]")
    if table not in everything:
        near = difflib.get_close_matches(table, everything, n=1, cutoff=0.8)
        if near and near[0] not in _tables():
            raise ConfigError(f"{path} has an unknown table [{near[0]}]; did you mean [{table}]?")
    chosen = everything.get(table, {})
    if not isinstance(chosen, dict):
        raise ConfigError(f"{table} in {path} must be a table: write [{table}]")
    known = {each.key for each in settings_of(table)}
    for key in chosen.keys() - known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else "; --help lists the settings"
        raise ConfigError(f"{path} has an unknown key {key!r} in [{table}]{hint}")
    return chosen, path


def _anchored(wanted: Setting, raw: Any, config: Path) -> Any:
    """A relative path in a TOML file is relative to that file, wherever the command is run."""
    if wanted.read is values.file and isinstance(raw, str) and raw != "-" and not raw.startswith("~"):
        return str(config.parent / raw)
    return raw
