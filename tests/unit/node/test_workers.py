from __future__ import annotations

import sys

import pytest

from longreach.node.worker import VARIABLE
from longreach.node.workers import QUICK_ENDS, Ended, Workers, judge
from longreach.policy.backoff import Backoff


@pytest.mark.parametrize(
    ("code", "quick_ends", "verdict"),
    [
        (0, 0, "done"),
        (0, QUICK_ENDS, "done"),
        (1, 1, "restart"),
        (-9, QUICK_ENDS - 1, "restart"),
        (-9, QUICK_ENDS, "give_up"),
        (2, 0, "give_up"),
    ],
)
def test_what_becomes_of_a_worker_that_ended(code: int, quick_ends: int, verdict: str):
    assert judge(Ended(code), quick_ends, hopeless=frozenset({2})) == verdict


def _command(script: str) -> list[str]:
    return [sys.executable, "-S", "-c", script]


def _report_then(code: int) -> list[str]:
    return _command(
        f"import os; fd = int(os.environ['{VARIABLE}'].split(':')[1]); "
        f"""os.write(fd, b'{{"kind":"failed","text":"no luck"}}\\n'); os._exit({code})"""
    )


async def test_a_hopeless_end_ends_all_with_its_reason():
    heard: list[tuple[int, str]] = []
    workers = Workers(
        1, _report_then(2), hopeless=frozenset({2}),
        on_report=lambda number, report: heard.append((number, report.text)),
    )  # fmt: skip

    assert await workers.run() == Ended(2, "no luck")
    assert heard == [(1, "no luck")]
    assert workers.pids == {}


async def test_what_ends_quickly_again_and_again_is_given_up():
    heard: list[int] = []
    workers = Workers(
        1, _report_then(7), backoff=Backoff(first_s=0.001, max_s=0.001),
        on_report=lambda number, report: heard.append(number),
    )  # fmt: skip

    assert await workers.run() == Ended(7, "no luck")
    assert len(heard) == QUICK_ENDS


async def test_workers_that_are_done_end_the_supervisor_well():
    assert await Workers(2, _command("pass")).run() == Ended(0)


async def test_a_signal_that_kills_is_named():
    workers = Workers(
        1, _command("import os; os.kill(os.getpid(), 9)"), backoff=Backoff(first_s=0.001, max_s=0.001)
    )

    assert await workers.run() == Ended(-9, "killed by SIGKILL")


async def test_what_a_worker_says_that_is_no_report_is_ignored():
    script = f"import os; os.write(int(os.environ['{VARIABLE}'].split(':')[1]), b'nonsense\\n')"

    assert await Workers(1, _command(script)).run() == Ended(0)
