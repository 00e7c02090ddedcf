"""How calls are made: the options of a mesh, apart from the arguments of a tool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from longreach.errors import ConfigError

OnProgress = Callable[[float, float | None, str | None], None]
"""Called with progress, total and message, from within the event loop; it must not wait."""

DEFAULT_TIMEOUT_S = 60.0
MAX_TIMEOUT_S = 366 * 86_400.0
"""More than this is as much: a deadline has a last digit on the wire (docs/binding.md M2.3)."""


class CallOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of calls.

    Args:
        timeout_s: the whole call, retries included; None: the tool's own, or 60 s.
        idempotent: True: re-running is harmless, False: never re-run; None: the tool's annotations say.
        region: home, asked first.
        prefer: regions asked next, in order.
        residency: the only regions that may be used; None: any.
        node: ``identity.instance``, to ask one node and no other.
        on_progress: gets the tool's progress.
    """

    timeout_s: float | None = None
    idempotent: bool | None = None
    region: str | None = None
    prefer: tuple[str, ...] = ()
    residency: frozenset[str] | None = None
    node: str | None = None
    on_progress: OnProgress | None = None

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise ConfigError(f"timeout_s must be more than 0 seconds, not {self.timeout_s}")
        if self.residency is not None and not self.residency:
            raise ConfigError("residency allows no region at all; name at least one, or leave it out")
        if self.residency is not None and self.region is not None and self.region not in self.residency:
            raise ConfigError(
                f"region {self.region!r} is outside the residency {sorted(self.residency)}; make them agree"
            )

    def but(self, **changes: Any) -> CallOptions:
        """These options with `changes`."""
        for name in ("residency",):
            if changes.get(name) is not None:
                changes[name] = frozenset(changes[name])
        if changes.get("prefer") is not None:
            changes["prefer"] = tuple(changes["prefer"])
        return msgspec.structs.replace(self, **changes)
