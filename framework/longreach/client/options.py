"""How calls are made: the options of a mesh, apart from the arguments of a tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from longreach.client.meta import encode_meta
from longreach.client.notes import OnLog, OnNote, OnProgress, take_notes
from longreach.errors import ConfigError
from longreach.policy.versions import VersionRange, parse_range
from longreach.wire.inputs import CreateMessageParams, ElicitParams
from longreach.wire.mcp import LOG_LEVELS, LogLevel
from longreach.wire.values import encode

OnElicit = Callable[[ElicitParams], Any]
"""Answers a question to the user: what was filled in as a dict, True (accepted), False (declined), None
(dismissed), or an `ElicitResult`. It may be a coroutine function; a plain one runs in a thread."""
OnSample = Callable[[CreateMessageParams], Any]
"""Asks a model: its text, or a `CreateMessageResult`. As for `OnElicit`, it may wait."""
OnRoots = Callable[[], Any]
"""The folders that matter: a list of ``file://`` URIs or `Root`. As for `OnElicit`, it may wait."""

DEFAULT_TIMEOUT_S = 60.0
MAX_TIMEOUT_S = 366 * 86_400.0
"""More than this is as much: a deadline has a last digit on the wire (docs/binding.md M2.3)."""


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of calls.

    Args:
        timeout_s: the whole call, retries and answers included; None: the tool's own, or 60 s.
        idempotent: True: re-running is harmless, False: never re-run; None: the tool's annotations say.
        region: home, asked first.
        prefer: regions asked next, in order.
        residency: the only regions that may be used; None: any.
        node: ``identity.instance``, to ask one node and no other.
        version: the versions of servers that may be used, ``">=2,<3"``, ``"2"``, ``"2.1.*"``; None: any.
        hedge_s: what is read-only and takes longer is asked of a second node; the first answer counts.
        hedge: ``"p95"``: the same, after what 19 of 20 of the calls before took.
        on_progress: gets the tool's progress.
        on_log: gets the tool's log messages, from `log_level` on.
        log_level: the least level of them.
        on_elicit: fills in a form that the tool asks for.
        on_url: visits, or has the user visit, a page that the tool asks for; only with the user's consent.
        on_sample: asks a model for the tool.
        on_roots: says which folders matter.
        capabilities: of this client, beside those that the functions above bring, as MCP has them.
        meta: `_meta` of requests, made of the others.
        on_note: takes notifications, made of the others.
        hedges: whether there is any hedging, made of the others.
        range: the versions, read.
    """

    timeout_s: float | None = None
    idempotent: bool | None = None
    region: str | None = None
    prefer: tuple[str, ...] = ()
    residency: frozenset[str] | None = None
    node: str | None = None
    version: str | None = None
    hedge_s: float | None = None
    hedge: Literal["p95"] | None = None
    on_progress: OnProgress | None = None
    on_log: OnLog | None = None
    log_level: LogLevel = "info"
    on_elicit: OnElicit | None = None
    on_url: OnElicit | None = None
    on_sample: OnSample | None = None
    on_roots: OnRoots | None = None
    capabilities: Mapping[str, Any] | None = None
    meta: bytes = b""
    on_note: OnNote | None = None
    hedges: bool = False
    range: VersionRange | None = None

    def __post_init__(self) -> None:
        self._check_routing()
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ConfigError(f"timeout_s must be more than 0 seconds, not {self.timeout_s}")
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(f"log_level is one of {', '.join(LOG_LEVELS)}, not {self.log_level!r}")
        meta = encode_meta(
            form=self.on_elicit is not None,
            url=self.on_url is not None,
            sampling=self.on_sample is not None,
            roots=self.on_roots is not None,
            more=self._more(),
            log_level=self.log_level if self.on_log is not None else None,
        )
        msgspec.structs.force_setattr(self, "meta", meta)
        msgspec.structs.force_setattr(self, "on_note", take_notes(self.on_progress, self.on_log))

    def _check_routing(self) -> None:
        if self.hedge_s is not None and not self.hedge_s > 0:
            raise ConfigError(f"hedge_s must be more than 0 seconds, not {self.hedge_s}")
        if self.hedge not in (None, "p95"):
            raise ConfigError(f"hedge is 'p95' or None, not {self.hedge!r}; hedge_s takes seconds")
        msgspec.structs.force_setattr(self, "hedges", self.hedge_s is not None or self.hedge is not None)
        wanted = parse_range(self.version) if self.version is not None else None
        msgspec.structs.force_setattr(self, "range", wanted)
        if self.residency is not None and not self.residency:
            raise ConfigError("residency allows no region at all; name at least one, or leave it out")
        if self.residency is not None and self.region is not None and self.region not in self.residency:
            raise ConfigError(
                f"region {self.region!r} is outside the residency {sorted(self.residency)}; make them agree"
            )

    def _more(self) -> bytes:
        try:
            return encode(self.capabilities) if self.capabilities else b""
        except (TypeError, ValueError) as error:
            raise ConfigError(f"capabilities cannot be written as JSON: {error}") from error

    def limit_s(self, own_s: float | None) -> float:
        """How long a whole call may take, where the tool says `own_s` of itself."""
        return min(self.timeout_s or own_s or DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S)

    def but(self, **changes: Any) -> CallOptions:
        """These options with `changes`."""
        if changes.get("residency") is not None:
            changes["residency"] = frozenset(changes["residency"])
        if changes.get("prefer") is not None:
            changes["prefer"] = tuple(changes["prefer"])
        return msgspec.structs.replace(self, **changes)
