from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_process
import psutil
import pytest
from tests.support import process_tools
from tests.support.actors import Recorder, cell_for, eventually, offer_call

from longreach.actor.call import Cancelled, Crashed, NotStarted
from longreach.actor.cell import ActorCell
from longreach.actor.server import Server
from longreach.policy.quarantine import Quarantine


@asynccontextmanager
async def actor(function, **options) -> AsyncIterator[ActorCell]:
    server = Server("s")
    spec = server.add_tool(function, process=True)
    cell = cell_for(server, spec.name, **options)
    await cell.start()
    try:
        yield cell
    finally:
        await cell.stop(1)


def read_pid(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


async def test_it_runs_in_another_process():
    seen = Recorder()
    async with actor(process_tools.whoami) as cell:
        offer_call(cell, seen, "a", "whoami")
        assert int(await seen.text("a")) != os.getpid()


async def test_a_cancel_kills_the_one_process(tmp_path):
    seen, file = Recorder(), tmp_path / "pid"
    async with actor(process_tools.hang) as cell:
        offer_call(cell, seen, "a", "hang", {"path": str(file)})
        await eventually(lambda: read_pid(file) > 0)
        cell.cancel("a", "cancelled")
        assert seen.endings["a"] == Cancelled("cancelled")
        await eventually(lambda: not psutil.pid_exists(read_pid(file)))
        await eventually(lambda: cell.running == 0)


async def test_a_process_that_dies_crashes_its_call_and_only_a_row_of_them_the_actor():
    seen = Recorder()
    async with actor(process_tools.die, quarantine=Quarantine(threshold=1)) as cell:
        offer_call(cell, seen, "a", "die")
        assert isinstance(await seen.ending("a"), Crashed)
        assert cell.state == "ready"
        offer_call(cell, seen, "b", "die")
        assert isinstance(await seen.ending("b"), Crashed)
        assert cell.state == "quarantined"


async def test_whatever_is_raised_in_a_process_ends_its_call_and_the_process_goes_on():
    seen = Recorder()
    async with actor(process_tools.raise_named, quarantine=Quarantine(threshold=100)) as cell:
        offer_call(cell, seen, "first", "raise_named", {"name": ""})
        pid = await seen.text("first")
        for name in ("exit", "interrupt", "generator", "base", "memory", "crash", "group"):
            offer_call(cell, seen, name, "raise_named", {"name": name})
            assert isinstance(await seen.ending(name), Crashed)
            offer_call(cell, seen, f"after {name}", "raise_named", {"name": ""})
            assert await seen.text(f"after {name}") == pid
        for name in ("stop", "cancelled", "unspeakable", "nothing of the kind"):
            offer_call(cell, seen, name, "raise_named", {"name": name})
            assert (await seen.ending(name)).result.is_error
            offer_call(cell, seen, f"after {name}", "raise_named", {"name": ""})
            assert await seen.text(f"after {name}") == pid
        assert cell.state == "ready"


async def test_a_result_that_cannot_leave_its_process_fails_its_call():
    seen = Recorder()
    async with actor(process_tools.give, quarantine=Quarantine(threshold=100)) as cell:
        offer_call(cell, seen, "first", "give", {"how": ""})
        pid = await seen.text("first")
        for how in ("reading", "writing", "lambda"):
            offer_call(cell, seen, how, "give", {"how": how})
            ending = await seen.ending(how)
            assert isinstance(ending, Crashed) or ending.result.is_error
            offer_call(cell, seen, f"after {how}", "give", {"how": ""})
            assert await seen.text(f"after {how}") == pid


async def test_where_the_system_gives_no_process_the_call_has_not_begun(monkeypatch):
    seen = Recorder()

    async def refuse(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    async with actor(process_tools.whoami, quarantine=Quarantine(threshold=0)) as cell:
        with monkeypatch.context() as full:
            full.setattr(anyio.to_process, "open_process", refuse)
            offer_call(cell, seen, "a", "whoami")
            assert await seen.ending("a") == NotStarted("busy", 1000)
        offer_call(cell, seen, "b", "whoami")
        assert int(await seen.text("b")) != os.getpid()


async def test_errors_come_over_as_what_they_are(caplog):
    seen = Recorder()
    async with actor(process_tools.refuse) as cell:
        offer_call(cell, seen, "a", "refuse")
        assert await seen.text("a") == "not that one"
    async with actor(process_tools.fail) as cell:
        offer_call(cell, seen, "b", "fail")
        assert "secret" not in await seen.text("b")
        assert cell.state == "ready"
    assert "secret of the child" in caplog.text


_PARENT = """
import asyncio, sys
from longreach.actor.processes import ProcessSlots
from tests.support import process_tools
asyncio.run(ProcessSlots(1).run(getattr(process_tools, sys.argv[2]), {"path": sys.argv[1]}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("tool", ["hang", "hold"] if sys.platform == "linux" else ["hang"])
async def test_the_process_ends_when_its_node_is_killed(tmp_path, tool):
    file = tmp_path / "pid"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _PARENT, str(file), tool]
    node = subprocess.Popen(command, env=environment)  # noqa: ASYNC220 - it is short
    try:
        await eventually(lambda: read_pid(file) > 0)
        child = psutil.Process(read_pid(file))
        node.send_signal(signal.SIGKILL)
        node.wait(10)
        await eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    finally:
        node.kill()
        node.wait(10)


async def test_descriptors_0_and_1_belong_to_the_function(capfd: pytest.CaptureFixture[str]):
    seen = Recorder()
    async with actor(process_tools.use_the_descriptors) as cell:
        for call in ("a", "b"):
            offer_call(cell, seen, call, "use_the_descriptors")
            assert await seen.text(call) == "(b'', '', b'')"
    said = capfd.readouterr().err.replace(".", "")
    assert sorted(said.split()) == sorted("xyzp" * 2)
