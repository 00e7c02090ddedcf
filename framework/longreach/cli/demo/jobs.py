"""What the demo's callers ask for, and what each answer must be: found out here, without any node."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.cli.demo import corpus, maths
from longreach.cli.demo.prices import all_series

if TYPE_CHECKING:
    from longreach.client.results import CallResult

SLOW_TOOL = "risk.value_at_risk"
PATHS = 8_000
"""Years in one simulation: some 30 ms of work, which takes much longer among others on a busy node."""
_CONFIDENCE = 0.95
_DOCUMENTS = 12
_WORDS = ("install", "async", "python", "license", "http")

_SHARES = {
    "risk.volatility": 22,
    "risk.correlation": 20,
    "risk.drawdown": 20,
    "docs.search": 20,
    "docs.outline": 6,
    "docs.extract_text": 6,
    SLOW_TOOL: 6,
}
"""Of a hundred calls, so many go to each tool."""


class Job(msgspec.Struct, frozen=True):
    """A call to make.

    Attributes:
        target: ``server.tool``.
        arguments: of the tool.
        expected: the result, as the plain values that JSON has.
    """

    target: str
    arguments: dict[str, Any]
    expected: Any

    @property
    def is_slow(self) -> bool:
        """Whether it takes long enough to be cut off in the middle."""
        return self.target == SLOW_TOOL

    def is_right(self, result: CallResult) -> bool:
        """Whether `result` is what was expected."""
        if isinstance(self.expected, str):
            return result.text == self.expected
        found = result.structured
        if not isinstance(self.expected, dict):  # MCP wants an object, so the value is wrapped in one
            found = found.get("result") if isinstance(found, dict) else None
        return bool(found == self.expected)


class Jobs:
    """Jobs in the demo's mix, drawn at random.

    Args:
        of_tool: the jobs to draw from, as `all_jobs` gives them.
        seed: of the random numbers.
    """

    def __init__(self, of_tool: dict[str, list[Job]], seed: int = 1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a workload, no secret
        self._of_tool = of_tool
        self._tools = list(_SHARES)
        self._weights = list(_SHARES.values())

    def draw(self) -> Job:
        """The next job."""
        (tool,) = self._random.choices(self._tools, self._weights)
        return self._random.choice(self._of_tool[tool])


def all_jobs() -> dict[str, list[Job]]:
    """Every job there is, by tool, with its result worked out in this process."""
    series = all_series()
    names = list(corpus.documents())[:_DOCUMENTS]
    jobs: dict[str, list[Job]] = {tool: [] for tool in _SHARES}

    def add(tool: str, work: Callable[[], Any], **arguments: Any) -> None:
        jobs[tool].append(Job(tool, arguments, msgspec.to_builtins(work())))

    for symbol, prices in series.items():
        add("risk.volatility", partial(maths.volatility, prices), symbol=symbol)
        add("risk.drawdown", partial(maths.drawdown, prices), symbol=symbol)
        simulate = partial(maths.value_at_risk, prices, PATHS, _CONFIDENCE, 1)
        add(SLOW_TOOL, simulate, symbol=symbol, paths=PATHS, confidence=_CONFIDENCE, seed=1)
    for one, other in combinations(series, 2):
        work = partial(maths.correlation, series[one], series[other])
        add("risk.correlation", work, one=one, other=other)
    for name in names:
        add("docs.extract_text", partial(corpus.plain_text, corpus.document(name)), name=name)
        add("docs.outline", partial(corpus.headings, corpus.document(name)), name=name)
    for words in _WORDS:
        add("docs.search", partial(corpus.search, words, 5), words=words, limit=5)
    return jobs
