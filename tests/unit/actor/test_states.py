from __future__ import annotations

from typing import Any

import pytest
from tests.support.rounds import Caller, Keys, accept, failed, keys_of, state_of, text_of

from longreach.actor.context import Context
from longreach.actor.server import Server
from longreach.clock import FakeClock
from longreach.policy.sealing import Key
from longreach.wire import codes

ANSWER = {"k": accept(value="yes")}


def make_server(runs: list[str], *, version: str = "1.0.0", description: str = "Asks.") -> Server:
    server = Server("docs", version=version)

    async def ask(ctx: Context, a: Any = 1, b: Any = 2) -> str:
        runs.append("ask")
        return str((await ctx.elicit("?", str, key="k")).content)

    for name in ("ask", "other"):
        server.add_tool(ask, name=name, description=description)
    return server


@pytest.fixture
def runs() -> list[str]:
    return []


def refusal(ending: Any, reason: str, says: str) -> None:
    error = failed(ending)
    assert error.code == codes.INVALID_PARAMS
    assert error.data == {"reason": f"state_{reason}"}
    assert says in error.message


async def test_equal_arguments_are_the_same_however_they_are_written(runs: list[str]):
    caller = Caller(make_server(runs), "ask")
    first = await caller.send({"a": {"x": 1, "y": 2}, "b": 3})
    assert (
        text_of(await caller.send({"b": 3, "a": {"y": 2, "x": 1}}, state=state_of(first), responses=ANSWER))
        == "yes"
    )


async def test_a_state_is_for_its_caller_only(runs: list[str]):
    caller = Caller(make_server(runs), "ask")
    first = await caller.send(caller="alice")
    again = await caller.send(caller="mallory", state=state_of(first), responses=ANSWER)
    refusal(again, "other_caller", "was given to another caller; make the request anew")
    assert runs == ["ask"]
    assert text_of(await caller.send(caller="alice", state=state_of(first), responses=ANSWER)) == "yes"


@pytest.mark.parametrize("arguments", [{"a": 2}, {}, {"a": 1, "b": 2}])
async def test_a_state_is_for_its_arguments_only(runs: list[str], arguments: Any):
    caller = Caller(make_server(runs), "ask")
    first = await caller.send({"a": 1})
    again = await caller.send(arguments, state=state_of(first), responses=ANSWER)
    refusal(again, "other_arguments", "belongs to other arguments: send those of the first time")
    assert runs == ["ask"]


async def test_a_state_is_for_its_tool_only(runs: list[str]):
    server = make_server(runs)
    first = await Caller(server, "ask").send()
    again = await Caller(server, "other").send(state=state_of(first), responses=ANSWER)
    refusal(again, "other_request", "belongs to another tool")
    assert runs == ["ask"]


async def test_a_uri_beside_the_name_does_not_hide_another_tool(runs: list[str]):
    server = make_server(runs)
    first = await Caller(server, "ask").send(uri="x://y")
    again = await Caller(server, "other").send(uri="x://y", state=state_of(first), responses=ANSWER)
    refusal(again, "other_request", "belongs to another tool")


@pytest.mark.parametrize("change", [{"version": "1.0.1"}, {"description": "Asks more."}])
async def test_a_state_is_for_its_version_only(runs: list[str], change: Any):
    first = await Caller(make_server(runs), "ask").send()
    again = await Caller(make_server(runs, **change), "ask").send(state=state_of(first), responses=ANSWER)
    refusal(again, "other_version", "made by another version of this server")
    assert runs == ["ask"]


async def test_a_state_ends(runs: list[str]):
    clock = FakeClock()
    caller = Caller(make_server(runs), "ask", clock=clock, ttl_s=10)
    first = await caller.send()
    clock.advance(9.9)
    assert keys_of(await caller.send(state=state_of(first))) == ["k"]
    clock.advance(0.1)
    refusal(await caller.send(state=state_of(first), responses=ANSWER), "expired", "has expired")
    assert runs == ["ask", "ask"]


async def test_an_altered_state_is_refused(runs: list[str]):
    caller = Caller(make_server(runs), "ask")
    state = state_of(await caller.send())
    for altered in (
        state + "-TAMPERED",
        state[:-1],
        state[:40] + ("A" if state[40] != "A" else "B") + state[41:],
    ):
        refusal(await caller.send(state=altered, responses=ANSWER), "altered", "not as it was sent")
    assert runs == ["ask"]


async def test_a_state_of_another_ring_is_refused_and_a_new_key_opens_before_it_seals(runs: list[str]):
    old, new = Key("old", bytes(32)), Key("new", bytes([1] * 32))
    keys = Keys(old)
    caller = Caller(make_server(runs), "ask", keys=keys)
    first = await caller.send()
    keys.keys = (new,)
    refusal(
        await caller.send(state=state_of(first), responses=ANSWER), "unknown_key", "sealed with the key old"
    )
    keys.keys = (new, old)
    assert text_of(await caller.send(state=state_of(first), responses=ANSWER)) == "yes"
    assert state_of(await caller.send()).startswith("lr1.new.")


async def test_a_state_that_a_tool_never_gave_is_refused(runs: list[str]):
    server = Server("docs")

    @server.tool
    def plain() -> str:
        runs.append("plain")
        return "done"

    refusal(await Caller(server, "plain").send(state="mine"), "altered", "not as it was sent")
    assert runs == []


async def test_without_cryptography_the_log_says_what_to_install(
    runs: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    import sys

    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)
    assert "failed; the log of" in text_of(await Caller(make_server(runs), "ask").send())
    assert "pip install 'longreach[state]'" in caplog.text
