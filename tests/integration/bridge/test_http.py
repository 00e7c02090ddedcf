"""`longreach bridge --url` with servers of either era, over Streamable HTTP."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.bridge.conftest import FOREIGN
from tests.support.broker import free_port
from tests.support.commands import Desk, RunningNode

import longreach
from longreach import NatsOptions
from longreach.transport.embedded import find_running

EITHER = pytest.mark.parametrize("kind", ["http", "http-legacy"])


class Site:
    """A foreign server at a URL, started and killed at will."""

    def __init__(self, kind: str, **environment: str) -> None:
        self.kind = kind
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, desk: Desk) -> None:
        self.process = subprocess.Popen(
            [*FOREIGN, self.kind, str(self.port)], env={**desk.environment, **self._environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        give_up_at = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < give_up_at
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)


@pytest.fixture
def sites() -> Iterator[list[Site]]:
    made: list[Site] = []
    yield made
    for site in made:
        site.kill()


def bridged(desk: Desk, site: Site, *words: str, **environment: str) -> RunningNode:
    node = desk.bridge("--name", "site", "--url", site.url, *words, **{"LONGREACH_ENV": "", **environment})
    node.until("  try")
    return node


def answer(desk: Desk, *words: str) -> str:
    return desk.longreach("call", *words).stdout.strip()


@EITHER
def test_a_server_of_either_era_at_a_url(desk: Desk, sites: list[Site], kind: str) -> None:
    site = Site(kind)
    sites.append(site)
    site.start(desk)

    node = bridged(desk, site)

    assert f"era={'modern' if kind == 'http' else 'legacy'}" in node.said
    assert answer(desk, "site.add", "a=1", "b=2") == "3"
    assert answer(desk, "site.slow", "seconds=0.5") == "done"


@EITHER
def test_it_comes_back_when_the_server_does(desk: Desk, sites: list[Site], kind: str) -> None:
    site = Site(kind)
    sites.append(site)
    site.start(desk)
    node = bridged(desk, site)
    before = answer(desk, "site.pid")

    site.kill()
    assert desk.longreach("call", "site.add", "a=1", "b=2", "--timeout", "2").returncode in (3, 4)
    node.until("foreign.lost")
    site.start(desk)
    node.until("foreign.back")

    assert answer(desk, "site.pid") not in ("", before)


def test_the_token_is_read_from_a_file_and_never_shown(desk: Desk, sites: list[Site], tmp_path: Path) -> None:
    site = Site("http", FOREIGN_TOKEN="hunter2-hunter2")
    sites.append(site)
    site.start(desk)
    token = tmp_path / "token"
    token.write_text("wrong\n")

    refused = desk.bridge("--url", site.url, "--bearer-token-file", str(token), LONGREACH_ENV="")
    assert refused.ended(60) == 2
    assert "does not accept the credentials" in refused.said
    token.write_text("hunter2-hunter2\n")
    node = bridged(desk, site, "--bearer-token-file", str(token), LONGREACH_DEBUG="1")

    assert answer(desk, "site.add", "a=1", "b=2") == "3"
    assert "hunter2-hunter2" not in node.said
    assert "wrong" not in refused.said


@EITHER
async def test_what_is_asked_in_the_middle_progress_and_changes_pass(
    desk: Desk, sites: list[Site], kind: str
) -> None:
    site = Site(kind)
    sites.append(site)
    await asyncio.to_thread(site.start, desk)
    node = await asyncio.to_thread(bridged, desk, site)
    progress: list[float] = []

    async with longreach.connect(connection=_broker(desk), on_elicit=lambda _: {"name": "joe"}) as mesh:
        async with asyncio.timeout(20):
            asking = mesh.options(on_progress=lambda *words: progress.append(words[0]))
            assert (await asking.call("site.slow", {"seconds": 0.1})).content[0].text == "done"
            if kind == "http-legacy":  # modern servers cannot ask so
                results = await asyncio.gather(*(mesh.call("site.greet", {}) for _ in range(3)))
                assert [each.content[0].text for each in results] == ["accept joe"] * 3
            await mesh.call("site.grow", {})
            while "added" not in [tool.name for tool in await mesh.tools()]:
                await asyncio.sleep(0.05)
    assert progress == [1.0]
    node.signal(signal.SIGTERM)
    assert node.ended() == 0


def _broker(desk: Desk) -> NatsOptions:
    """The desk's embedded broker."""
    found = find_running(Path(desk.environment["LONGREACH_RUNTIME_DIR"]))
    assert found is not None
    return NatsOptions(urls=(found.url,), token=found.token)
