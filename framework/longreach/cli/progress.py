"""A bar on standard error for a call's progress notifications, where somebody is looking."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from longreach.cli.endings import one_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressLine:
    """Shows progress from the first notification on, and leaves nothing behind.

    Args:
        label: what is shown until a notification brings a message.
        enabled: None: only where standard error is a terminal.
    """

    def __init__(self, label: str, *, enabled: bool | None = None) -> None:
        self._label = label
        self._enabled = sys.stderr.isatty() if enabled is None else enabled
        self._bar: Progress | None = None
        self._task: TaskID

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hide()

    def hide(self) -> None:
        """Make room for something else; the next notification shows it again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def update(self, progress: float, total: float | None, message: str | None) -> None:
        """A notification came; as `Mesh.call` passes it on."""
        if not self._enabled:
            return
        if self._bar is None:
            self._open()
        assert self._bar is not None
        label = one_line(message) if message else self._label
        self._bar.update(self._task, completed=progress, total=total, description=label)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(self._label, total=None)
        self._bar.start()
