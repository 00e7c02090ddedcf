"""A foreign process that the system will not start just now: the bridge hears of it, and tries again."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

import pytest

from longreach_bridge.foreign.channel import Lost
from longreach_bridge.foreign.process import GuardedProcess


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
async def test_a_failed_fork_is_no_reason_to_give_up(monkeypatch: pytest.MonkeyPatch, code: int):
    async def refuse(*_: Any, **__: Any) -> None:
        raise OSError(code, "not now")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
    process = GuardedProcess(["true"], {})
    with pytest.raises(Lost) as lost:
        await process.start()
    assert not lost.value.hopeless
    await process.stop(0.1)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted in /proc")
@pytest.mark.parametrize("refused", [1, 2])
async def test_where_no_pipe_can_be_made_nothing_is_left_open(monkeypatch: pytest.MonkeyPatch, refused: int):
    pipe, made = os.pipe, 0

    def few() -> tuple[int, int]:
        nonlocal made
        made += 1
        if made == refused:
            raise OSError(errno.EMFILE, "Too many open files")
        return pipe()

    process = GuardedProcess(["true"], {})
    before = open_files()
    with monkeypatch.context() as short:
        short.setattr(os, "pipe", few)
        with pytest.raises(Lost) as lost:
            await process.start()
    assert not lost.value.hopeless
    assert open_files() == before
    await process.stop(0.1)


async def test_a_folder_that_is_not_there_will_not_be_there_next_time(tmp_path: Any):
    process = GuardedProcess(["true"], {}, folder=tmp_path / "nowhere")
    with pytest.raises(Lost) as lost:
        await process.start()
    assert lost.value.hopeless
    await process.stop(0.1)
