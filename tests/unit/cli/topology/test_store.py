"""The folder of a topology: what is kept, what is told, and that nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from longreach.cli.topology import store
from longreach.errors import ConfigError

TEXT = """\
[regions.eu]
[brokers.b1]
at = "eu"
host = "127.0.0.1"
listen = "127.0.0.1"
[servers.docs]
nodes = ["n1"]
[nodes.n1]
at = "eu"
[callers.alice]
at = "eu"
may = ["docs"]
"""
BOB = '[callers.bob]\nat = "eu"\nmay = ["docs"]\n'
SECOND = '[brokers.b2]\nat = "eu"\nhost = "127.0.0.1"\nlisten = "127.0.0.1"\nport = 1\ncluster_port = 2\n'
SECOND += "gateway_port = 3\nleaf_port = 4\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deployed"


def write(text: str, folder: Path) -> store.Plan:
    source = folder.parent / "topology.toml"
    source.write_text(text)
    made = store.plan(store.load(source), folder)
    store.write(made, folder)
    return made


def test_who_comes_is_a_reload_and_a_broker_is_a_restart(folder: Path):
    first = write(TEXT, folder)
    assert (first.to_restart, first.to_reload, first.to_stop) == (("b1",), (), ())
    came = write(TEXT + BOB, folder)
    assert (came.to_restart, came.to_reload, came.to_stop) == ((), ("b1",), ())
    grown = write(TEXT + BOB + SECOND, folder)
    assert (grown.to_restart, grown.to_reload, grown.to_stop) == (("b1", "b2"), (), ())
    shrunk = write(TEXT + BOB, folder)
    assert (shrunk.to_restart, shrunk.to_reload, shrunk.to_stop) == (("b1",), (), ("b2",))
    assert write(TEXT + BOB, folder).changes == ()


def test_who_comes_back_is_somebody_new(folder: Path):
    write(TEXT + BOB, folder)
    seed = (folder / "callers" / "bob" / "user.nk").read_text()
    alice = (folder / "callers" / "alice" / "user.nk").read_text()
    gone = write(TEXT, folder)
    assert {change.path for change in gone.changes if change.kind == "gone"} == {
        "callers/bob/longreach.toml",
        "callers/bob/user.nk",
        "keys/callers/bob.nk",
    }
    assert not (folder / "keys" / "callers" / "bob.nk").exists()
    write(TEXT + BOB, folder)
    assert (folder / "callers" / "bob" / "user.nk").read_text() != seed
    assert (folder / "callers" / "alice" / "user.nk").read_text() == alice


def test_what_others_put_there_stays(folder: Path):
    write(TEXT + BOB, folder)
    others = [
        folder / "brokers" / "b1" / "log",
        folder / "keys" / "notes",
        folder / "callers" / "bob" / "mine",
    ]
    for path in others:
        path.write_text("mine")
    write(TEXT, folder)
    assert [path.read_text() for path in others] == ["mine"] * 3


def test_paths_are_those_of_where_it_runs(folder: Path):
    made = store.load(_file(folder, '[tls]\nmode = "test"\n' + TEXT))
    config = store.plan(made, folder, root="/etc/nats").files["brokers/b1/nats.conf"].text
    assert '"cert_file": "/etc/nats/brokers/b1/cert.pem"' in config
    assert str(folder) not in config


def test_a_folder_that_cannot_be_written_is_told(folder: Path):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file")
    with pytest.raises(ConfigError, match="deployed cannot be "):
        write(TEXT, folder)


def test_there_is_nothing_to_renew_without_jwts(folder: Path):
    made = store.load(_file(folder, TEXT))
    with pytest.raises(ConfigError, match="only JWTs end"):
        store.renew(made, folder, "callers/alice", 1)


def _file(folder: Path, text: str) -> Path:
    source = folder.parent / "topology.toml"
    source.write_text(text)
    return source
