"""What the bridge uses of the official SDK and of FastMCP without their promise (docs/adr/0010).

A failure here means: read the new release, then adapt services/longreach_bridge/_sdk.py, or foreign/http.py.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
from mcp.client import streamable_http
from mcp.server.lowlevel import Server as LowLevel
from mcp.server.mcpserver import MCPServer
from mcp.server.request_state import AESGCMRequestStateCodec, RequestStateSecurity
from mcp.server.runner import serve_one
from mcp.server.subscriptions import InMemorySubscriptionBus

from longreach_bridge._sdk import bus_of, is_fastmcp, lowlevel_of, state_policies

FastMCP = pytest.importorskip(
    "fastmcp", reason="there is no FastMCP: make test-lowest goes without it"
).FastMCP


def test_the_versions_that_were_read() -> None:
    assert version("mcp").split(".")[:2] == ["2", "3"]
    assert version("fastmcp").split(".")[0] == "4"


@pytest.mark.parametrize("made", [MCPServer("a"), FastMCP("a"), LowLevel("a")], ids=["sdk", "fastmcp", "low"])
def test_a_low_level_server_is_behind_each(made: object) -> None:
    low = lowlevel_of(made)

    assert isinstance(low, LowLevel)
    assert low.name == "a"
    assert is_fastmcp(low) == isinstance(made, FastMCP)


@pytest.mark.parametrize("other", [None, 3, "text", object(), LowLevel, MCPServer, FastMCP])
def test_nothing_else_is_taken_for_one(other: object) -> None:
    assert lowlevel_of(other) is None


def test_the_bus_of_a_server_is_found() -> None:
    bus = InMemorySubscriptionBus()
    mine, own = lowlevel_of(MCPServer("a", subscriptions=bus)), lowlevel_of(MCPServer("a"))
    assert mine is not None
    assert own is not None

    assert bus_of(mine) is bus
    assert isinstance(bus_of(own), InMemorySubscriptionBus)
    assert bus_of(LowLevel("a")) is None


@pytest.mark.parametrize("made", [MCPServer("a"), FastMCP("a")], ids=["sdk", "fastmcp"])
def test_what_seals_request_states_is_found_and_can_be_changed(made: object) -> None:
    low = lowlevel_of(made)
    assert low is not None

    [policy] = state_policies(low)

    assert isinstance(policy, RequestStateSecurity)
    assert isinstance(policy.codec, AESGCMRequestStateCodec)
    assert callable(policy.bind_principal)


def test_one_request_is_served_with_these_words() -> None:
    assert list(inspect.signature(serve_one).parameters) == [
        "server", "dctx", "method", "params", "connection", "lifespan_state",
    ]  # fmt: skip


def test_the_transports_words_for_its_own_errors() -> None:
    source = inspect.getsource(streamable_http)

    for words in (
        "Session terminated",
        "SSE stream ended",
        "SSE stream failed",
        "Failed to parse JSON response",
    ):
        assert words in source
