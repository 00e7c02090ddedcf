from __future__ import annotations

import json
import logging

import pytest
import uvloop

from longreach.cli.logs import log_to_stderr
from longreach.cli.loop import quiet_logs, run_loop
from longreach.observe import event

_log = logging.getLogger("longreach.some.where")


def test_a_nodes_events_are_lines_of_json(capsys: pytest.CaptureFixture[str]):
    log_to_stderr("json", "info")
    event(_log, "node.serving", node="n.1")
    event(_log, "node.hidden", logging.DEBUG)

    out, err = capsys.readouterr()
    assert out == ""
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["node.serving"]


def test_what_user_code_logs_is_written_too(capsys: pytest.CaptureFixture[str]):
    log_to_stderr("text", "warning")
    logging.getLogger("app").warning("careful")

    assert capsys.readouterr().err.endswith("warning careful\n")


def test_commands_are_quiet(capsys: pytest.CaptureFixture[str]):
    quiet_logs()
    event(_log, "link.down", logging.ERROR)

    assert capsys.readouterr() == ("", "")


def test_debug_shows_all_events(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LONGREACH_DEBUG", "1")
    quiet_logs()
    event(_log, "who.unsent", logging.DEBUG)

    assert "who.unsent" in capsys.readouterr().err


def test_commands_run_on_uvloop():
    async def which() -> type:
        import asyncio

        return type(asyncio.get_running_loop())

    assert run_loop(which()) is uvloop.Loop
