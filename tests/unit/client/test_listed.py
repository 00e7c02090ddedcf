"""`mesh.tools()` and the like, of servers that show each caller what it may use."""

from __future__ import annotations

import pytest
from tests.support.hosts import Gate, docs, node

from longreach import AuthRequest, Server, connect
from longreach.errors import LongreachError, PermissionDenied
from longreach.transport.memory import MemoryBroker


def bank() -> Server:
    def may(request: AuthRequest) -> bool:
        return request.caller == "alice" or "public" in request.name

    server = Server("bank", authorize=may)

    @server.tool
    async def pay() -> str:
        return "paid"

    @server.tool
    async def public_rates() -> str:
        return "1%"

    @server.prompt
    async def letter() -> str:
        return "Dear"

    @server.resource("mem://books")
    async def books() -> str:
        return "b"

    @server.resource("mem://public/{name}")
    async def leaflet(name: str) -> str:
        return name

    return server


async def test_each_caller_sees_what_it_may_use(broker: MemoryBroker, gate: Gate):
    seen = {}
    async with node(broker, bank(), docs(gate)):
        for caller in ("alice", "bob"):
            async with connect(link=broker.link(), caller=caller, timeout_s=5) as mesh:
                seen[caller] = (
                    [each.qualified for each in await mesh.tools() if each.server == "bank"],
                    [each.qualified for each in await mesh.prompts("bank")],
                    [each.uri for each in await mesh.resources("bank")],
                    [each.uri_template for each in await mesh.templates("bank")],
                )
                assert len(await mesh.tools("docs")) == 3

    assert seen["alice"] == (
        ["bank.pay", "bank.public_rates"], ["bank.letter"], ["mem://books"], ["mem://public/{name}"],
    )  # fmt: skip
    assert seen["bob"] == (["bank.public_rates"], [], [], ["mem://public/{name}"])


async def test_a_refused_call_is_known_not_to_have_run_and_is_made_once(broker: MemoryBroker):
    """M17.4"""
    async with node(broker, bank()), connect(link=broker.link(), caller="bob", timeout_s=5) as mesh:
        with pytest.raises(PermissionDenied) as refused:
            await mesh.call("bank.pay")
        attempts = mesh.stats.attempts

    assert (refused.value.delivered, refused.value.code, refused.value.reason) == ("no", -31913, "forbidden")
    assert not refused.value.retryable
    assert attempts == 1


async def test_a_server_that_does_not_list_is_left_out_unless_it_was_asked_for(
    broker: MemoryBroker, gate: Gate, monkeypatch: pytest.MonkeyPatch
):
    async with node(broker, bank(), docs(gate)), connect(link=broker.link(), timeout_s=5) as mesh:

        async def silent(*_: object) -> bytes:
            raise LongreachError("silent")

        monkeypatch.setattr(mesh, "_ask_list", silent)
        assert {each.server for each in await mesh.tools()} == {"docs"}
        with pytest.raises(LongreachError, match="silent"):
            await mesh.tools("bank")
