"""Rounds of one request: what is asked for is answered, and the request is sent again with it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest
from tests.support.puppet import Asked, Puppet, error, nothing_is_left, result, tools

from longreach import Mesh, connect
from longreach.client import rounds
from longreach.client.rounds import elicited, encode_round, listed, sampled, state_node
from longreach.errors import CallTimeout, ConfigError, InputNeeded, RemoteError
from longreach.transport.memory import MemoryBroker
from longreach.wire.inputs import (
    CreateMessageParams,
    CreateMessageResult,
    ElicitParams,
    ElicitResult,
    ListRootsResult,
    Root,
)
from longreach.wire.manifest import Definition, Offer
from longreach.wire.mcp import TextContent

FORM = {
    "method": "elicitation/create",
    "params": {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}},
}
URL = {"method": "elicitation/create", "params": {"message": "go", "mode": "url", "url": "https://x"}}
SAMPLE = {
    "method": "sampling/createMessage",
    "params": {"messages": [{"role": "user", "content": {"type": "text", "text": "?"}}], "maxTokens": 9},
}
ROOTS = {"method": "roots/list"}


def needs(state: str | None = "sealed", **requests: Any) -> bytes:
    asked = {"inputRequests": requests} if requests else {}
    about = {} if state is None else {"requestState": state}
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "input_required", **asked, **about}}
    )


def in_turn(*answers: bytes):
    left = list(answers)
    return lambda _: left.pop(0)


def params(asked: Asked) -> dict[str, Any]:
    found: dict[str, Any] = asked.body["params"]
    return found


def capabilities(asked: Asked) -> Any:
    return params(asked)["_meta"]["io.modelcontextprotocol/clientCapabilities"]


async def test_what_is_asked_for_goes_back_under_its_keys_with_the_state(mesh: Mesh, puppet: Puppet):
    async def on_elicit(asked: ElicitParams) -> dict[str, Any]:
        return {"who": asked.message}

    puppet.on["call"] = in_turn(needs(form=FORM, page=URL, model=SAMPLE, roots=ROOTS), result("done"))
    view = mesh.options(
        on_elicit=on_elicit,
        on_url=lambda _: False,
        on_sample=lambda asked: f"{asked.max_tokens}",
        on_roots=lambda: ["file:///a"],
    )
    answer = await view.call("docs.do", {"text": "x"})
    assert (answer.text, answer.attempts, answer.retries) == ("done", 2, ())
    first, second = puppet.asked["call"]
    assert first.body["id"] != second.body["id"]
    assert first.reply != second.reply
    assert "requestState" not in params(first)
    assert params(second)["arguments"] == {"text": "x"}
    assert params(second)["requestState"] == "sealed"
    assert params(second)["inputResponses"] == {
        "form": {"action": "accept", "content": {"who": "who?"}},
        "page": {"action": "decline"},
        "model": {
            "role": "assistant", "content": {"type": "text", "text": "9"}, "model": "unknown",
            "stopReason": "endTurn",
        },
        "roots": {"roots": [{"uri": "file:///a"}]},
    }  # fmt: skip
    assert capabilities(first) == {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
    nothing_is_left(mesh)


async def test_capabilities_are_what_there_are_functions_for(mesh: Mesh, puppet: Puppet):
    puppet.on["call"] = lambda _: result()
    stated = []
    for options in (
        {},
        {"on_elicit": lambda _: None},
        {"on_url": lambda _: None, "capabilities": {"sampling": {"tools": {}}, "elicitation": {"form": {}}}},
    ):
        await mesh.options(**options).call("docs.do")  # type: ignore[arg-type]
        stated.append(capabilities(puppet.asked["call"][-1]))
    assert stated == [
        {},
        {"elicitation": {"form": {}}},
        {"sampling": {"tools": {}}, "elicitation": {"form": {}, "url": {}}},
    ]


async def test_without_a_function_it_is_an_error_that_holds_what_is_asked(mesh: Mesh, puppet: Puppet):
    puppet.on["call"] = in_turn(needs(form=FORM), result("later"))
    with pytest.raises(InputNeeded, match="on_elicit") as needed:
        await mesh.options(capabilities={"elicitation": {"form": {}}}).call("docs.do", {"text": "x"})
    assert needed.value.delivered == "yes"
    assert needed.value.requests["form"].params.message == "who?"
    answer = await mesh.call(
        "docs.do", {"text": "x"}, input_responses={"form": ElicitResult("accept", {"a": 1})},
        request_state=needed.value.request_state,
    )  # fmt: skip
    assert answer.text == "later"
    again = params(puppet.asked["call"][1])
    assert again["inputResponses"] == {"form": {"action": "accept", "content": {"a": 1}}}
    assert (again["requestState"], again["arguments"]) == ("sealed", {"text": "x"})


async def test_a_state_alone_is_sent_back_after_a_while_and_no_state_is_not_made_up(
    mesh: Mesh, puppet: Puppet
):
    puppet.on["call"] = in_turn(needs("one"), needs(None, form=FORM), result())
    await mesh.options(on_elicit=lambda _: True).call("docs.do")
    _, second, third = puppet.asked["call"]
    assert params(second)["requestState"] == "one"
    assert "inputResponses" not in params(second)
    assert "requestState" not in params(third)
    assert params(third)["inputResponses"] == {"form": {"action": "accept"}}


async def test_it_ends_after_sixteen_rounds(mesh: Mesh, puppet: Puppet):
    puppet.on["call"] = lambda _: needs(form=FORM)
    with pytest.raises(RemoteError, match="16 times") as ended:
        await mesh.options(on_elicit=lambda _: None).call("docs.do")
    assert ended.value.reason == "rounds"
    assert len(puppet.asked["call"]) == 1 + rounds.MAX_ROUNDS


async def test_all_rounds_share_one_deadline(mesh: Mesh, puppet: Puppet):
    async def forever(_: ElicitParams) -> None:
        await asyncio.Event().wait()

    puppet.on["call"] = lambda _: needs(form=FORM)
    with pytest.raises(CallTimeout) as ended:
        await mesh.options(on_elicit=forever, timeout_s=0.1).call("docs.do")
    assert (ended.value.delivered, len(puppet.asked["call"])) == ("yes", 1)
    deadlines = []
    puppet.on["call"] = in_turn(needs(form=FORM), result())
    await mesh.options(on_elicit=lambda _: None).call("docs.do")
    deadlines = [int(asked.reply.split("-")[-2], 16) for asked in puppet.asked["call"][1:]]
    assert abs(deadlines[0] - deadlines[1]) < 50


async def test_each_round_is_retried_as_any_call(mesh: Mesh, puppet: Puppet):
    busy = error(-31900, reason="busy")
    puppet.on["call"] = in_turn(busy, needs(form=FORM), busy, result("done"))
    answer = await mesh.options(on_elicit=lambda _: {}).call("docs.do")
    assert (answer.text, answer.attempts, answer.retries) == ("done", 4, ("busy", "busy"))
    assert params(puppet.asked["call"][3]) == params(puppet.asked["call"][2])


async def test_what_a_function_raises_is_its_own_and_ends_the_call(mesh: Mesh, puppet: Puppet):
    def broken(_: ElicitParams) -> None:
        raise TimeoutError("mine")

    puppet.on["call"] = lambda _: needs(form=FORM)
    with pytest.raises(TimeoutError, match="mine"):
        await mesh.options(on_elicit=broken).call("docs.do")
    with pytest.raises(ConfigError, match="on_elicit returns"):
        await mesh.options(on_elicit=lambda _: 7).call("docs.do")
    nothing_is_left(mesh)


async def test_a_plain_function_may_block_and_an_object_may_be_called(mesh: Mesh, puppet: Puppet):
    threads = []

    class Both:
        async def __call__(self, _: ElicitParams) -> bool:
            threads.append(threading.current_thread())
            return True

    def blocking(_: ElicitParams) -> bool:
        threads.append(threading.current_thread())
        return True

    for function in (blocking, Both(), lambda asked: Both()(asked)):
        puppet.on["call"] = in_turn(needs(form=FORM), result())
        await mesh.options(on_elicit=function).call("docs.do")
    here = threading.main_thread()
    assert [thread is here for thread in threads] == [False, True, True]


async def test_a_state_that_belongs_to_a_node_goes_back_to_that_node(broker: MemoryBroker):
    """M2.6"""
    one, two = (Puppet(broker, tools("do"), instance=name) for name in ("p1", "p2"))
    for puppet in (one, two):
        puppet.on["call"] = lambda asked: (
            result("back") if ".n-p2." in asked.subject else needs("lr~puppet.p2~x", form=FORM)
        )
    async with connect(link=broker.link(), on_elicit=lambda _: True, timeout_s=5) as mesh:
        await mesh.learn()
        for _ in range(4):
            assert (await mesh.call("docs.do")).text == "back"
    calls = [asked for puppet in (one, two) for asked in puppet.asked.get("call", ())]
    assert sum(".n-p2." in asked.subject for asked in calls) == 4


async def test_by_function_there_are_rounds_too(broker: MemoryBroker):
    server = tools("do")
    puppet = Puppet(broker, server)

    @server.tool
    async def greet(name: str) -> str:
        return name

    puppet.offer(Offer())
    puppet.on["call"] = in_turn(needs(form=FORM), result("hello"), needs(form=FORM))
    async with connect(link=broker.link(), on_elicit=lambda _: True, timeout_s=5) as mesh:
        assert await mesh.call(greet, name="x") == "hello"
        assert [asked.subject.split(".")[6] for asked in puppet.asked["call"]] == ["v0", "v0"]
        with pytest.raises(InputNeeded):
            await mesh.options(on_elicit=None).call(greet, name="x")


async def test_prompts_and_resources_have_rounds_too(broker: MemoryBroker):
    greet = Definition("greet", b'{"name":"greet"}')
    puppet = Puppet(broker, tools("do"), offer=Offer(prompts=[greet]))
    puppet.on["prompts-get"] = in_turn(needs(form=FORM), result())
    puppet.on["resources-read"] = in_turn(needs(form=FORM), result(), needs(form=FORM), result())
    puppet.on["completion-complete"] = lambda _: needs(form=FORM)
    async with connect(link=broker.link(), on_elicit=lambda _: True, timeout_s=5) as mesh:
        await mesh.get_prompt("docs.greet", {"a": "b"})
        await mesh.read("docs", "mem://a")
        await mesh.read("docs", "mem://a")
        with pytest.raises(RemoteError):
            await mesh.complete("docs.greet", "a")
    assert params(puppet.asked["prompts-get"][1])["requestState"] == "sealed"
    (_, asked, *_) = puppet.asked["resources-read"]
    assert params(asked)["inputResponses"] == {"form": {"action": "accept"}}
    assert params(asked)["uri"] == "mem://a"


@pytest.mark.parametrize(
    "answer",
    [
        needs(None), needs(form={"method": "later/thing"}), needs(form=7), needs(7),  # type: ignore[arg-type]
        needs(form={"method": "elicitation/create", "params": {}}),
    ],
)  # fmt: skip
async def test_a_question_that_is_none_ends_the_call(mesh: Mesh, puppet: Puppet, answer: bytes):
    puppet.on["call"] = lambda _: answer
    with pytest.raises(RemoteError) as ended:
        await mesh.options(on_elicit=lambda _: True).call("docs.do")
    assert ended.value.reason == "bad_result"


async def test_a_missing_capability_says_which_options_bring_it(mesh: Mesh, puppet: Puppet):
    puppet.on["call"] = lambda _: error(-32021, requiredCapabilities={"sampling": {}})
    with pytest.raises(RemoteError, match="on_sample") as ended:
        await mesh.call("docs.do")
    assert ended.value.code == -32021
    assert not ended.value.retryable


def test_answers_come_in_several_forms():
    assert elicited({"a": 1}) == ElicitResult("accept", {"a": 1})
    assert [elicited(each).action for each in (True, False, None)] == ["accept", "decline", "cancel"]
    own = ElicitResult("decline")
    assert elicited(own) is own
    said = CreateMessageResult("assistant", TextContent("x"), "m")
    assert sampled(said) is said
    assert sampled("x").text == "x"
    with pytest.raises(ConfigError):
        sampled(7)
    roots = ListRootsResult([Root("file:///a")])
    assert listed(roots) is roots
    assert listed(("file:///a",)) == listed([Root("file:///a")]) == roots
    with pytest.raises(ConfigError):
        listed("file:///a")


def test_a_state_of_a_node_begins_with_its_name():
    """M2.6"""
    assert state_node("lr~n1.abc~rest~more") == "n1.abc"
    assert [state_node(state) for state in (None, "", "lr~", "lr~~x", "x lr~a.b~", "sealed")] == [None] * 6


def test_what_has_no_json_is_no_round():
    with pytest.raises(ConfigError):
        encode_round({"a": object()}, None)
    assert encode_round(None, None) == b""


def test_a_sample_is_asked_with_what_the_server_said():
    asked = msgspec.convert(SAMPLE["params"], CreateMessageParams)
    assert asked.max_tokens == 9
