from __future__ import annotations

import pytest

from longreach.actor.server import Server
from longreach.cli.banner import Serving, banner, describe_node
from longreach.cli.reach import reach_flags
from longreach.cli.settings import resolve
from longreach.node.node import Node

SERVING = Serving(
    "n.1", "eu", "nats://h:4222", False, [("docs 1.0.0", ["a", "b"], "")], "longreach call docs.a"
)


def test_the_banner_says_where_and_how():
    assert banner(SERVING).count("\n") == 3
    for word in ("n.1", "region eu", "nats://h:4222", "docs 1.0.0: a, b", "longreach call docs.a"):
        assert word in banner(SERVING)
    assert "embedded" not in banner(SERVING)


def test_workers_are_counted():
    assert "n.1 and 2 more serve in" in banner(SERVING, 3)


def test_many_tools_are_not_all_listed():
    serving = Serving(
        "n.1", "eu", "u", True, [("s 1", [f"t{i}" for i in range(20)], ""), ("e 1", [], "")], None
    )

    assert "t7, and 12 more" in banner(serving)
    assert "e 1: no tools yet" in banner(serving)


def test_what_is_no_tool_is_counted():
    greetings = Server("greetings")

    @greetings.prompt
    def hello() -> str:
        return "hello"

    @greetings.resource("greetings://all")
    def everything() -> str:
        return "hello"

    serving = describe_node(Node(greetings), [])

    assert "greetings 0.1.0: 1 prompt, 1 resource" in banner(serving)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, []),
        ({"token": "secret"}, []),
        ({"namespace": "my ns"}, ["--namespace", "'my ns'"]),
        ({"nats": ("nats://u:pw@a:1", "b")}, ["--nats", "nats://a:1,nats://b:4222"]),
        ({"nats": "a", "token": "secret"}, ["--nats", "nats://a:4222", "--token", '"$LONGREACH_TOKEN"']),
        ({"nats": "a", "tls_handshake_first": True}, ["--nats", "nats://a:4222", "--tls-handshake-first"]),
        ({"nats": "a", "user": "me", "ping_interval": "1.5"},
         ["--nats", "nats://a:4222", "--ping-interval", "1.5", "--user", "me"]),
    ],
)  # fmt: skip
def test_others_reach_the_node_by_these_flags(flags: dict[str, object], words: list[str]):
    assert reach_flags(resolve("node", flags, environment={})) == words


def test_secrets_are_never_shown():
    environment = {
        "LONGREACH_PASSWORD": "pw",
        "LONGREACH_NKEY_SEED": "SUA",
        "LONGREACH_NATS": "nats://u:pw@h",
    }

    words = " ".join(reach_flags(resolve("node", {}, environment=environment)))

    assert "pw" not in words
    assert "SUA" not in words
