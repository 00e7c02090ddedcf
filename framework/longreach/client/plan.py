"""What is known of a call before it is made, and what is left of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import msgspec

from longreach.wire.tokens import NONE, encode_token

if TYPE_CHECKING:
    from longreach.policy.hints import Hints
    from longreach.policy.questions import NodeId
    from longreach.policy.route import Candidate

R = TypeVar("R")

TOOLS_CALL = "tools/call"
PROMPTS_GET = "prompts/get"
RESOURCES_READ = "resources/read"
_NAMED = (TOOLS_CALL, PROMPTS_GET)
"""The methods whose requests have a name in their subject."""


class Target(NamedTuple):
    """What is asked: names, not tokens.

    Attributes:
        server: the server's name.
        method: as MCP has it.
        name: the tool's or prompt's name, the resource's URI; None where the method has none.
    """

    server: str
    method: str
    name: str | None

    @property
    def key(self) -> Target:
        """What requests on the same subject have in common: the target, without a name that is not in it."""
        return self if self.name is None or self.method in _NAMED else Target(self.server, self.method, None)

    @property
    def name_token(self) -> str:
        """The last token of the request's subject."""
        return encode_token(self.name) if self.name is not None and self.method in _NAMED else NONE

    def __str__(self) -> str:
        match self.method:
            case "tools/call":
                return f"{self.server}.{self.name}"
            case "prompts/get":
                return f"prompt {self.server}.{self.name}"
            case "resources/read":
                return f"resource {self.name} of {self.server}"
            case _:
                return f"{self.method} of {self.server}"


class Plan(NamedTuple):
    """What is known about a target before it is asked; made anew when the catalog changes.

    `key` is the target without what no route depends on: the URI of a resource. `head` is JSON: the request
    after its id, as far as it is always the same. `detour` leads a re-run that was to go to a candidate
    around nodes that are stuck. `pick` takes the place of `first` where first attempts are shared out: among
    a canary and others, or among instances of the versions that fit.
    """

    target: Target
    key: Target
    first: Candidate | None
    candidates: Callable[[frozenset[str]], tuple[Candidate, ...]]
    hints: Callable[[], Hints]
    timeout_s: float | None
    head: bytes
    detour: Callable[[Candidate, Collection[NodeId]], Candidate]
    pick: Callable[[], Candidate] | None = None


class Outcome(NamedTuple, Generic[R]):
    """A request that was answered: the result, how many attempts it took, and why those before failed."""

    result: R
    attempts: int
    retries: tuple[str, ...]


class CallStats(msgspec.Struct):
    """What a mesh has done so far."""

    calls: int = 0
    answered: int = 0
    failed: int = 0
    attempts: int = 0
    retried: int = 0
