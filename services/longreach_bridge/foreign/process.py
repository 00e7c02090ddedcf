"""A child process that speaks on its pipes, and never outlives this one, however that ends.

Between the two stands a guard, a few lines of `sh` that lead a session of their own. A pipe whose only
writing end is ours leads to it: when we end, kill -9 included, the kernel closes it, the guard reads the
end of the file and kills its whole process group: the child, and what the child has started (`npx` starts
`node`). The guard also says, on a pipe of its own, what the child's pid is and how it ended; what the child
left behind is killed then.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from longreach.tasks import TaskSet
from longreach_bridge.foreign.channel import Lost

_SCRIPT = """
exec 3<"/dev/fd/$1" 4>"/dev/fd/$2"
shift 2
exec 5<&0 6>&1 0</dev/null 1>/dev/null
trap : HUP INT TERM
(trap - HUP INT TERM; exec 4>&- 5<&- 6>&-; read -r _ <&3; kill -KILL 0) 2>/dev/null &
"$@" <&5 >&6 3<&- 4>&- 5<&- 6>&- &
child=$!
exec 5<&- 6>&-
echo "$child" >&4
while :; do wait "$child"; code=$?; kill -0 "$child" 2>/dev/null || break; done
wait "$child"; late=$?
[ "$late" = 127 ] || code=$late
echo "$code" >&4
kill -KILL 0
"""
# The shell may know that the child has ended before it is told to wait, and a signal may end the first wait
# just before the child ends: the last wait has its status, or says 127 if an earlier one had it.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_SIGNALLED = 128
_PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
"""What a system that is short of something says when it starts no process: it may start the next one."""
_START_TIMEOUT_S = 10.0
_KILL_TIMEOUT_S = 5.0
_EOF_TIMEOUT_S = 1.0
_CHUNK = 65_536
_write_ends: set[int] = set()


def _close_in_child() -> None:
    """A forked child holds no writing end: it would keep the process of a dead owner alive."""
    for descriptor in _write_ends:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _write_ends.clear()


os.register_at_fork(after_in_child=_close_in_child)


async def _throw_away(stream: asyncio.StreamReader) -> None:
    while await stream.read(_CHUNK):
        pass


class GuardedProcess:
    """One run of a command.

    Args:
        command: the program and its arguments.
        environment: all of its variables.
        folder: where it runs; None: where we do.
        limit: how many bytes of its output wait here unread.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        limit: int = 1024 * 1024,
    ) -> None:
        self._command = tuple(command)
        self._environment = dict(environment)
        self._folder = folder
        self._limit = limit
        self._guard: asyncio.subprocess.Process | None = None
        self._life = -1
        self._status: asyncio.StreamReader | None = None
        self._status_pipe: asyncio.ReadTransport | None = None
        self.pid = 0

    async def start(self) -> None:
        """Start it.

        Raises:
            Lost: it cannot be started.
        """
        try:
            life, self._life = os.pipe()
        except OSError as error:  # no more files may be open, for now
            raise Lost(f"{self._command[0]} cannot be started: {error}") from None
        _write_ends.add(self._life)
        try:
            status, told = os.pipe()
        except OSError as error:
            os.close(life)
            self._release()
            raise Lost(f"{self._command[0]} cannot be started: {error}") from None
        try:
            self._guard = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", _SCRIPT, "longreach-bridge-guard", str(life), str(told), *self._command,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                pass_fds=(life, told), env=self._environment, cwd=self._folder, start_new_session=True,
                limit=self._limit,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            os.close(status)
            self._release()
            hopeless = not (isinstance(error, OSError) and error.errno in _PASSING)
            raise Lost(f"{self._command[0]} cannot be started: {error}", hopeless=hopeless) from None
        finally:
            os.close(life)
            os.close(told)
        self._status = reader = asyncio.StreamReader()
        self._status_pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(status, "rb", buffering=0)
        )
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                self.pid = int(await self._status.readline() or b"0")
        except TimeoutError:
            raise Lost(f"{self._command[0]} was not started within {_START_TIMEOUT_S:g} s") from None

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Leads to the child."""
        assert self._guard is not None
        assert self._guard.stdin is not None
        return self._guard.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """What the child says."""
        assert self._guard is not None
        assert self._guard.stdout is not None
        return self._guard.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        """What the child says beside that."""
        assert self._guard is not None
        assert self._guard.stderr is not None
        return self._guard.stderr

    async def ended(self) -> Lost:
        """Wait until the child has ended; how."""
        assert self._status is not None
        line = (await self._status.readline()).strip()
        name = Path(self._command[0]).name
        if not line:  # the guard is gone, and what it guarded is not ours to wait for
            return Lost(f"{name} was killed, and its guard with it")
        code = int(line)
        if code == _NOT_FOUND:
            return Lost(f"there is no program {self._command[0]!r}", hopeless=True)
        if code == _NOT_EXECUTABLE:
            return Lost(f"{self._command[0]} cannot be executed", hopeless=True)
        if code > _SIGNALLED:
            with contextlib.suppress(ValueError):
                return Lost(f"{name} was ended by {signal.Signals(code - _SIGNALLED).name}")
        return Lost(f"{name} ended with exit code {code}")

    async def stop(self, grace_s: float) -> None:
        """Close its input, wait, ask it to end, and then kill it and all that came from it.

        Nobody else may read its output any more: it is thrown away here, so that a child that still writes
        can end.

        Args:
            grace_s: what it may take after its input was closed, and once more after SIGTERM.
        """
        if self._guard is None:
            self._release()
            return
        tasks = TaskSet("process output")
        reading = [tasks.spawn(_throw_away(stream)) for stream in (self.stdout, self.stderr)]
        try:
            self.stdin.close()
            for number in (signal.SIGTERM, None):
                if await self._over_within(grace_s):
                    break
                if number is not None and self.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self.pid, number)
        finally:
            await self._end()
            await asyncio.wait(reading, timeout=_EOF_TIMEOUT_S)
            await tasks.close()

    async def _over_within(self, timeout_s: float) -> bool:
        assert self._guard is not None
        try:
            async with asyncio.timeout(timeout_s):
                await self._guard.wait()
        except TimeoutError:
            return False
        return True

    async def _end(self) -> None:
        guard, self._guard = self._guard, None
        assert guard is not None
        self._release()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(guard.pid, signal.SIGKILL)
        try:
            async with asyncio.timeout(_KILL_TIMEOUT_S):
                await guard.wait()
        except TimeoutError:  # unkillable: it waits in the kernel
            pass
        finally:
            if self._status_pipe is not None:
                self._status_pipe.close()

    def _release(self) -> None:
        end, self._life = self._life, -1  # once: the number may be another one's by the next time
        if end in _write_ends:
            _write_ends.discard(end)
            os.close(end)
