"""How to reach a broker: its URLs, credentials and TLS, as plain data."""

from __future__ import annotations

import re
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from longreach.errors import ConfigError

DEFAULT_PORT = 4222
DEFAULT_PORTS = {"nats": DEFAULT_PORT, "tls": DEFAULT_PORT, "ws": 80, "wss": 443}
_ENCODE = "in a user or password write / as %2F, # as %23, ? as %3F, @ as %40 and % as %25; "
_SECRETS = frozenset({"token", "password", "nkey_seed", "creds"})
_CREDS = re.compile(
    r"BEGIN NATS USER JWT-+\r?\n[\w.-]+\r?\n-+END NATS USER JWT-+\r?\n.*"
    r"BEGIN USER NKEY SEED-+\r?\nSU[A-Z2-7]+\r?\n-+END",
    re.DOTALL,
)
_EXAMPLE = "write nats://host:4222, tls://host:4222, ws://host or wss://host"


class NatsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a broker. Files are read anew for each connection, and watched: what is renewed is used.

    Args:
        urls: brokers in order of preference, home first; ``nats://``, ``tls://``, ``ws://`` or ``wss://``
            (WebSocket needs the extra `websocket`), credentials allowed.
        name: what the broker's monitoring shows for this connection.
        token: shared secret.
        token_file: file that holds the token.
        user: user name.
        password: its password.
        password_file: file that holds the password.
        nkey_seed: NKey seed (``SU...``); needs the extra `nkeys`.
        nkey_seed_file: file that holds the seed.
        creds_file: file with a user JWT and seed, as `nsc` writes it; needs the extra `nkeys`.
        creds: what such a file holds, where a function brings it from elsewhere.
        tls_ca: PEM file of the authorities to trust, instead of the system's.
        tls_cert: PEM file of the client's certificate chain.
        tls_key: PEM file of its private key.
        tls_hostname: the name to verify, where it is not the URL's.
        tls_handshake_first: TLS begins before the broker's INFO; its configuration must say so too.
        connect_timeout_s: for one attempt at one URL.
        ping_interval_s: how often the broker is asked whether it lives.
        max_silence_s: a broker that sent nothing for so long is given up.
        failback_s: how often a link that had to go elsewhere looks whether a broker that it prefers is back,
            give or take a half; None: it stays.
        follow_discovered: also use the brokers that a broker tells of, its cluster's. None: yes, but for a
            connection that is pinned to regions, which connects to what it was given and nothing else.
        renew_every_s: how often credentials are looked at: whether files have changed, or what the function
            that gives the options says. Sooner where a JWT is about to expire.
    """

    urls: tuple[str, ...] = ()
    name: str = "longreach"
    token: str | None = None
    token_file: str | None = None
    user: str | None = None
    password: str | None = None
    password_file: str | None = None
    nkey_seed: str | None = None
    nkey_seed_file: str | None = None
    creds_file: str | None = None
    creds: str | None = None
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_hostname: str | None = None
    tls_handshake_first: bool = False
    connect_timeout_s: float = 2.0
    ping_interval_s: float = 2.0
    max_silence_s: float = 4.0
    failback_s: float | None = 30.0
    follow_discovered: bool | None = None
    renew_every_s: float = 5.0

    def __post_init__(self) -> None:
        for url in self.urls:
            parse_url(url)
        for setting in (
            "connect_timeout_s",
            "ping_interval_s",
            "max_silence_s",
            "failback_s",
            "renew_every_s",
        ):
            value = getattr(self, setting)
            if value is not None and not value > 0:
                raise ConfigError(f"{setting} must be more than 0 seconds, not {value}")
        if self.max_silence_s <= self.ping_interval_s:
            raise ConfigError(
                "max_silence_s must be longer than ping_interval_s: silence between pings is normal"
            )

    def __repr__(self) -> str:
        """Without credentials, and without what has its default."""
        shown = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "urls":
                shown.append(f"urls={tuple(redact(url) for url in value)!r}")
            elif value is not None and name in _SECRETS:
                shown.append(f"{name}='***'")
            elif value not in (None, False):
                shown.append(f"{name}={value!r}")
        return f"NatsOptions({', '.join(shown)})"


def parse_url(url: str) -> SplitResult:
    """Split a broker's URL; scheme and port may be missing.

    Raises:
        ConfigError: it is none; the message holds no credentials.
    """
    full = url.strip() if "://" in url else f"nats://{url.strip()}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError:
        hint = _ENCODE if "@" in full else ""
        raise ConfigError(f"a broker URL cannot be read; {hint}{_EXAMPLE}") from None
    if "@" in parts.path + parts.query + parts.fragment:
        raise ConfigError(f"a broker URL has an @ behind its host; {_ENCODE}{_EXAMPLE}")
    if parts.scheme not in DEFAULT_PORTS:
        raise ConfigError(f"{parts.scheme}:// is no broker's URL; {_EXAMPLE}")
    if not parts.hostname:
        raise ConfigError(f"a broker URL names no host; {_EXAMPLE}")
    if port is None:
        parts = parts._replace(netloc=f"{parts.netloc.rstrip(':')}:{DEFAULT_PORTS[parts.scheme]}")
    return parts


def redact(url: str) -> str:
    """The URL without credentials: what may be shown and logged."""
    parts = parse_url(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def connect_arguments(options: NatsOptions, url: str) -> dict[str, Any]:
    """What nats-py's `connect` is told about credentials and TLS for `url`.

    Raises:
        ConfigError: a file cannot be read or a package is missing.
    """
    parts = parse_url(url)
    web = parts.scheme in ("ws", "wss")
    if web and find_spec("websockets") is None:
        raise ConfigError("ws:// and wss:// need a package: pip install 'longreach[websocket]'")
    arguments: dict[str, Any] = {"servers": [parts.geturl()], "name": options.name}
    credentials = _credentials(options)
    if not credentials and parts.username is not None:
        credentials = _url_credentials(parts)
        arguments["servers"] = [parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()]
    arguments.update(credentials)
    if parts.scheme in ("tls", "wss") or (_wants_tls(options) and not web):
        arguments["tls"] = _ssl_context(options)
        arguments["tls_handshake_first"] = options.tls_handshake_first and not web
    if options.tls_hostname:
        arguments["tls_hostname"] = options.tls_hostname
    return arguments


def _url_credentials(parts: SplitResult) -> dict[str, Any]:
    """Return user and password, or the token, of a URL, with percent-encoding decoded; nats-py does not.

    So they may hold ``/``, ``#``, ``?``, ``@`` and ``:``. A ``%`` without two hex digits stays, and so does a
    ``+``.
    """
    try:
        user = unquote(parts.username or "", errors="strict")
        if parts.password is None:
            return {"token": user}
        return {"user": user, "password": unquote(parts.password, errors="strict")}
    except UnicodeDecodeError:
        raise ConfigError("the percent-encoding in a broker URL's user or password is no UTF-8") from None


def _credentials(options: NatsOptions) -> dict[str, Any]:
    found: dict[str, Any] = {}
    creds = read_creds(options)
    if creds is not None:
        from nats.aio.client import RawCredentials  # here: a client that is only configured needs no nats

        found["user_credentials"] = RawCredentials(creds)
    elif options.nkey_seed_file:
        found["nkeys_seed"] = _readable(options.nkey_seed_file, "nkey_seed_file")
    elif options.nkey_seed:
        found["nkeys_seed_str"] = options.nkey_seed
    if found and find_spec("nkeys") is None:
        raise ConfigError("NKeys and .creds files need a package: pip install 'longreach[nkeys]'")
    if options.user is not None:
        found["user"] = options.user
        found["password"] = _secret(options.password, options.password_file, "password_file") or ""
    token = _secret(options.token, options.token_file, "token_file")
    if token is not None:
        found["token"] = token
    return found


def read_creds(options: NatsOptions) -> str | None:
    """The user JWT and seed, read once, so that they are of one file; None where none are meant.

    Raises:
        ConfigError: the file cannot be read, or is none: nats-py would look for its end for ever.
    """
    creds = _secret(options.creds, options.creds_file, "creds_file")
    if creds is not None and not _CREDS.search(creds):
        raise ConfigError(
            "creds hold no user JWT with its NKey seed; `nsc generate creds` writes such a file"
        )
    return creds


def _secret(value: str | None, file: str | None, setting: str) -> str | None:
    if file is None:
        return value
    try:
        return Path(_readable(file, setting)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{setting} {file!r} cannot be read: {type(error).__name__}") from None


def _readable(file: str, setting: str) -> str:
    try:
        with open(Path(file).expanduser(), "rb"):
            return str(Path(file).expanduser())
    except OSError as error:
        raise ConfigError(f"{setting} {file!r} cannot be read: {error.strerror}") from None


def _wants_tls(options: NatsOptions) -> bool:
    return bool(options.tls_ca or options.tls_cert or options.tls_hostname or options.tls_handshake_first)


def _ssl_context(options: NatsOptions) -> ssl.SSLContext:
    ca = _readable(options.tls_ca, "tls_ca") if options.tls_ca else None
    try:
        context = ssl.create_default_context(cafile=ca)
        if options.tls_cert:
            certificate = _readable(options.tls_cert, "tls_cert")
            key = _readable(options.tls_key, "tls_key") if options.tls_key else None
            context.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise ConfigError(f"a TLS file is not what it should be: {error.reason}") from None
    return context
