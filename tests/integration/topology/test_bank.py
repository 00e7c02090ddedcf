"""The bank of the example: branches, clouds and regions, with every broker real, and what may leave a place.

What a broker carries is what its own trace says: every message and every subscription, from and to everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from tests.support.topologies import Deployment, RunningBroker

from longreach import NatsOptions, Server, connect
from longreach.errors import CredentialsRejected, LongreachError, PermissionDenied

BANK = Path(__file__).resolve().parents[3] / "examples" / "bank" / "topology.toml"
NODES = {
    "documents-eu": "documents",
    "documents-apac": "documents",
    "models": "models",
    "teller-madrid": "teller",
}
TRACE = ("-V",)


def new_server(name: str) -> Server:
    server = Server(name, version="1.0.0")
    for tool in {"documents": ("extract_text", "search"), "models": ("price", "train")}.get(
        name, ("balance",)
    ):

        @server.tool(name=tool)
        async def answer(text: str) -> str:
            return f"{name} says {text}"

    return server


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with AsyncExitStack() as stack:
        deployed = stack.enter_context(Deployment(BANK.read_text(), tmp_path, flags=TRACE))
        for key, name in NODES.items():
            await stack.enter_async_context(deployed.node(key, new_server(name)))
        yield deployed


async def test_everybody_calls_what_they_may_and_nothing_of_it_is_where_it_must_not_be(
    bank: Deployment,
) -> None:
    async with bank.mesh("madrid-desk") as desk:
        for tool, region in (
            ("teller.balance", "madrid"),
            ("documents.search", "azure-eu"),
            ("models.price", "gcp"),
        ):
            result = await desk.call(tool, {"text": "SECRET-OF-MADRID"})
            assert (result.region, result.text) == (region, f"{tool.partition('.')[0]} says SECRET-OF-MADRID")
        with pytest.raises(PermissionDenied):
            await desk.call("models.train", {"text": "SECRET-OF-MADRID"})
    async with bank.mesh("analyst") as analyst:
        assert (await analyst.call("models.train", {"text": "SECRET-OF-FRANKFURT"})).region == "gcp"
        with pytest.raises(LongreachError):
            await analyst.call("documents.search", {"text": "x"})
    await _carried(bank.brokers["azure-eu-1"], "SECRET-OF-MADRID")
    for name in ("singapore-1", "gcp-1"):
        log = bank.brokers[name].log
        assert "lr.v1.default.azure-eu.req" not in "".join(_messages(log)), name
    assert "SECRET" not in bank.brokers["singapore-1"].log
    # Not even the names of subscriptions pass an edge's link, unless somebody there may use them.
    for line in bank.brokers["gcp-1"].log.splitlines():
        assert "lr.v1.default.azure-eu" not in line
        assert "lr.v1.default.madrid" not in line


async def test_credentials_of_one_place_are_nobodys_in_another(bank: Deployment) -> None:

    for broker in ("singapore-1", "frankfurt-1", "gcp-1"):
        options: NatsOptions = msgspec.structs.replace(bank.options("madrid-desk"), urls=(bank.url(broker),))
        with pytest.raises(CredentialsRejected):
            await connect(connection=options, caller="madrid-desk", residency=["azure-eu"])


async def test_a_branch_that_is_cut_off_goes_on(bank: Deployment) -> None:
    async with bank.mesh("madrid-desk") as desk:
        assert (await desk.call("documents.search", {"text": "x"})).region == "azure-eu"
        for number in (1, 2, 3):
            bank.brokers[f"frankfurt-{number}"].kill()
        assert (await desk.call("teller.balance", {"text": "y"})).region == "madrid"
        with pytest.raises(LongreachError) as refused:
            await desk.options(timeout_s=5).call("documents.search", {"text": "x"})
        assert refused.value.delivered == "no"


async def _carried(broker: RunningBroker, text: str) -> None:
    """The trace does show what is carried: it is written a moment later."""
    async with asyncio.timeout(30):
        while text not in broker.log:
            await asyncio.sleep(0.02)


def _messages(log: str) -> list[str]:
    """Lines about messages, not subscriptions."""
    return [line for line in log.splitlines() if "MSG " in line or "PUB " in line]
