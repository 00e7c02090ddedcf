"""The audit log: written by a thread, bounded, and nobody waits for it."""

from __future__ import annotations

import json
import logging
import os
import stat
import threading
import time
from pathlib import Path

import pytest
from tests.support.timing import allowed

from longreach.audit import LOGGER, AuditLog, trace_id
from longreach.errors import ConfigError


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_each_event_is_a_line_with_when_it_happened(tmp_path: Path):
    file = tmp_path / "audit.log"
    log = AuditLog(str(file))
    log.put("call.ended", {"caller": "alice", "outcome": "ok", "duration_ms": 1.5})
    log.put("call.ended", {"caller": "böb", "outcome": "forbidden"})
    log.close()

    first, second = lines(file)
    assert first["logger"] == LOGGER
    assert (first["event"], first["caller"], first["duration_ms"]) == ("call.ended", "alice", 1.5)
    assert second["caller"] == "böb"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_log_goes_on_where_another_ended_and_follows_a_file_that_is_moved_away(tmp_path: Path):
    file = tmp_path / "audit.log"
    for number in range(2):
        log = AuditLog(str(file))
        log.put("call.ended", {"number": number})
        log.close()
    assert [each["number"] for each in lines(file)] == [0, 1]

    log = AuditLog(str(file))
    os.replace(file, tmp_path / "audit.1")
    log.put("call.ended", {"number": 2})
    log.close()
    assert [each["number"] for each in lines(file)] == [2]


class Stuck(logging.Handler):
    """A disk that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck, self.free = threading.Event(), threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.stuck.set()
        self.free.wait(30)


@pytest.mark.timed
def test_what_cannot_be_written_in_time_is_dropped_counted_and_told(tmp_path: Path):
    file, disk = tmp_path / "audit.log", Stuck()
    log = AuditLog(str(file), most=3)
    logging.getLogger(LOGGER).addHandler(disk)
    try:
        log.put("call.ended", {"number": 0})
        assert disk.stuck.wait(5)
        began = time.monotonic()
        for number in range(1, 10):
            log.put("call.ended", {"number": number})
        assert time.monotonic() - began < allowed(1)
        assert log.dropped == 6
    finally:
        disk.free.set()
        log.close(5)
        logging.getLogger(LOGGER).removeHandler(disk)

    *written, told = lines(file)
    assert [each["number"] for each in written] == [0, 1, 2, 3]
    assert (told["event"], told["count"]) == ("audit.dropped", 6)


@pytest.mark.timed
def test_closing_does_not_wait_for_a_disk_that_hangs(tmp_path: Path):
    disk = Stuck()
    logging.getLogger(LOGGER).addHandler(disk)
    log = AuditLog(str(tmp_path / "audit.log"))
    try:
        log.put("call.ended", {})
        assert disk.stuck.wait(5)
        began = time.monotonic()
        log.close(0.05)
        assert time.monotonic() - began < allowed(2)
    finally:
        disk.free.set()
        log.close(5)
        logging.getLogger(LOGGER).removeHandler(disk)


def test_a_file_that_cannot_be_written_is_a_mistake_at_once(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be written"):
        AuditLog(str(tmp_path / "no" / "audit.log"))


def test_standard_output(capsys: pytest.CaptureFixture[str]):
    log = AuditLog("-")
    log.put("call.ended", {"caller": None})
    log.close()

    assert json.loads(capsys.readouterr().out)["event"] == "call.ended"


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0af7651916cd43dd8448eb211c80319c"),
        ("rubbish", None), ("a-b\n-c-d", None), (None, None), (7, None), ("-" * 500, None),
    ],
)  # fmt: skip
def test_a_trace_is_named_by_its_id(said: object, found: str | None):
    assert trace_id(said) == found
