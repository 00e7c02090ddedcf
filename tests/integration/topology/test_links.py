"""What an edge's link is good for, and what it is not."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import msgspec
import pytest
from tests.integration.topology.shapes import describe
from tests.support.topologies import Deployment, RunningBroker, wait_for

from longreach import connect
from longreach.errors import CredentialsRejected

both = pytest.mark.parametrize("credentials", ["nkeys", "jwt"])


@both
async def test_a_link_s_credentials_are_no_clients(tmp_path: Path, credentials: str) -> None:
    with Deployment(describe("edge", credentials), tmp_path) as deployed:
        link = (
            {"creds_file": str(deployed.folder / "brokers" / "branch-1" / "leaf-default.creds")}
            if credentials == "jwt"
            else {"nkey_seed_file": str(deployed.folder / "keys" / "leaves" / "branch-default.nk")}
        )
        with pytest.raises(CredentialsRejected):
            await connect(
                connection=msgspec.structs.replace(deployed.options("alice"), **link), caller="alice"
            )


@both
def test_a_client_s_credentials_are_no_link_s(tmp_path: Path, credentials: str) -> None:
    with Deployment(describe("edge", credentials), tmp_path) as deployed:
        branch = deployed.brokers["branch-1"]
        if credentials == "jwt":
            stolen = (deployed.folder / "callers" / "alice" / "user.creds").read_text()
            (branch.folder / "leaf-default.creds").write_text(stolen)
        else:
            stolen = (deployed.folder / "callers" / "alice" / "user.nk").read_text().strip()
            config = branch.folder / "nats.conf"
            config.write_text(re.sub(r'("nkey": )"SU\w+"', rf'\1"{stolen}"', config.read_text()))
        _start_again(branch)
        wait_for(lambda: "Authorization Violation" in branch.log, lambda: branch.log[-2000:])
        assert branch.about("leafz")["leafnodes"] == 0
        if credentials == "nkeys":  # and it is this that keeps it out
            guarded = deployed.brokers["eu-1"].folder / "accounts.conf"
            guarded.write_text(guarded.read_text().replace('"STANDARD"', '"LEAFNODE"'))
            deployed.brokers["eu-1"].reload()
            wait_for(lambda: branch.about("leafz")["leafnodes"] == 1, lambda: branch.log[-2000:])


def _start_again(broker: RunningBroker) -> None:
    broker.signal(signal.SIGTERM)
    assert broker.process is not None
    broker.process.wait(10)
    broker.start()
    broker.until_it_answers()
