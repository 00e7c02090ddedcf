"""`longreach bridge -- COMMAND` with processes that speak MCP of either era, called from other processes."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil
import pytest
from tests.integration.bridge.conftest import FOREIGN
from tests.support.broker import Broker
from tests.support.commands import Desk, RunningNode, gone

EITHER = pytest.mark.parametrize("kind", ["stdio", "legacy"])


def call(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    return desk.longreach("call", *words)


def family(node: RunningNode) -> list[psutil.Process]:
    """What the bridge has started: the guard, the server, and what that has started."""
    return psutil.Process(node.pid).children(recursive=True)


def started(desk: Desk, kind: str, *words: str, **environment: str) -> RunningNode:
    node = desk.bridge("--name", "foreign", *words, "--", *FOREIGN, kind, **environment)
    node.until("  try")
    return node


@EITHER
def test_a_server_of_either_era_is_called_from_another_process(desk: Desk, kind: str) -> None:
    node = started(desk, kind)

    assert f"era={'modern' if kind == 'stdio' else 'legacy'}" in node.said
    assert call(desk, "foreign.add", "a=1", "b=2").stdout.strip() == "3"
    listed = desk.longreach("ls", "tools").stdout
    assert "foreign.slow" in listed
    assert "is starting" in node.said, "what it says on standard error is in the log"


def test_a_fastmcp_server_is_called_from_another_process(desk: Desk) -> None:
    node = desk.bridge("--", *FOREIGN, "fastmcp")
    node.until("  try")

    result = json.loads(call(desk, "fast.add", "a=1", "b=2", "--json").stdout)
    assert result["structuredContent"] == {"result": 3}


@EITHER
def test_killed_in_mid_run_it_comes_back_and_its_call_may_have_run(
    desk: Desk, kind: str, tmp_path: Path
) -> None:
    node = started(desk, kind)
    mark = tmp_path / "mark"
    before = int(call(desk, "foreign.pid").stdout)
    ended: list[subprocess.CompletedProcess[str]] = []
    calling = threading.Thread(
        target=lambda: ended.append(call(desk, "foreign.slow", "seconds=30", f"mark={mark}"))
    )
    calling.start()
    _until(mark.exists)

    psutil.Process(before).kill()
    calling.join(20)

    assert ended, "the call ends when its process is gone"
    assert ended[0].returncode == 5, ended[0]
    node.until("foreign.back")
    assert int(call(desk, "foreign.pid").stdout) != before
    assert mark.read_text() == "ran\n"


def test_nothing_is_left_of_it_when_the_bridge_is_killed(desk: Desk) -> None:
    node = started(desk, "stdio")
    server = family(node)
    assert len(server) >= 3

    node.process.kill()

    assert gone(server) == []


def test_the_first_signal_drains_and_ends_it(desk: Desk, tmp_path: Path) -> None:
    node = started(desk, "stdio")
    server = family(node)
    mark = tmp_path / "mark"
    ended: list[subprocess.CompletedProcess[str]] = []
    calling = threading.Thread(
        target=lambda: ended.append(call(desk, "foreign.slow", "seconds=2", f"mark={mark}"))
    )
    calling.start()
    _until(mark.exists)

    node.signal(signal.SIGTERM)

    assert node.ended() == 0
    calling.join(20)
    assert ended[0].stdout.strip() == "done", ended[0]
    assert gone(server) == []


def test_it_gets_what_it_is_given_and_nothing_of_it_is_shown(desk: Desk, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("FOREIGN_KEY=hunter2-hunter2\n")
    node = started(
        desk, "stdio", "--env-file", str(secrets), LONGREACH_TOKEN="nats-secret", LONGREACH_DEBUG="1"
    )

    assert call(desk, "foreign.secret").stdout.strip() == "hunter2-hunter2 None"
    shown = [word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ()]
    assert not any("hunter2-hunter2" in word for word in shown)
    assert "hunter2-hunter2" not in node.said
    assert "nats-secret" not in node.said


def test_a_second_one_is_refused_unless_both_are_replicas(desk: Desk) -> None:
    first = started(desk, "stdio")

    second = desk.bridge("--name", "foreign", "--", *FOREIGN, "stdio")
    assert second.ended() == 4
    assert "--stateless" in second.said
    third = desk.bridge("--name", "foreign", "--stateless", "--", *FOREIGN, "stdio")
    assert third.ended() == 4, "the first one said that it is no replica"

    first.signal(signal.SIGTERM)
    assert first.ended() == 0
    for _ in range(2):
        started(desk, "stdio", "--stateless")
    pids = {call(desk, "foreign.pid").stdout for _ in range(12)}
    assert len(pids) == 2


@pytest.mark.parametrize(
    ("patience", "command", "code", "words"),
    [
        ("30", ("no-such-program-here",), 2, "there is no program 'no-such-program-here'"),
        ("30", ("sh", "-c", "echo broken >&2; exit 3"), 1, "exit code 3; the last it said: broken"),
        ("0.2", ("sh", "-c", "cat >/dev/null"), 1, "did not answer"),
    ],
)
def test_what_cannot_be_bridged_is_said(
    desk: Desk, patience: str, command: tuple[str, ...], code: int, words: str
) -> None:
    node = desk.bridge("--start-timeout", patience, "--", *command)

    assert node.ended(60) == code
    assert words in node.said.splitlines()[-1]
    assert "Traceback" not in node.said


def test_without_a_server_it_says_how_it_is_used(desk: Desk) -> None:
    said = desk.longreach("bridge")

    assert said.returncode == 2
    assert "longreach bridge -- COMMAND" in said.stderr


def _until(condition: object) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_bridge_works_and_stays_alone_within_a_nodes_permissions(desk: Desk) -> None:
    """M10.1, M8.10"""
    words = ("--region", "eu", "--as", "alice", "--json")
    grants = [
        json.loads(desk.longreach("subject", "foreign", *words, "--identity", name).stdout)
        for name in ("b1", "b2")
    ]
    users = [
        (name, grant)
        for name, grant in (
            ("alice", grants[0]["caller"]),
            ("b1", grants[0]["node"]),
            ("b2", grants[1]["node"]),
        )
    ]
    config = ", ".join(
        f"{{ user: {name}, password: pw, permissions: {{ "
        f"publish: {{ allow: {json.dumps(grant['publish'])} }}, "
        f"subscribe: {{ allow: {json.dumps(grant['subscribe'])} }} }} }}"
        for name, grant in users
    )
    desk.write("pw", "pw\n")
    with Broker(f"authorization {{ users: [{config}] }}") as broker:
        here = ("--region", "eu", "--nats", broker.url, "--password-file", "pw", "--user")
        node = desk.bridge("--name", "foreign", *here, "b1", "--identity", "b1", "--", *FOREIGN, "stdio")
        node.until("  try")
        called = call(desk, "foreign.add", "a=1", "b=2", *here, "alice", "--as", "alice", "--residency", "eu")
        second = desk.bridge("--name", "foreign", *here, "b2", "--identity", "b2", "--", *FOREIGN, "stdio")

        assert (called.returncode, called.stdout.strip()) == (0, "3")
        assert second.ended() != 0
        assert "foreign is up already on b1." in second.said
        node.signal(signal.SIGTERM)
        assert node.ended() == 0
        assert "iolation" not in broker.log
