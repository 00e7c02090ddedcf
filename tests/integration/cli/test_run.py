"""`longreach run`: signals, drains, failures, settings, brokers."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest
from tests.support.broker import Broker, free_port
from tests.support.commands import Desk, RunningNode, gone
from tests.support.timing import allowed

_AT_ONCE_S = 8.0


def _slow_call(desk: Desk, seconds: float) -> subprocess.Popen[str]:
    """A call that is running at the node: its progress has come."""
    script = (
        "from longreach import sync\n"
        "with sync.connect() as mesh:\n"
        "    say = lambda *_: print('running', flush=True)\n"
        f"    print(mesh.call('docs.slow', {{'seconds': {seconds}}}, on_progress=say).text)\n"
    )
    call = desk.python(script)
    assert call.stdout is not None
    assert call.stdout.readline() == "running\n"
    return call


def _end(call: subprocess.Popen[str]) -> str:
    said, _ = call.communicate(timeout=40)
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains(desk: Desk, number: signal.Signals):
    node = desk.node("app:docs")
    node.until("try")
    family = node.family()
    call = _slow_call(desk, 1.0)

    node.signal(number)

    assert _end(call) == "done\n"
    assert node.ended() == 0
    assert gone(family) == []


def test_the_second_signal_stops_at_once(desk: Desk):
    node = desk.node("app:docs")
    node.until("try")
    family = node.family()
    call = _slow_call(desk, 300.0)

    node.signal(signal.SIGINT)
    node.until("node.draining")
    node.signal(signal.SIGINT)

    node.ended(_AT_ONCE_S)
    assert gone(family) == []
    call.kill()
    _end(call)


def test_drain_asks_a_node_to_end(desk: Desk):
    node = desk.node("app:docs", "--identity", "n1")
    node.until("try")
    staying = desk.node("app:docs", "--identity", "n2")
    staying.until("try")

    done = desk.longreach("drain", "n2")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("n2.")
    assert staying.ended(_AT_ONCE_S) == 0
    assert [shown["name"] for shown in json.loads(desk.longreach("ls", "nodes", "--json").stdout)] == [
        next(word for word in node.said.split() if word.startswith("n1."))
    ]


def test_a_server_that_cannot_start_ends_the_node(desk: Desk):
    desk.write(
        "broken.py",
        "from contextlib import asynccontextmanager\n"
        "from longreach import Server\n"
        "@asynccontextmanager\n"
        "async def lifespan(server):\n"
        "    raise RuntimeError('no database')\n"
        "    yield\n"
        "docs = Server('docs', lifespan=lifespan, intensity=1)\n"
        "@docs.tool\n"
        "async def hello() -> str:\n"
        "    return 'hello'\n",
    )
    node = desk.node("broken.py")

    assert node.ended() == 1
    assert "longreach: the node failed" in node.said
    assert "no database" in node.said


def test_what_user_code_raises_at_import_is_one_line(desk: Desk):
    desk.write("broken.py", "1 / 0\n")

    done = desk.longreach("run", "broken.py:docs")

    assert done.returncode == 2
    assert done.stderr.startswith("longreach: importing broken.py failed: ZeroDivisionError")
    assert done.stderr.count("\n") == 1


def test_json_logs_are_json_alone(desk: Desk):
    node = desk.node("app:docs", "--log-format", "json")
    node.until("node.serving")
    node.signal(signal.SIGTERM)
    assert node.ended() == 0

    events = [json.loads(line)["event"] for line in node.said.splitlines()]

    assert {"node.serving", "node.draining", "node.stopped"} <= set(events)


def test_the_toml_file_wins_over_the_environment_and_flags_over_both(desk: Desk):
    desk.write("longreach.toml", '[node]\nservers = ["app:docs"]\nregion = "toml"\nidentity = "toml"\n')

    node = desk.node("--region", "flag", LONGREACH_REGION="env", LONGREACH_IDENTITY="env",
                     LONGREACH_LABELS="from=env")  # fmt: skip
    node.until("try")

    (shown,) = json.loads(desk.longreach("ls", "nodes", "--json").stdout)
    assert (shown["region"], shown["name"].split(".")[0]) == ("flag", "toml")
    assert shown["labels"] == {"from": "env"}


def test_it_waits_for_a_broker_that_comes_later(desk: Desk):
    port = free_port()
    node = desk.node("app:docs", "--nats", f"nats://127.0.0.1:{port}")
    node.until("broker")  # it says that it waits

    with Broker(port=port) as broker:
        node.until("try")
        done = desk.longreach("call", "docs.locate", "zip=1", "--nats", broker.url)
        assert done.stdout == "zip '1'\n"
        node.signal(signal.SIGTERM)
        assert node.ended() == 0


def test_a_node_that_waits_for_a_broker_ends_at_a_signal(desk: Desk):
    node = desk.node("app:docs", "--nats", f"nats://127.0.0.1:{free_port()}")
    node.until("broker")

    node.signal(signal.SIGINT)

    assert node.ended(_AT_ONCE_S) == 0


@pytest.mark.parametrize("broker", ['authorization { token: "right" }'], indirect=True)
def test_credentials_are_used_and_wrong_ones_are_said_at_once(desk: Desk, broker: Broker):
    desk.write("token", "right\n")
    node = desk.node("app:docs", "--nats", broker.url, "--token-file", "token")
    said = node.until("try")

    wrong = desk.longreach("run", "app:docs", "--nats", broker.url, "--token", "wrong")
    call = desk.longreach("ls", "--nats", broker.url, "--token", "wrong")
    right = desk.longreach("call", "docs.locate", "zip=1", LONGREACH_NATS=broker.url, LONGREACH_TOKEN="right")

    assert "right" not in said
    assert (wrong.returncode, call.returncode, right.returncode) == (6, 6, 0)
    assert "Traceback" not in wrong.stderr + call.stderr
    line = next(line for line in said.splitlines() if line.split()[:1] == ["try"]).split(maxsplit=1)[1]
    assert desk.shell(line).returncode == 0


def test_a_node_of_the_same_version_and_other_content_is_warned_of(desk: Desk):
    desk.node("app:docs", "--identity", "first").until("try")
    desk.write("other.py", "from app import docs\n@docs.tool\nasync def more() -> str:\n    return ''\n")

    second = desk.node("other:docs", "--identity", "second")

    warning = second.until("group.differs").splitlines()[-1]
    assert "version=1.4.0" in warning
    assert "others=first." in warning


def test_a_node_among_its_like_is_not_warned(desk: Desk):
    desk.node("app:docs").until("try")
    second = desk.node("app:docs", "--identity", "second")
    second.until("try")
    desk.write("other.py", "from app import docs\n@docs.tool\nasync def more() -> str:\n    return ''\n")

    third = desk.node("other:docs", "--identity", "third")

    third.until("group.differs")
    warning = second.until("group.differs").splitlines()[-1]
    assert "others=third." in warning
    assert "," not in warning.partition("others=")[2].partition(" hint")[0]


def test_kill_9_of_the_node_that_owns_the_broker_leaves_nothing(desk: Desk):
    node = desk.node("app:docs")
    node.until("try")
    family = node.family()

    node.signal(signal.SIGKILL)

    assert len(family) > 1
    assert gone(family) == []


@pytest.mark.timed
def test_plain_nodes_of_one_user_find_one_broker(desk: Desk):
    first: RunningNode = desk.node("app:docs", "--identity", "a")
    first.until("try")
    second = desk.node("app:docs", "--identity", "b")
    second.until("try")

    began = time.monotonic()
    shown = json.loads(desk.longreach("ls", "nodes", "--json").stdout)

    assert [node["name"][0] for node in shown] == ["a", "b"]
    assert time.monotonic() - began < allowed(_AT_ONCE_S)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--claims-keys", "nothing/keys"), "nothing/keys"),
        (("--audit", "nothing/audit"), "nothing/audit cannot be written"),
        (("--state-keys", "nothing/keys"), "nothing/keys"),
        (("--limit-burst", "3"), "burst says how uneven"),
        (("--audit-arguments",), "--audit"),
    ],
)
def test_a_node_with_wrong_settings_does_not_wait_for_a_broker_first(
    desk: Desk, words: tuple[str, ...], said: str
):
    done = desk.longreach("run", "app:docs", "--nats", f"nats://127.0.0.1:{free_port()}", *words)

    assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_bridge_with_wrong_settings_does_not_look_for_a_broker_first(desk: Desk):
    nowhere = ("--nats", f"nats://127.0.0.1:{free_port()}")
    done = desk.longreach("bridge", "--name", "x", "--env", "NO_SUCH_VARIABLE", *nowhere, "--", "true")

    assert (done.returncode, "NO_SUCH_VARIABLE" in done.stderr) == (2, True), done.stderr
