"""The settings of `longreach gateway`: flags, the table ``[gateway]`` of a TOML file, the environment."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from typing import Any

import msgspec

from longreach.cli import values
from longreach.cli.settings import add_table, setting
from longreach.errors import ConfigError
from longreach.policy.exposure import Exposure, is_loopback, refuse_exposure
from longreach.policy.limits import Limits
from longreach_gateway.auth.claims import DEFAULT_NAMES

TABLE = "gateway"
_HTTP, _WHO, _OFFER, _LIMITS, _LOG = "HTTP", "Who may ask", "What is offered", "Limits", "Logging"

_OWN = (
    setting("host", "gateway.host", values.text, "The address to listen on.", "ADDRESS", _HTTP,
            default="127.0.0.1"),
    setting("port", "gateway.port", values.port, "The port; 0: any that is free.", "PORT", _HTTP,
            default="8808"),
    setting("gateway_id", "gateway.gateway_id", values.text,
            "The gateway's name in the mesh: its <via>, which the broker's permissions know.", "NAME", _HTTP,
            default="host name and a random part"),
    setting("public_url", "gateway.public_url", values.text, "The URL that clients use.", "URL", _HTTP,
            default="where it listens"),
    setting("allowed_hosts", "gateway.allowed_hosts", values.texts,
            "Names that it may be asked by, with or without a port, or *.", "HOST[,HOST]", _WHO,
            "--allowed-host", default="loopback names on a loopback address, else any"),
    setting("allowed_origins", "gateway.allowed_origins", values.texts,
            "Origins of web pages that may ask, such as https://app.example.com, or *.", "ORIGIN[,ORIGIN]",
            _WHO, "--allowed-origin", default="loopback origins on a loopback address, else none"),
    setting("anonymous", "gateway.anonymous", values.switch,
            "Let callers in without a token, also on an address that is not a loopback one.", "", _WHO,
            default="on a loopback address, where no tokens are named"),
    setting("bearer_tokens", "gateway.bearer_tokens", values.file,
            "A file of lines principal:token; read again when it changes.", "FILE", _WHO),
    setting("jwks_url", "gateway.jwks_url", values.text, "Where the keys are that sign JWTs.", "URL", _WHO),
    setting("jwks_file", "gateway.jwks_file", values.file, "The same, in a file.", "FILE", _WHO),
    setting("issuer", "gateway.issuer", values.text, "The authorization server: the `iss` of JWTs.", "URL",
            _WHO),
    setting("audience", "gateway.audiences", values.texts, "What JWTs must be for: their `aud`.",
            "URL[,URL]", _WHO, default="the public URL, its /mcp, or the URL that is asked"),
    setting("required_scope", "gateway.scopes", values.texts, "Scopes that every JWT must have.",
            "SCOPE[,SCOPE]", _WHO),
    setting("claims_key", "gateway.claims_key", values.file,
            "A private key; nodes are told claims of users, signed with it.", "FILE", _WHO),
    setting("claims", "gateway.claims", values.texts, "Which claims of JWTs they are told.", "NAME[,NAME]",
            _WHO, default="sub,scope,groups,email"),
    setting("only_servers", "gateway.servers", values.texts, "Offer these servers only.", "NAME[,NAME]",
            _OFFER, "--server", default="all"),
    setting("only_tags", "gateway.tags", values.texts, "Offer only what has one of these tags.",
            "TAG[,TAG]", _OFFER, "--tag"),
    setting("search_above", "gateway.search_above", values.count,
            "With more tools than this, offer two that search and call them.", "N", _OFFER, default="never"),
    setting("max_body", "gateway.max_body", values.size, "The largest body of a request.", "BYTES", _LIMITS,
            default="4MiB"),
    setting("max_concurrent", "gateway.max_concurrent", values.count, "Requests at once.", "N", _LIMITS,
            default="2000"),
    setting("max_per_caller", "gateway.max_per_caller", values.count,
            "Requests and subscriptions at once of one principal.", "N", _LIMITS, default="200"),
    setting("rate_per_caller", "gateway.rate_per_caller", values.rate,
            "Requests a second of one principal; anonymous ones count together.", "N", _LIMITS,
            default="any number"),
    setting("burst_per_caller", "gateway.burst_per_caller", values.count,
            "So many of them at once, after a quiet time.", "N", _LIMITS, default="one second's worth"),
    setting("max_subscriptions", "gateway.max_subscriptions", values.count, "Subscriptions at once.", "N",
            _LIMITS, default="10000"),
    setting("max_sessions", "gateway.max_sessions", values.count,
            "Sessions at once of clients that begin with initialize.", "N", _LIMITS, default="10000"),
    setting("session_idle", "gateway.session_idle_s", values.seconds,
            "A session ends that nobody has used for so long.", "SECONDS", _LIMITS, default="1800"),
    setting("call_timeout", "gateway.call_timeout_s", values.seconds, "A whole request, retries included.",
            "SECONDS", _LIMITS, default="the tool's own, or 60"),
    setting("body_timeout", "gateway.body_timeout_s", values.seconds,
            "How long the head or the body of a request may take to come.", "SECONDS", _LIMITS,
            default="10"),
    setting("drain_timeout", "gateway.drain_timeout_s", values.seconds,
            "How long running requests may go on when the gateway ends.", "SECONDS", _LIMITS, default="30"),
    setting("audit", "gateway.audit", values.file, "Write an event for each request; -: to standard output.",
            "FILE|-", _LOG),
    setting("log_format", "cli.log_format", values.choice("text", "json"), "How events are written.",
            "text|json", _LOG, default="text"),
    setting("log_level", "cli.log_level", values.choice("debug", "info", "warning", "error"),
            "What is written.", "debug|info|warning|error", _LOG, default="info"),
)  # fmt: skip

add_table(TABLE, _OWN, without=("caller", "only_servers"))


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway is set to; `settings_of` says what each means."""

    host: str = "127.0.0.1"
    port: int = 8808
    gateway_id: str = msgspec.field(default_factory=lambda: new_gateway_id(socket.gethostname()))
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    anonymous: bool | None = None
    bearer_tokens: str | None = None
    jwks_url: str | None = None
    jwks_file: str | None = None
    issuer: str | None = None
    audiences: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    claims_key: str | None = None
    claims: tuple[str, ...] | None = None
    servers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    search_above: int | None = None
    max_body: int = 4 * 2**20
    max_concurrent: int = 2000
    max_per_caller: int = 200
    rate_per_caller: float | None = None
    burst_per_caller: int | None = None
    max_subscriptions: int = 10_000
    call_timeout_s: float | None = None
    body_timeout_s: float = 10.0
    quiet_s: float = 10.0
    drain_timeout_s: float = 30.0
    max_sessions: int = 10_000
    session_idle_s: float = 1800.0
    audit: str | None = None

    def __post_init__(self) -> None:
        if self.burst_per_caller is not None and self.rate_per_caller is None:
            raise ConfigError("--burst-per-caller says how uneven a rate may be: name --rate-per-caller")
        keys = [each for each in (self.jwks_url, self.jwks_file) if each is not None]
        if len(keys) > 1:
            raise ConfigError("--jwks-url and --jwks-file say two things; name one of them")
        if bool(keys) != (self.issuer is not None):
            raise ConfigError("JWTs need both: --jwks-url or --jwks-file, and --issuer")
        if (self.audiences or self.scopes) and not keys:
            raise ConfigError("--audience and --required-scope are about JWTs: name --jwks-url and --issuer")
        if self.claims is not None and self.claims_key is None:
            raise ConfigError(
                "--claims says which claims nodes are told: name --claims-key, which signs them"
            )
        if self.claims_key is not None and not keys:
            raise ConfigError("--claims-key signs claims of JWTs: name --jwks-url and --issuer")
        refusal = refuse_exposure(Exposure(self.host, (), self.checks_tokens, self.anonymous))
        if refusal is not None:
            raise ConfigError(refusal)
        if self.public_url is not None and not self.public_url.startswith(("http://", "https://")):
            raise ConfigError(f"--public-url {self.public_url!r} is no URL: it begins with https://")
        if keys and self.public_url is None and not is_loopback(self.host):
            raise ConfigError("JWTs must be for this gateway, and clients must find it: name --public-url")

    @property
    def rate(self) -> Limits | None:
        """How often a principal may ask; None: as often as it likes."""
        if self.rate_per_caller is None:
            return None
        return Limits(rate_per_s=self.rate_per_caller, burst=self.burst_per_caller)

    @property
    def told_claims(self) -> tuple[str, ...]:
        """Which claims of JWTs nodes are told."""
        return DEFAULT_NAMES if self.claims is None else self.claims

    @property
    def checks_tokens(self) -> bool:
        """Whether callers without a valid token are refused."""
        return self.bearer_tokens is not None or self.has_jwts

    @property
    def has_jwts(self) -> bool:
        """Whether JWTs are taken."""
        return self.issuer is not None


def new_gateway_id(host_name: str) -> str:
    """A name for a gateway that says where it runs, and is no other's."""
    place = "".join(c if c.isascii() and c.isalnum() else "-" for c in host_name.lower()).strip("-")
    return f"{place[:40] or 'gateway'}-{secrets.token_hex(4)}"


def gateway_settings(found: Mapping[str, Mapping[str, Any]]) -> GatewaySettings:
    """The settings, from what `longreach.cli.settings.resolve` found.

    Raises:
        ConfigError: one contradicts another.
    """
    return GatewaySettings(**found.get("gateway", {}))
