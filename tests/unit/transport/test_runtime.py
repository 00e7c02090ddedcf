from __future__ import annotations

import stat
from pathlib import Path

import pytest

from longreach.errors import BrokerUnavailable, ConfigError
from longreach.transport import _runtime
from longreach.transport._runtime import BrokerState, RuntimeDir, write_private

STATE = BrokerState(
    url="nats://127.0.0.1:1",
    port=1,
    token="t0psecret",
    server_name="n",
    broker_pid=2,
    owner_pid=3,
    started_ms=4,
)


def test_what_is_written_is_read(tmp_path: Path):
    folder = RuntimeDir(tmp_path / "a" / "b")
    assert folder.read() is None
    folder.write(STATE)
    assert folder.read() == STATE
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.path.iterdir()} == {0o600}


def test_the_state_does_not_show_its_token():
    assert "t0psecret" not in repr(STATE)


def test_the_lock_is_one_at_a_time_and_its_wait_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_runtime, "_LOCK_TIMEOUT_S", 0.02)
    with RuntimeDir(tmp_path).locked(), pytest.raises(BrokerUnavailable), RuntimeDir(tmp_path).locked():
        raise AssertionError("two hold the lock")
    with RuntimeDir(tmp_path).locked():
        pass


def test_a_link_to_elsewhere_is_not_followed(tmp_path: Path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError):
        RuntimeDir(tmp_path / "link")


def test_a_file_in_its_place_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError):
        RuntimeDir(tmp_path / "file")


def test_the_order_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LONGREACH_RUNTIME_DIR", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert RuntimeDir().path == tmp_path / "named"
    monkeypatch.delenv("LONGREACH_RUNTIME_DIR")
    assert RuntimeDir().path == tmp_path / "longreach"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert RuntimeDir().path.name.startswith("longreach-")
    assert RuntimeDir().path.parent == tmp_path


def test_a_replaced_file_is_private_though_the_old_one_was_not(tmp_path: Path):
    file = tmp_path / "x.conf"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, b"new")
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = RuntimeDir(tmp_path)

    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(_runtime.os, "open", refuse)
    with pytest.raises(ConfigError, match=f"{tmp_path} cannot be written: Read-only.*LONGREACH_RUNTIME_DIR"):
        folder.write(STATE)
    with pytest.raises(ConfigError, match="cannot be written"), folder.locked():
        pass
