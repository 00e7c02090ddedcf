from __future__ import annotations

import asyncio
import errno
import itertools
import os
import signal
import sys
from typing import Any

import pytest

from longreach.errors import ConfigError
from longreach.node import workers as workers_module
from longreach.node.worker import VARIABLE, Report
from longreach.node.workers import QUICK_ENDS, Ended, Workers, check_count, judge, most_workers
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


@pytest.mark.parametrize(
    ("quick_ends", "others", "verdict"),
    [(1, 0, "restart"), (QUICK_ENDS, 0, "give_up"), (QUICK_ENDS, 1, "restart"), (1000, 7, "restart")],
)
def test_a_worker_that_the_system_would_not_start_costs_the_others_nothing(
    quick_ends: int, others: int, verdict: str
):
    ended = Ended(1, "no memory", began=False)
    assert judge(ended, quick_ends, others=others) == verdict


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


class Refusing:
    """Starts processes, but those of the given numbers fail, as where there is no memory."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = set(numbers)
        self.asked = 0
        self.refused = 0
        self._start = asyncio.create_subprocess_exec

    async def __call__(self, *command: str, **options: Any) -> asyncio.subprocess.Process:
        self.asked += 1
        if self.asked in self.numbers:
            self.refused += 1
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return await self._start(*command, **options)


_AT_ONCE = Backoff(first_s=0.001, max_s=0.001)


async def test_a_failed_fork_is_one_workers_ending_and_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    """The first worker runs all the time, and the second one comes up in the end."""
    refusing = Refusing(*range(2, 2 + 2 * QUICK_ENDS))
    monkeypatch.setattr(asyncio, "create_subprocess_exec", refusing)
    said = f"fd = int(os.environ['{VARIABLE}'].split(':')[1]); os.write(fd, b'{{\"kind\":\"serving\"}}\\n')"
    waits = _command(f"import os, sys; {said}; sys.stdin.buffer.read()")
    up: dict[int, int] = {}
    both = asyncio.Event()

    def reported(number: int, report: Report) -> None:
        up[number] = workers.pids[number]
        if len(up) == 2:
            both.set()

    workers = Workers(2, waits, on_report=reported, backoff=_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(workers.run())
        async with asyncio.timeout(30):
            await both.wait()
        assert refusing.refused == 2 * QUICK_ENDS
        assert workers.pids == up  # the first one is the same process still
        for pid in up.values():
            os.kill(pid, signal.SIGSTOP)  # they cannot drain
        workers._signalled()
        workers._signalled()
        for pid in up.values():
            os.kill(pid, signal.SIGKILL)
    assert running.result() == Ended(0)


async def test_where_no_process_can_be_started_at_all_the_supervisor_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asyncio, "create_subprocess_exec", Refusing(*range(1, 100)))
    ended = await Workers(3, _command("pass"), backoff=_AT_ONCE).run()
    assert ended.code == 1
    assert "Resource temporarily unavailable" in str(ended.reason)


async def test_where_no_pipe_can_be_made_it_is_one_workers_ending_too(monkeypatch: pytest.MonkeyPatch):
    pipe, made = os.pipe, itertools.count(1)

    def few() -> tuple[int, int]:
        if next(made) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return pipe()

    monkeypatch.setattr(workers_module.os, "pipe", few)
    assert await Workers(1, _command("pass"), backoff=_AT_ONCE).run() == Ended(0)


async def test_a_report_that_cannot_be_shown_costs_no_worker_its_life():
    def broken(number: int, report: Report) -> None:
        raise ValueError("a newer worker's word")

    assert await Workers(1, _report_then(0), on_report=broken).run() == Ended(0, None)


def test_how_many_workers_a_machine_takes_depends_on_it(monkeypatch: pytest.MonkeyPatch):
    most, why = most_workers()
    assert most >= 1
    check_count(most)
    for count in (most + 1, 1_000_000):
        with pytest.raises(ConfigError, match=f"at most {most} ") as refused:
            Workers(count, _command("pass"))
        assert why in str(refused.value)
        assert f"workers={count}" in str(refused.value)
    monkeypatch.setattr(workers_module.resource, "getrlimit", lambda _: (104, 104))
    assert most_workers() == (10, "104 open files allowed, `ulimit -n`")
    monkeypatch.setattr(workers_module.resource, "getrlimit", lambda _: (8, 8))
    assert most_workers()[0] == 1
