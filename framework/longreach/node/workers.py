"""`--workers N`: N node processes of one command, in the same queue groups, kept up by a supervising one.

The broker balances between them as it does between machines. A worker is the same command again, in a new
process, never a fork; `node.worker` is its side of the tie.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import resource
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import IO, Literal, NamedTuple

import msgspec

from longreach import forks
from longreach.clock import SYSTEM_CLOCK, Clock
from longreach.errors import ConfigError
from longreach.node.worker import VARIABLE, Report
from longreach.observe import event
from longreach.policy.backoff import Backoff

_log = logging.getLogger("longreach.workers")

QUICK_S = 10.0
"""A worker that ends sooner after its start than this has not really started."""
QUICK_ENDS = 3
"""So many of them in a row, and the supervisor gives up."""
_STOP_AT_ONCE_S = 5.0
"""What a worker gets to obey the second signal, before it is killed."""
_LAST_WORDS_S = 1.0
_NO_PROCESS = 1
"""The exit code for what the system refuses: that of a node that failed."""
_REPORT_LIMIT = 1024 * 1024

Verdict = Literal["done", "restart", "give_up"]


_PER_PROCESSOR = 32
"""More workers than that on one processor only take turns, and memory."""
_MEMORY_EACH = 64 * 1024 * 1024
"""What a worker takes at the least, in bytes: a node with one small server measures 45 MB and more."""
_FILES_EACH, _FILES_OURS = 4, 64
"""Open files of the supervising process: for each worker (its pipes, its process), and for all else."""


class Ended(NamedTuple):
    """How a worker, or all of them, ended: the exit code (minus the signal that killed it), and why.

    `began` is False if the system would not start its process.
    """

    code: int
    reason: str | None = None
    began: bool = True


def most_workers() -> tuple[int, str]:
    """Return how many workers this machine takes at most, and what limits it, for people to read."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [(_PER_PROCESSOR * processors, f"{_PER_PROCESSOR} for each of {processors} processors")]
    with contextlib.suppress(ValueError, OSError):  # not each system tells
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        limits.append(
            (memory // _MEMORY_EACH, f"{memory // 2**20} MiB of memory, {_MEMORY_EACH // 2**20} each")
        )
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY:
        limits.append(((files - _FILES_OURS) // _FILES_EACH, f"{files} open files allowed, `ulimit -n`"))
    most, why = min(limits)
    return max(1, most), why


def check_count(count: int) -> None:
    """Refuse more workers than this machine takes: they would fill it before the first one serves.

    Raises:
        ConfigError: there are too many; says how many there may be, and why.
    """
    most, why = most_workers()
    if count > most:
        raise ConfigError(f"workers={count} is more than this machine takes: at most {most} ({why})")


def judge(
    ended: Ended, quick_ends: int, hopeless: frozenset[int] = frozenset(), *, others: int = 0
) -> Verdict:
    """What to do about a worker that ended though nobody asked for it here.

    Args:
        ended: how; 0 is that of a node which was drained by name, and stays down.
        quick_ends: how many times in a row it ended soon after its start, this one included.
        hopeless: exit codes that will come again, such as those of wrong settings.
        others: how many other workers run. Their calls are worth more than one worker that the system
            would not start: that one is tried again for as long as they run.
    """
    if ended.code == 0:
        return "done"
    if not ended.began and others:
        return "restart"
    return "give_up" if ended.code in hopeless or quick_ends >= QUICK_ENDS else "restart"


class Workers:
    """Keeps `count` processes of one command up.

    Args:
        count: how many.
        command: what each of them runs.
        drain_timeout_s: how long their calls may take to end after a signal; a little later they are killed.
        hopeless: exit codes after which a restart is useless.
        on_report: told (number of the worker, report).
        backoff: how long to wait before a restart.
        clock: the time.

    Raises:
        ConfigError: there are more than this machine takes.
    """

    def __init__(
        self,
        count: int,
        command: Sequence[str],
        *,
        drain_timeout_s: float = 30.0,
        hopeless: frozenset[int] = frozenset(),
        on_report: Callable[[int, Report], None] = lambda number, report: None,
        backoff: Backoff | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_count(count)
        self._count = count
        self._command = tuple(command)
        self._drain_timeout_s = drain_timeout_s
        self._hopeless = hopeless
        self._on_report = on_report
        self._backoff = backoff or Backoff(first_s=0.1, max_s=5.0)
        self._clock = clock
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failed: Ended | None = None

    @property
    def pids(self) -> dict[int, int]:
        """The process ids of those that run, by number from 1 on."""
        return {number: process.pid for number, process in self._running.items()}

    async def run(self) -> Ended:
        """Start all, keep them up until SIGTERM or SIGINT or until one cannot be kept up, and drain them.

        The first signal is passed on and drains; the second one, passed on too, ends them at once.
        """
        loop = asyncio.get_running_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            forks.hear(loop, signal_number, self._signalled)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(1, self._count + 1):
                    group.create_task(self._keep(number))
        finally:
            for signal_number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signal_number)
        return self._failed or Ended(0)

    def _signalled(self) -> None:
        if self._stop.is_set():
            event(_log, "workers.stopping", logging.WARNING)
            self._hurry.set()
        else:
            event(_log, "workers.draining", workers=len(self._running))
            self._stop.set()

    async def _keep(self, number: int) -> None:
        quick_ends = restarts = 0
        while not self._stop.is_set():
            began = self._clock.monotonic()
            ended = await self._run_one(number)
            if self._stop.is_set():
                return
            quick_ends = quick_ends + 1 if self._clock.monotonic() - began < QUICK_S else 0
            restarts = restarts + 1 if quick_ends else 1
            verdict = judge(ended, quick_ends, self._hopeless, others=len(self._running))
            event(
                _log, "worker.ended", logging.WARNING, worker=number, code=ended.code, reason=ended.reason,
                verdict=verdict,
            )  # fmt: skip
            if verdict != "restart":
                if verdict == "give_up":
                    self._failed = ended
                    self._stop.set()
                return
            await _within(self._stop.wait(), self._backoff.delay(restarts, random.random))

    async def _run_one(self, number: int) -> Ended:
        """One worker's life; a process that the system will not start is the end of one worker, too."""
        try:
            process, reports = await self._spawn(number)
        except OSError as error:
            return Ended(_NO_PROCESS, f"the system does not start a process: {error}", began=False)
        self._running[number] = process
        event(_log, "worker.started", worker=number, pid=process.pid)
        try:
            async with asyncio.TaskGroup() as group:
                heard = group.create_task(self._hear(number, reports))
                ender = group.create_task(self._end(process))
                code = await process.wait()
                ender.cancel()
                await _within(heard, _LAST_WORDS_S)
        finally:
            del self._running[number]
            _send(process, signal.SIGKILL)
            if process.stdin is not None:
                process.stdin.close()
        reason = None if heard.cancelled() else heard.result()
        return Ended(code, reason or _signal_name(code))

    async def _spawn(self, number: int) -> tuple[asyncio.subprocess.Process, IO[bytes]]:
        """Start a worker: its process, and the pipe on which it reports.

        Raises:
            OSError: there is no memory, no process or no file to be had, or the program is gone.
        """
        read_end, write_end = os.pipe()
        reports = os.fdopen(read_end, "rb")
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                env={**os.environ, VARIABLE: f"{number}:{write_end}:{os.getpid()}"},
                pass_fds=(write_end,),
                # A session of its own: Ctrl-C is for the supervisor, which passes it on once.
                start_new_session=True,
            )
        except BaseException:
            reports.close()
            raise
        finally:
            os.close(write_end)
        return process, reports

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Pass the signals on to a worker, and kill it when its time is over; cancelled when it has ended."""
        await self._stop.wait()
        _send(process, signal.SIGTERM)
        await _within(self._hurry.wait(), self._drain_timeout_s + _STOP_AT_ONCE_S)
        _send(process, signal.SIGTERM)
        await asyncio.sleep(_STOP_AT_ONCE_S)
        event(_log, "worker.killed", logging.WARNING, pid=process.pid)
        _send(process, signal.SIGKILL)

    async def _hear(self, number: int, reports: IO[bytes]) -> str | None:
        """Pass on what a worker reports until it ends; why it failed, if it said so."""
        reader = asyncio.StreamReader(limit=_REPORT_LIMIT)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), reports)
        except OSError as error:
            reports.close()
            event(_log, "report.unheard", logging.WARNING, worker=number, reason=str(error))
            return None
        failed = None
        try:
            while line := await reader.readline():
                report = _decode(line)
                if report is not None:
                    failed = report.text if report.kind == "failed" else failed
                    self._tell(number, report)
        except (ValueError, OSError) as error:  # a line beyond the limit: nothing of ours
            event(_log, "report.malformed", logging.WARNING, worker=number, reason=str(error))
        finally:
            transport.close()
        return failed

    def _tell(self, number: int, report: Report) -> None:
        try:
            self._on_report(number, report)
        except Exception:  # noqa: BLE001 - what cannot be shown must not cost the workers their calls
            _log.exception("report.failed", extra={"event_fields": {"worker": number}})


def _decode(line: bytes) -> Report | None:
    try:
        return msgspec.json.decode(line, type=Report)
    except msgspec.DecodeError:  # the pipe is open to whatever runs in the worker
        return None


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)


async def _within(awaitable: Awaitable[object], timeout_s: float) -> None:
    """Wait for it, but no longer; then it is cancelled."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await awaitable


def _signal_name(code: int) -> str | None:
    if code >= 0:
        return None
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
