from __future__ import annotations

import pytest

from longreach.cli.progress import ProgressLine


def test_nothing_is_shown_where_nobody_is_looking(capsys: pytest.CaptureFixture[str]):
    with ProgressLine("docs.get") as line:
        line.update(1, 2, "half way")

    assert capsys.readouterr() == ("", "")


def test_a_bar_is_shown_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with ProgressLine("docs.get", enabled=True) as line:
        line.update(0, None, None)
        line.update(1, 2, "half\nway [bold]")

    out, err = capsys.readouterr()
    assert out == ""
    assert "half way [bold]" in err


def test_a_call_without_progress_shows_none(capsys: pytest.CaptureFixture[str]):
    with ProgressLine("docs.get", enabled=True):
        pass

    assert capsys.readouterr() == ("", "")
