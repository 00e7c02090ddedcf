from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest
from tests.support.asker import Asker, reason, text
from tests.support.hosts import Gate, docs, node
from tests.support.links import eventually

from longreach import Node
from longreach.clock import FakeClock
from longreach.node import assembly
from longreach.policy.calls import CallBook
from longreach.transport.memory import MemoryBroker


def calls(*tokens: str, **more: Any) -> bytes:
    return msgspec.json.encode({"calls": tokens, **more})


def me(host: Node) -> str:
    return f"n1.{host.instance}"


async def ask(asker: Asker, tail: str, body: bytes, call: str) -> Any:
    asker.send(tail, body, call)
    return await asker.answer(call)


async def test_alive_names_what_is_not_running_here(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M7.1"""
    async with node(broker, docs(gate)) as host:
        asker.request("wait")
        await gate.begins()
        await asker.ask("echo", call="2-0-f")
        answer = await ask(asker, f"node.{me(host)}._._.alive", calls("1-0-f", "2-0-f", "9-0-f"), "a-0-f")
        assert answer["gone"] == ["2-0-f", "9-0-f"]
        assert (answer["identity"], answer["instance"]) == ("n1", host.instance)
        gate.release.set()


async def test_whose_says_have_and_done_and_promises_the_rest(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M7.2: what is in neither list never begins. M7.5: what has ended is remembered for a minute."""
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock) as host:
        asker.request("wait")
        await gate.begins()
        await asker.ask("echo", call="2-0-f")
        clock.advance(59)
        answer = await ask(asker, "all.docs._._.whose", calls("1-0-f", "2-0-f", "9-0-f"), "a-0-f")
        assert (answer["have"], answer["done"]) == (["1-0-f"], ["2-0-f"])
        assert (answer["region"], answer["instance"]) == ("local", host.instance)
        assert reason(await asker.ask("echo", call="9-0-f")) == "not_here"
        clock.advance(180)
        answer = await ask(asker, "all.docs._._.whose", calls("2-0-f"), "b-0-f")
        assert answer["done"] == []
        gate.release.set()


async def test_whose_says_since_when_a_node_remembers_only_if_it_forgot_something(
    broker: MemoryBroker, gate: Gate, asker: Asker, monkeypatch: pytest.MonkeyPatch
):
    """M7.5: `sinceMs`, by the clock of `clockMs`."""
    monkeypatch.setattr(assembly, "CallBook", partial(CallBook, max_remembered=1, max_ended=1))
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock):
        await asker.ask("echo", call="1-0-f")
        answer = await ask(asker, "all.docs._._.whose", calls("1-0-f"), "a-0-f")
        assert answer["done"] == ["1-0-f"]
        assert "sinceMs" not in answer
        for number in (2, 3):
            clock.advance(0.25)
            await asker.ask("echo", call=f"{number}-0-f")
        clock.advance(0.25)
        answer = await ask(asker, "all.docs._._.whose", calls("1-0-f", "2-0-f"), "b-0-f")
        assert answer["done"] == ["2-0-f"]
        assert answer["clockMs"] - answer["sinceMs"] == 500


async def test_a_cancel_ends_the_call_and_is_not_answered(broker: MemoryBroker, gate: Gate, asker: Asker):
    """M6.1: to `node.` or to `all.`, with a reason or without."""
    async with node(broker, docs(gate)) as host:
        for number, space in enumerate((f"node.{me(host)}", "all.docs")):
            call = f"{number}-0-f"
            asker.request("wait", call=call)
            await gate.begins()
            asker.send(f"{space}._._.cancel", calls(call, reason="enough"), f"a{number}-0-f")
            assert reason(await asker.answer(call)) == "cancelled"
        await asker.settle()
        assert gate.cancelled == 2
        assert not any(heard.call.startswith("a") for heard in asker.heard)


async def test_a_cancel_that_overtakes_its_call_keeps_it_from_beginning(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    """M6.2: for a minute."""
    clock = FakeClock()
    async with node(broker, docs(gate), clock=clock):
        asker.send("all.docs._._.cancel", calls("1-0-f", "2-0-f"), "a-0-f")
        await asker.settle()
        clock.advance(59)
        assert reason(await asker.ask("wait")) == "not_here"
        assert gate.ran == 0
        clock.advance(180)
        assert text(await asker.ask("echo", call="2-0-f")) == "hi"


async def test_a_cancel_after_the_end_does_not_make_the_call_unknown(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    async with node(broker, docs(gate)):
        await asker.ask("echo")
        asker.send("all.docs._._.cancel", calls("1-0-f"), "a-0-f")
        answer = await ask(asker, "all.docs._._.whose", calls("1-0-f"), "b-0-f")
        assert answer["done"] == ["1-0-f"]


@pytest.mark.parametrize(
    "stranger", [{"asker": "_.bob"}, {"asker": "gw.alice"}, {"connection": "other"}], ids=repr
)
async def test_nobody_cancels_or_learns_of_the_calls_of_others(
    broker: MemoryBroker, gate: Gate, stranger: dict[str, str]
):
    """M6.3: another via, caller or connection; also where its reply subject claims to be the owner's."""
    owner, other = Asker(broker, asker="_.alice"), Asker(broker, **{"asker": "_.alice", **stranger})
    async with node(broker, docs(gate)) as host:
        owner.request("wait")
        await gate.begins()
        claimed = f"{owner.inbox}.a-0-f" if "asker" in stranger else None
        for space in (f"node.{me(host)}", "all.docs"):
            other.send(f"{space}.{other.asker}.cancel", calls("1-0-f"), "a-0-f", reply=claimed)
        answer = await ask(other, f"node.{me(host)}.{other.asker}.alive", calls("1-0-f"), "b-0-f")
        assert answer["gone"] == ["1-0-f"]
        answer = await ask(other, f"all.docs.{other.asker}.whose", calls("1-0-f"), "c-0-f")
        assert (answer["have"], answer["done"]) == ([], [])
        assert gate.cancelled == 0
        gate.release.set()
        assert text(await owner.answer()) == "waited"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"calls":7}', b'{"calls":["' + b'x","' * 600 + b'"]}'])
@pytest.mark.parametrize("verb", ["alive", "cancel", "blobs"])
async def test_malformed_questions_are_not_answered_and_end_nothing(
    broker: MemoryBroker, gate: Gate, asker: Asker, verb: str, body: bytes, caplog
):
    async with node(broker, docs(gate)) as host:
        asker.send(f"node.{me(host)}._._.{verb}", body, "1-0-f")
        answer = await ask(asker, f"node.{me(host)}._._.alive", calls(), "2-0-f")
        assert answer["gone"] == []
        assert asker.answers("1-0-f") == []
        assert "sink.failed" not in caplog.messages


async def test_unknown_verbs_and_members_are_ignored(broker: MemoryBroker, gate: Gate, asker: Asker, caplog):
    """M11.1"""
    async with node(broker, docs(gate)) as host:
        asker.send(f"node.{me(host)}._._.later", b"{}", "1-0-f")
        asker.send(f"node.{me(host)}._._.drain", b"{}", "2-0-f")  # a verb of `ops.`
        answer = await ask(asker, f"node.{me(host)}._._.alive", calls("9-0-f", new=[1]), "3-0-f")
        assert answer["gone"] == ["9-0-f"]
        assert {heard.call for heard in asker.heard} == {"3-0-f"}
        assert "sink.failed" not in caplog.messages
        assert host.state == "serving"


async def test_an_answer_that_no_message_holds_fails_quietly(gate: Gate, caplog):
    broker = MemoryBroker(max_payload=2048)
    asker = Asker(broker)
    async with node(broker, docs(gate)) as host:
        asker.send(f"node.{me(host)}._._.alive", calls(*["i" * 80 + "-0-f"] * 23), "1-0-f")
        answer = await ask(asker, f"node.{me(host)}._._.alive", calls("9-0-f"), "2-0-f")
        assert answer["gone"] == ["9-0-f"]
        assert "sink.failed" not in caplog.messages


async def test_tokens_that_no_call_can_have_are_not_remembered(
    broker: MemoryBroker, gate: Gate, asker: Asker
):
    """M2.3: a token has at most 96 bytes; a message of one huge one must not stay for a minute."""
    async with node(broker, docs(gate)) as host:
        asker.send("all.docs._._.cancel", calls("x" * 100_000), "1-0-f")
        asker.send("all.docs._._.whose", calls("x" * 97), "2-0-f")
        await asker.settle()
        assert host._intake.book.remembered == (0, 0)


async def test_info_says_how_it_is_and_drain_drains(broker: MemoryBroker, gate: Gate, asker: Asker):
    async with node(broker, docs(gate)) as host:
        asker.request("wait")
        await gate.begins()
        info = await ask(asker, f"ops.{me(host)}._._.info", b"{}", "a-0-f")
        assert info["state"] == "serving"
        assert info["inFlight"] == 1
        assert info["servers"] == {"docs": "1.4.0"}
        assert await ask(asker, f"ops.{me(host)}._._.drain", b"{}", "b-0-f") == {"state": "draining"}
        await eventually(lambda: host.state == "draining")
        gate.release.set()
        assert text(await asker.answer()) == "waited"
        await eventually(lambda: host.state == "stopped")


async def test_who_is_answered_in_every_region_and_in_all(broker: MemoryBroker, gate: Gate):
    """M8.2"""
    async with node(broker, docs(gate), region="eu") as host:
        for region in ("eu", "_"):
            asker = Asker(broker, region="eu", connection=f"c{region.strip('_')}")
            asker.link.send(f"lr.v1.default.{region}.who._._", b"{}", f"{asker.inbox}.1-0-f")
            (said,) = (await asker.answer())["announcements"]
            assert (said["server"], said["instance"], said["state"]) == ("docs", host.instance, "up")
            assert said["digest"] == host.digests["docs"]
