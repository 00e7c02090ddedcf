from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from longreach.actor.states import EphemeralKeys
from longreach.errors import ConfigError
from longreach.node.keys import ConfiguredKeys, UserKeys, key_source
from longreach.node.settings import NodeSettings
from longreach.policy.sealing import Key, key_line
from longreach.transport.userkeys import user_key_file

OLD, NEW = Key("old", bytes(32)), Key("new", bytes([1] * 32))


def ids(source: ConfiguredKeys | UserKeys) -> list[str]:
    return [key.id for key in source.ring(sealing=False).keys]


def write(path: Path, *keys: Key) -> None:
    path.write_text("# a comment\n" + "".join(f"{key_line(key)}  # {key.id}\n" for key in keys))


def test_keys_come_from_the_file_first_then_from_the_settings(tmp_path: Path):
    file = tmp_path / "keys"
    write(file, NEW)
    assert ids(ConfiguredKeys(file, (key_line(OLD),))) == ["new", "old"]
    assert ids(ConfiguredKeys(file, (key_line(NEW),))) == ["new"]
    assert ids(ConfiguredKeys(None, (f"{key_line(NEW)}\n{key_line(OLD)}",))) == ["new", "old"]


def test_a_file_that_changes_is_read_again(tmp_path: Path):
    file = tmp_path / "keys"
    write(file, OLD)
    source = ConfiguredKeys(file)
    write(file, NEW, OLD)
    assert ids(source) == ["new", "old"]
    replacement = tmp_path / "other"
    write(replacement, NEW)
    replacement.replace(file)
    assert ids(source) == ["new"]


@pytest.mark.parametrize("damage", ["gone", "empty", "malformed", "binary"])
def test_a_damaged_file_leaves_the_keys_as_they_were_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
):
    file = tmp_path / "keys"
    write(file, OLD)
    source = ConfiguredKeys(file)
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "malformed": b"secret:of mine\n", "binary": b"\xff\xfe"}[damage])
    assert ids(source) == ids(source) == ["old"]
    told = [record for record in caplog.records if record.getMessage() == "state_keys.unreadable"]
    assert len(told) == 1
    assert "of mine" not in str(vars(told[0]))
    write(file, NEW)
    assert ids(source) == ["new"]


def test_a_file_that_is_not_there_is_told_at_once(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"the key file .*/keys cannot be read: No such file"):
        ConfiguredKeys(tmp_path / "keys")


def test_the_users_file_is_private_made_on_first_use_and_shared(tmp_path: Path):
    folder = tmp_path / "run"
    one, two = UserKeys(folder), UserKeys(folder)
    assert not folder.exists()
    assert one.ring(sealing=True) == two.ring(sealing=False)
    assert [path.name for path in folder.iterdir()] == ["state.keys"]
    assert stat.S_IMODE((folder / "state.keys").stat().st_mode) == 0o600


def test_of_many_that_come_at_once_one_makes_the_file(tmp_path: Path):
    made: list[str] = []
    start = threading.Barrier(8)

    def make() -> str:
        start.wait(5)
        return key_line(Key(f"k{threading.get_ident()}", os.urandom(32)))

    def come() -> None:
        made.append(user_key_file(make, tmp_path / "run").read_text())

    (tmp_path / "run").mkdir(mode=0o700)
    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 8
    assert len(set(made)) == 1
    assert len(list((tmp_path / "run").iterdir())) == 1


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path):
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="open to others"):
        UserKeys(folder).ring(sealing=True)


@pytest.mark.parametrize("configured", [False, True])
def test_a_key_that_ends_with_its_process_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, configured: bool
):
    source: EphemeralKeys | ConfiguredKeys = EphemeralKeys()
    if configured:  # what a supervisor gives to its workers
        source = ConfiguredKeys(None, (key_line(source.ring(sealing=False).keys[0]),))
    source.ring(sealing=False)
    assert not caplog.records
    source.ring(sealing=True)
    source.ring(sealing=True)
    assert [record.getMessage() for record in caplog.records] == ["state.key_is_ephemeral"]


def test_where_keys_come_from(tmp_path: Path):
    write(tmp_path / "keys", OLD)
    file = NodeSettings(state_keys_file=str(tmp_path / "keys"))
    assert isinstance(key_source(file, embedded=True), ConfiguredKeys)
    assert isinstance(key_source(NodeSettings(state_keys=(key_line(OLD),)), embedded=False), ConfiguredKeys)
    assert isinstance(key_source(NodeSettings(), embedded=True), UserKeys)
    assert isinstance(key_source(NodeSettings(), embedded=False), EphemeralKeys)


def test_settings_show_no_keys():
    shown = repr(NodeSettings(region="eu", state_keys=(key_line(OLD),)))
    assert "region='eu'" in shown
    assert "state_keys=***" in shown
    assert "AAAA" not in shown
