"""The demo's jobs and how their results are checked."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from longreach.cli.demo import jobs, servers
from longreach.cli.demo.jobs import Job, Jobs
from longreach.client.results import CallResult
from longreach.wire.mcp import TextContent


@pytest.fixture(scope="module")
def of_tool() -> dict[str, list[Job]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "PATHS", 100)
        return jobs.all_jobs()


def result(text: str = "", structured: Any = None) -> CallResult:
    return CallResult([TextContent(text)], structured, is_error=False, meta={})


def test_there_are_jobs_for_every_tool_and_only_slow_ones_are_slow(of_tool: dict[str, list[Job]]) -> None:
    declared = {f"{server.name}.{tool}" for server in (servers.risk, servers.docs) for tool in server.tools}
    assert of_tool.keys() == declared
    assert all(of_tool.values())
    assert {job.target for each in of_tool.values() for job in each if job.is_slow} == {"risk.value_at_risk"}


def test_every_tool_says_that_it_only_reads() -> None:
    tools = [*servers.risk.tools.values(), *servers.docs.tools.values()]
    assert all(tool.definition.annotations.read_only_hint is True for tool in tools)


def test_the_mix_is_drawn_at_random_and_can_be_repeated(of_tool: dict[str, list[Job]]) -> None:
    first, second = Jobs(of_tool, seed=3), Jobs(of_tool, seed=3)
    drawn = [first.draw() for _ in range(2000)]
    assert drawn == [second.draw() for _ in range(2000)]
    share = Counter(job.is_slow for job in drawn)[True] / 2000
    assert 0.03 < share < 0.09


@pytest.mark.parametrize(
    ("expected", "right", "wrong"),
    [
        ("some text", result("some text"), result("another text")),
        (0.5, result("0.5", {"result": 0.5}), result("0.5", {"result": 0.25})),
        ([1, 2], result("", {"result": [1, 2]}), result("", {"result": [2, 1]})),
        ({"depth": 1.0}, result("", {"depth": 1.0}), result("", {"depth": 0.0})),
        (0.5, result("0.5", {"result": 0.5}), result("0.5", None)),
    ],
)
def test_a_result_is_right_only_if_it_is_what_was_worked_out(
    expected: Any, right: CallResult, wrong: CallResult
) -> None:
    job = Job("t.tool", {}, expected)
    assert job.is_right(right)
    assert not job.is_right(wrong)
