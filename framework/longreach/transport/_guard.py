"""Runs a server so that it never outlives the process that started it, however that one ends.

Between the two stands a guard, a few lines of `sh` in a session of its own. Its standard input is a pipe
whose only writing end is in the owner: when the owner ends, kill -9 included, the kernel closes it, the
guard reads the end of the file and kills the server. A broker without state has nothing to save, so the
kill is a hard one, which a stopped server obeys too. On Linux the server also gets a parent death signal,
in case the guard itself is killed; it is set in the guard, which has one thread, because that signal
follows the thread that forked.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_SCRIPT = """
log=$1 signal=$2
shift 2
exec 3<&0 </dev/null
launch=
if [ "$signal" = 1 ] && setpriv --pdeathsig KILL true 2>/dev/null; then launch="setpriv --pdeathsig KILL"; fi
$launch "$@" 3<&- >>"$log" 2>&1 &
server=$!
trap 'kill -KILL "$server" 2>/dev/null' EXIT
trap 'exit 1' HUP INT TERM
echo "$server"
exec >/dev/null
(read -r _ <&3; kill -KILL "$server") 2>/dev/null &
reader=$!
wait "$server" 2>/dev/null
code=$?
trap - EXIT
kill "$reader" 2>/dev/null
exit "$code"
"""

_STOP_TIMEOUT_S = 5.0
_write_ends: set[int] = set()


def _close_in_child() -> None:
    """A forked child holds no writing end: it would keep the broker of a dead owner alive."""
    for descriptor in _write_ends:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _write_ends.clear()


os.register_at_fork(after_in_child=_close_in_child)


class GuardedProcess:
    """A process that ends with this one.

    Args:
        command: its words.
        log: file to which what it prints is appended.
        pdeathsig: on Linux, let it also end if its guard is killed.
        folder: where it runs.
        environment: instead of this process's own.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        pdeathsig: bool,
        folder: Path = Path("/"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        read_end, self._write_end = os.pipe()
        _write_ends.add(self._write_end)
        arguments = [str(log), "1" if pdeathsig else "0", *command]
        try:
            self._guard = subprocess.Popen(  # noqa: S603 - a fixed script; the arguments are ours
                ["/bin/sh", "-c", _SCRIPT, "longreach-guard", *arguments],
                stdin=read_end,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd=folder,
                env=environment,
            )
        except OSError:
            self._close_pipe()
            raise
        finally:
            os.close(read_end)
        assert self._guard.stdout is not None
        with self._guard.stdout as printed:
            self.pid = int(printed.readline() or b"0")
        self._log = log

    @property
    def running(self) -> bool:
        """Whether it still runs, as far as its guard knows."""
        return self._guard.poll() is None

    @property
    def code(self) -> int | None:
        """How it ended, as a shell says it (128 and the signal's number); None: it runs."""
        return self._guard.poll()

    def last_words(self) -> str:
        """The last line of its log."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def stop(self) -> None:
        """Kill it and wait until it and its guard are gone."""
        self._close_pipe()
        try:
            self._guard.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait(_STOP_TIMEOUT_S)

    def _close_pipe(self) -> None:
        end, self._write_end = self._write_end, -1  # once: the number may be another one's by the next time
        if end in _write_ends:
            _write_ends.discard(end)
            os.close(end)


class GuardedServer(GuardedProcess):
    """A nats-server that ends with this process.

    Args:
        binary: the nats-server to run.
        config: its configuration file.
        log: file for what it prints; overwritten.
        pdeathsig: as for `GuardedProcess`.
    """

    def __init__(self, binary: Path, config: Path, log: Path, *, pdeathsig: bool) -> None:
        log.write_bytes(b"")
        super().__init__((str(binary), "-c", str(config)), log, pdeathsig=pdeathsig)
