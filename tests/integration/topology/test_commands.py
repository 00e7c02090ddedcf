"""`longreach topology`, and every generated settings file, as people use them."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.integration.topology.shapes import describe
from tests.support.commands import Desk, RunningNode
from tests.support.gateways import encode, headers_for, message
from tests.support.topologies import Deployment

from longreach.cli.topology import store

_ROOT = Path(__file__).resolve().parents[3]
BANK = _ROOT / "examples" / "bank" / "topology.toml"
PAGE = _ROOT / "docs" / "topology.md"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    paths = [str(_ROOT / "framework"), str(_ROOT / "services"), str(_ROOT)]
    desk.environment["PYTHONPATH"] = os.pathsep.join(paths)
    desk.write("app.py", "from tests.integration.topology.serving import docs\n")
    try:
        yield desk
    finally:
        desk.close()


@pytest.fixture(params=["nkeys", "jwt"])
def deployed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(describe("edge", request.param), tmp_path) as deployment:
        yield deployment


def test_the_settings_files_are_taken_as_they_are(desk: Desk, deployed: Deployment) -> None:
    def config(kind: str, key: str) -> tuple[str, str]:
        return ("--config", str(deployed.context(kind, key)))

    node = desk.node("app:docs", *config("nodes", "n-eu"))
    node.until("try")
    called = desk.longreach("call", "docs.echo", "text=hi", *config("callers", "far"))
    assert (called.returncode, called.stdout, called.stderr) == (0, "hi\n", "")
    refused = desk.longreach("call", "docs.slow", "seconds=1", *config("callers", "bob"))
    assert (refused.returncode, refused.stdout) == (4, "")
    forged = desk.longreach("call", "docs.echo", "text=hi", *config("callers", "alice"), "--as", "bob")
    assert forged.returncode != 0
    assert forged.stdout == ""
    listed = desk.longreach("ls", "nodes", "--json", *config("operators", "ops"))
    assert [found["name"].partition(".")[0] for found in json.loads(listed.stdout)] == ["n-eu"]
    _call_through_the_gateway(desk, deployed.context("gateways", "web"))
    drained = desk.longreach("drain", "n-eu", *config("operators", "ops"))
    assert drained.returncode == 0, drained.stderr
    assert node.ended() == 0
    assert "permission.denied" not in node.said


def _call_through_the_gateway(desk: Desk, config: Path) -> None:
    gateway = RunningNode(
        [sys.executable, "-m", "longreach.cli", "gateway", "--config", str(config)],
        desk.folder, desk.environment,
    )  # fmt: skip
    try:
        said = gateway.until("/readyz")
        url = next(word for word in said.split() if word.endswith("/mcp"))
        for body, wanted in (
            (message("tools/call", {"name": "docs__echo", "arguments": {"text": "through"}}), "through"),
            (message("tools/call", {"name": "docs__slow", "arguments": {"seconds": 0.4}}), "web."),
            (message("resources/read", {"uri": "longreach://docs/docs://one"}), "read by"),
        ):
            answer = httpx2.post(url, content=encode(body), headers=headers_for(body), timeout=20)
            assert answer.status_code == 200, answer.text
            assert wanted in answer.text
        begun = httpx2.post(
            url, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _INITIALIZE},
            headers={"accept": "application/json, text/event-stream"}, timeout=20,
        )  # fmt: skip
        assert begun.status_code == 200, begun.text
        assert begun.headers["mcp-session-id"].startswith("web.eu.")
        assert "permission.denied" not in gateway.said
    finally:
        gateway.signal(signal.SIGTERM)
        gateway.close()


def test_sessions_pass_between_gateways_of_two_regions(desk: Desk, tmp_path: Path) -> None:
    other = """
[gateways.other]
at = "eu"
may = ["docs"]
settings = { port = 0 }
"""
    with Deployment(describe("regions", extra=other), tmp_path) as deployed:
        node = desk.node("app:docs", "--config", str(deployed.context("nodes", "n-eu")))
        node.until("try")
        gateways = [
            RunningNode(
                [sys.executable, "-m", "longreach.cli", "gateway", "--config",
                 str(deployed.context("gateways", name))], desk.folder, desk.environment,
            )
            for name in ("web", "other")
        ]  # fmt: skip
        try:
            urls = [
                next(word for word in gateway.until("/readyz").split() if word.endswith("/mcp"))
                for gateway in gateways
            ]
            headers = {"accept": "application/json, text/event-stream"}
            for here, there in (urls, reversed(urls)):
                begun = httpx2.post(
                    here, json=_legacy("initialize", _INITIALIZE), headers=headers, timeout=20
                )
                session = {**headers, "mcp-session-id": begun.headers["mcp-session-id"]}
                called = _legacy("tools/call", {"name": "docs__echo", "arguments": {"text": "passed on"}})
                answer = httpx2.post(there, json=called, headers=session, timeout=20)
                assert (answer.status_code, "passed on" in answer.text) == (200, True), answer.text
            assert "permission.denied" not in gateways[0].said + gateways[1].said
        finally:
            for gateway in gateways:
                gateway.close()


def _legacy(method: str, params: dict[str, object]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


_INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "old", "version": "1"},
}


def test_the_example_of_the_bank_is_right_and_its_files_are_its_owners(desk: Desk) -> None:
    checked = desk.longreach("topology", "check", str(BANK))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "frankfurt-3" in checked.stdout
    written = desk.longreach("topology", "write", str(BANK), "--out", "bank")
    assert written.returncode == 0, written.stderr
    assert "restart one after the other: azure-eu-1, frankfurt-1" in written.stdout
    public = {"longreach.toml", "ca.pem", "cert.pem"}
    for path in (desk.folder / "bank").rglob("*"):
        readable = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        assert not readable or path.name in public, path
    assert "nothing changes" in desk.longreach("topology", "diff", str(BANK), "--out", "bank").stdout


def test_diff_tells_what_changes_and_writes_nothing(desk: Desk) -> None:
    text = BANK.read_text()
    desk.write("topology.toml", text)
    assert desk.longreach("topology", "write", "--out", "bank").returncode == 0
    before = {path: path.read_bytes() for path in (desk.folder / "bank").rglob("*") if path.is_file()}
    desk.write("topology.toml", text.replace('may = ["models"]', 'may = ["models.price"]'))
    told = desk.longreach("topology", "diff", "--out", "bank").stdout
    assert "changed  brokers/frankfurt-1/accounts.conf\n" in told
    assert "reload (SIGHUP): frankfurt-1, frankfurt-2, frankfurt-3, gcp-1\n" not in told  # gcp learns nothing
    assert "reload (SIGHUP): frankfurt-1, frankfurt-2, frankfurt-3\n" in told
    assert "restart" not in told
    assert before == {path: path.read_bytes() for path in (desk.folder / "bank").rglob("*") if path.is_file()}


def test_a_slip_is_told_with_its_line(desk: Desk) -> None:
    desk.write("topology.toml", BANK.read_text().replace('may = ["models"]', 'may = ["modles"]'))
    refused = desk.longreach("topology", "check")
    assert refused.returncode == 2
    line = 1 + BANK.read_text().splitlines().index('may = ["models"]')
    assert refused.stderr == (
        f"longreach: topology.toml:{line}: callers.analyst.may: 'modles' is no server of namespace "
        "'default'; did you mean models?\n"
    )


def test_the_page_is_true(desk: Desk) -> None:
    """docs/topology.md: its description is right, its commands say what they are shown to say."""
    page = PAGE.read_text()
    desk.write("topology.toml", page.partition("```toml\n")[2].partition("```")[0])
    shown = page.partition("```console\n")[2].partition("```")[0]
    said = ""
    for line in shown.splitlines():
        if line.startswith("$ "):
            done = desk.shell(
                line.removeprefix("$ ").replace("longreach", f"{sys.executable} -m longreach.cli")
            )
            assert done.returncode == 0, done.stderr
            said += f"{line}\n{done.stdout}"
    assert said == shown
    tree = page.partition("deployed/brokers/eu-1/")[2]
    for folder in ("nodes/docs-1", "callers/alice", "operators/ops", "system", "keys"):
        assert f"deployed/{folder}/" in tree
        assert (desk.folder / "deployed" / folder).is_dir()


def test_credentials_that_end_are_taken_until_then(desk: Desk, tmp_path: Path) -> None:
    text = describe("single", "jwt", "off")
    desk.write("topology.toml", text)
    with Deployment(text, tmp_path) as deployed:
        node = desk.node("app:docs", "--config", str(deployed.context("nodes", "n-eu")))
        node.until("try")

        config = str(deployed.context("callers", "alice"))
        call = ("call", "docs.echo", "text=hi", "--config", config, "--creds", "short.creds")
        words = ("topology", "creds", "callers/alice", "--out", str(deployed.folder))
        made = desk.longreach(*words, "--expires", "600")
        assert made.returncode == 0, made.stderr
        desk.write("short.creds", made.stdout)
        assert desk.longreach(*call).stdout == "hi\n"
        past = int(time.time()) - 5
        desk.write("short.creds", store.renew(deployed.description, deployed.folder, "callers/alice", past))
        ended = desk.longreach(*call)
        assert (ended.returncode, ended.stdout) == (6, "")
    assert desk.longreach("topology", "creds", "callers/alise", "--expires", "9").stderr == (
        "longreach: 'callers/alise' is no user of the description; did you mean callers/alice?\n"
    )
    unwritten = desk.longreach("topology", "creds", "callers/alice", "--out", "none", "--expires", "9")
    assert "has no keys of callers/alice" in unwritten.stderr


def test_a_host_that_starts_a_process_and_a_bridge_have_settings_too(desk: Desk, tmp_path: Path) -> None:
    with Deployment(describe("single"), tmp_path) as deployed:
        foreign = desk.write("foreign.py", FOREIGN)
        config = str(deployed.context("nodes", "n-eu"))
        bridge = desk.bridge("--config", config, "--name", "docs", "--", sys.executable, str(foreign))
        bridge.until("docs")
        alice = ("--config", str(deployed.context("callers", "alice")))
        call = message("tools/call", {"name": "docs__add", "arguments": {"a": 40, "b": 2}})
        said = desk.longreach("stdio", *alice, stdin=json.dumps(call) + "\n")
        assert "42" in said.stdout, said.stderr
        assert "permission.denied" not in bridge.said + said.stderr


FOREIGN = """
from mcp.server import MCPServer

server = MCPServer("foreign")


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


server.run()
"""
