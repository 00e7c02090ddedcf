from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from longreach.cli.subject import Names, caller_grants, node_grants, request_subject

BINDING = Path(__file__).resolve().parents[3] / "docs" / "binding.md"


def test_the_subject_is_that_of_the_binding(longreach: Callable[..., Result]):
    page = longreach("subject", "docs.getDocument", "--region", "eu").stdout

    assert page.splitlines()[1].strip() == "lr.v1.default.eu.req.docs._._._.tools-call.get=44ocument"
    assert page.splitlines()[1].strip() in BINDING.read_text()


@pytest.mark.parametrize(("version", "token"), [(None, "_"), ("2", "v2"), ("v2", "v2"), ("2.1.0", "v2")])
def test_versions_are_targets(version: str | None, token: str):
    subject = request_subject(Names("default", "eu", "docs", "get", "Alice"), version)

    assert subject == f"lr.v1.default.eu.req.docs.{token}._.=41lice.tools-call.get"


def test_grants_are_those_of_the_binding():
    """docs/binding.md M10.1, under its prefix and names."""
    caller = caller_grants(Names("acme", "eu", "docs", None, "alice"))
    node = node_grants(Names("acme", "eu", "docs", None, None), "n1")
    prefix = "lr.v1.acme.eu."

    assert [text.removeprefix(prefix) for text in caller.publish] == [
        "req.docs.*._.alice.>", "all.docs._.alice.*", "node.*.*._.alice.*", "who._.alice",
    ]  # fmt: skip
    assert [text.removeprefix(prefix) for text in caller.subscribe] == [
        "rep._.alice.>", "adv.docs.*.*", "evt.docs.>",
    ]  # fmt: skip
    assert [text.removeprefix(prefix) for text in node.publish] == ["rep.>", "adv.docs.n1.*", "evt.docs.>"]
    assert [text.removeprefix(prefix) for text in node.subscribe] == [
        "req.docs.> docs", "all.docs.>", "node.n1.>", "ops.n1.>", "who.*.*", "adv.docs.>",
        "lr.v1.acme._.who.*.*",
    ]  # fmt: skip


def test_one_tool_can_be_granted():
    grants = caller_grants(Names("acme", "eu", "docs", "echo", "alice"))

    assert grants.publish[0] == "lr.v1.acme.eu.req.docs.*._.alice.tools-call.echo"


def test_json_has_it_all(longreach: Callable[..., Result]):
    about = json.loads(longreach("subject", "docs", "--as", "alice", "--identity", "n1", "--json").stdout)

    assert about["request"] == "lr.v1.default.local.req.docs._._.alice.>"
    assert "lr.v1.default.local.ops.n1.>" in about["node"]["subscribe"]


def test_an_empty_name_is_refused(longreach: Callable[..., Result]):
    assert longreach("subject", "").exit_code == 2
