"""What a node can be told, with its defaults; the CLI, a TOML file and the environment all end here."""

from __future__ import annotations

import getpass
import re
import secrets
import socket

import msgspec

from longreach.errors import ConfigError
from longreach.policy.limits import Limits
from longreach.policy.parts import MAX_BODY_BYTES
from longreach.transport.options import NatsOptions

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

MAX_ANNOUNCE_EVERY_S = 12.0
"""Binding M8.1: askers take it that they know every node when they have listened for 40 s."""


def default_identity() -> str:
    """`user-host` of this process, in the characters that need no escaping: who a node says it is."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a passwd entry
        user = "node"
    host = socket.gethostname().split(".")[0]
    slug = re.sub(r"[^a-z0-9-]+", "-", f"{user}-{host}".lower()).strip("-")
    return slug[:64] or "node"


def new_instance() -> str:
    """A name for one run of one node, that no other run will have: 10 lower-case hex digits."""
    return secrets.token_hex(5)


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a node runs.

    Args:
        region: the residency and failure domain, a label and a subject token.
        namespace: the tenant; nodes and callers of other namespaces do not see each other.
        identity: what the node's credentials call it; permissions are granted to it.
        labels: free key-value pairs, announced with the node's servers.
        connection: brokers and credentials; without URLs the embedded broker is used.
        drain_timeout_s: how long running calls may go on when the node drains.
        announce_every_s: the heartbeat, at most 12 s: clients forget a node that is silent for 40 s, and
            after as long take it that they have heard of every node.
        caller_silence_s: a caller not heard of for so long after `accepted` has its calls cancelled.
        state_keys: keys that seal request states, each as ``id:base64``; the first one seals, all open.
        state_keys_file: a file with such keys, one a line, before those of `state_keys`; it is read again
            when it changes. Without either, a node on the embedded broker uses a file of its user's, and
            any other node a key of its own, which makes retries that reach another node fail.
        max_body_bytes: the largest request, or result, that is carried in parts where no message holds it.
        compress: compress results of more than 64 KiB for askers that want that.
        bare_inboxes: answer requests whose reply subject is a bare ``_INBOX.``; None: only where the
            broker is the embedded one.
        limits: what each caller may do on this node, whatever it calls; servers and tools have their own.
        claims_keys_file: a file with the public keys of gateways whose users' claims are believed, one a
            line; it is read again when it changes. Without it nobody's claims are looked at.
        audit: a file that gets one event for each call (docs/identity.md); ``-``: standard output.
        audit_arguments: the events hold what was asked with, too.
        canary: the share of calls, in percent, that the servers take as canaries; 100: they are none.
    """

    region: str = "local"
    namespace: str = "default"
    identity: str = msgspec.field(default_factory=default_identity)
    labels: dict[str, str] = {}
    connection: NatsOptions = NatsOptions()
    drain_timeout_s: float = 30.0
    announce_every_s: float = 12.0
    caller_silence_s: float = 15.0
    state_keys: tuple[str, ...] = ()
    state_keys_file: str | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    compress: bool = False
    bare_inboxes: bool | None = None
    limits: Limits = Limits()
    claims_keys_file: str | None = None
    audit: str | None = None
    audit_arguments: bool = False
    canary: int = 100

    def __post_init__(self) -> None:
        if self.limits.fleet_rate_per_s is not None:
            raise ConfigError("a node alone is no fleet: give fleet_rate_per_s to a Server, or to a tool")
        for setting in ("region", "namespace", "identity"):
            value = getattr(self, setting)
            if not _NAME.fullmatch(value) or value == "_":
                raise ConfigError(
                    f"{setting} {value!r} cannot be a name: use 1 to 64 of letters, digits, '_', '-' and '.'"
                )
        if self.max_body_bytes < 1:
            raise ConfigError(f"max_body_bytes must be at least 1, not {self.max_body_bytes}")
        if self.audit_arguments and self.audit is None:
            raise ConfigError("audit_arguments is about the audit log: name it with audit (--audit)")
        if not 0 <= self.canary <= 100:
            raise ConfigError(f"canary is a share in percent, 0 to 100, not {self.canary}")
        for setting in ("drain_timeout_s", "announce_every_s", "caller_silence_s"):
            if not getattr(self, setting) > 0:
                raise ConfigError(f"{setting} must be more than 0 seconds, not {getattr(self, setting)}")

        if self.announce_every_s > MAX_ANNOUNCE_EVERY_S:
            raise ConfigError(
                f"announce_every_s is {self.announce_every_s:g}, and can be {MAX_ANNOUNCE_EVERY_S:g} at the "
                "most: clients count on a heartbeat that often; for a thin link give the clients ask_every_s"
            )

    def __repr__(self) -> str:
        """Without keys."""
        shown = [
            f"{name}={'***' if name == 'state_keys' and value else repr(value)}"
            for name, value in msgspec.structs.asdict(self).items()
        ]
        return f"NodeSettings({', '.join(shown)})"
