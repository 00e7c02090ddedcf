"""`longreach demo`, for real: what it shows is true, and it leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 90


def start(tmp_path: Path, seconds: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "framework"), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "longreach.cli", "demo", "--seconds", str(seconds)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def offspring(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def all_ended(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=5)
    return all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def number(output: str, row: str) -> int:
    """The first number in the row that begins so."""
    found = re.search(rf"^ {row}\s.*?([\d,]+)", output, re.MULTILINE)
    assert found is not None, output
    return int(found[1].replace(",", ""))


@pytest.mark.slow
def test_no_call_is_lost_over_a_kill_a_drain_and_a_join(tmp_path: Path) -> None:
    process = start(tmp_path, seconds=8)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    assert number(output, "calls") >= 100
    assert [number(output, row) for row in ("failed", "never ended", "wrong results")] == [0, 0, 0]
    assert number(output, "calls bound to a region that left it") == 0
    assert number(output, "on the killed node at the kill, by its own count") >= 1
    assert number(output, "lost with it, and run again elsewhere") >= 1
    assert number(output, "sent again for other reasons") == 0
    assert "node_died" in output
    assert "us-1 has drained" in output
    assert "No call was lost." in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_it_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, seconds=60)
    assert process.stdout is not None
    assert "3 nodes in 2 regions" in process.stdout.readline()
    started = offspring(process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert len(started) >= 4
    assert all_ended(started)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_its_processes_end_though_it_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path, seconds=60)
    assert process.stdout is not None
    assert "3 nodes in 2 regions" in process.stdout.readline()
    started = offspring(process)
    process.kill()
    process.communicate(timeout=TIMEOUT_S)
    assert len(started) >= 4
    assert all_ended(started)


@pytest.mark.slow
def test_it_needs_no_broker_of_the_users_and_leaves_theirs_alone(tmp_path: Path) -> None:
    own = Path(tempfile.gettempdir()) / f"longreach-{os.getuid()}"
    before = own.exists() and sorted((path.name, path.stat().st_mtime) for path in own.iterdir())
    process = start(tmp_path, seconds=60)
    assert process.stdout is not None
    assert "3 nodes in 2 regions" in process.stdout.readline()
    stages = [path.name for path in tmp_path.iterdir()]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=TIMEOUT_S)
    assert [name.startswith("longreach-demo-") for name in stages] == [True]
    assert before == (own.exists() and sorted((path.name, path.stat().st_mtime) for path in own.iterdir()))
