"""`longreach`, but at SIGUSR1 it says how many tasks and objects there are: tests alone need that.

python -m tests.support.watched_gateway gateway --port 0 ...
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from types import FrameType

from longreach.cli import main


def _tell(_: int, __: FrameType | None) -> None:
    gc.collect()
    tasks = asyncio.all_tasks()
    print(f"watched: tasks={len(tasks)} objects={len(gc.get_objects())}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _tell)
    main()
