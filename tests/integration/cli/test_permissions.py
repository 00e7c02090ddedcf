"""What `longreach subject` prints is what the broker has to be told, and enough."""

from __future__ import annotations

import json
import signal

from tests.support.broker import Broker
from tests.support.commands import Desk


def _user(name: str, grants: dict[str, list[str]]) -> str:
    publish, subscribe = (json.dumps(grants[verb]) for verb in ("publish", "subscribe"))
    return (
        f"{{ user: {name}, password: pw, permissions: "
        f"{{ publish: {{ allow: {publish} }}, subscribe: {{ allow: {subscribe} }} }} }}"
    )


def test_a_broker_with_the_printed_permissions_carries_that_tool_and_no_other(desk: Desk):
    words = ("--region", "eu", "--as", "alice", "--identity", "n1", "--json")
    grants = json.loads(desk.longreach("subject", "docs.locate", *words).stdout)
    users = f"{_user('alice', grants['caller'])}, {_user('n1', grants['node'])}"
    desk.write("pw", "pw\n")
    with Broker(f"authorization {{ users: [{users}] }}") as broker:
        here = ("--region", "eu", "--nats", broker.url, "--password-file", "pw")
        node = desk.node("app:docs", "--identity", "n1", "--user", "n1", "--log-level", "debug", *here)
        node.until("try")
        alice = (*here, "--as", "alice", "--user", "alice", "--residency", "eu")

        granted = desk.longreach("call", "docs.locate", "zip=1", *alice)
        refused = desk.longreach("call", "docs.fail", *alice)
        forged = desk.longreach("call", "docs.locate", "zip=1", *alice, "--as", "bob")

        assert (granted.returncode, granted.stdout, granted.stderr) == (0, "zip '1'\n", "")
        assert (refused.returncode, refused.stdout) == (4, "")
        assert "longreach subject docs.fail" in refused.stderr
        assert forged.returncode != 0
        node.signal(signal.SIGTERM)
        assert node.ended() == 0
        assert "permission.denied" not in node.said
        assert 'Violation - User "n1"' not in broker.log
