"""A call that asks its client: elicitation, sampling, roots, over the stream of the call."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.faces import Asked, FaceDouble, text_result
from tests.support.legacy import talking
from tests.support.links import eventually

from longreach_gateway.legacy.conversation import Conversation
from longreach_gateway.legacy.limits import Limits

ELICIT = {
    "method": "elicitation/create",
    "params": {"mode": "form", "message": "who?", "requestedSchema": {}},
}
SAMPLE = {"method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 1}}
ROOTS = {"method": "roots/list"}


def asking(*rounds: dict[str, Any], state: str | None = None) -> FaceDouble:
    """A tool that asks so often, and then tells what it was answered."""
    answers: list[Any] = []

    async def call(asked: Asked) -> Any:
        done = len([each for each in face.asked if each.request.method == "tools/call"]) - 1
        if done:
            answers.append((asked.params.get("inputResponses"), asked.params.get("requestState")))
        if done == len(rounds):
            return text_result(repr(answers))
        said = {"inputRequests": rounds[done]} if rounds[done] else {}
        return {"resultType": "input_required", **said, **({"requestState": state} if state else {})}

    face = FaceDouble(tools_call=call)
    return face


async def test_a_question_is_asked_and_its_answer_goes_back() -> None:
    face = asking({"name": ELICIT}, state="sealed")
    async with talking(Conversation(face)) as wire:
        await wire.initialize()
        call = await wire.start("tools/call", {"name": "t", "arguments": {"a": 1}})
        question = await wire.asked()
        assert {**ELICIT, "jsonrpc": "2.0", "id": question["id"]} == question
        await wire.send({"id": question["id"], "result": {"action": "accept", "content": {"name": "bo"}}})
        text = (await wire.response(call))["result"]["content"][0]["text"]
    assert text == repr([({"name": {"action": "accept", "content": {"name": "bo"}}}, "sealed")])
    first, second = (asked for asked in face.asked if asked.request.method == "tools/call")
    assert first.request.id != second.request.id
    assert first.params["arguments"] == second.params["arguments"]
    assert "requestState" not in first.params


async def test_several_things_are_asked_for_at_once() -> None:
    async with talking(Conversation(asking({"e": ELICIT, "s": SAMPLE, "r": ROOTS}))) as wire:
        await wire.initialize()
        call = await wire.start("tools/call", {"name": "t"})
        questions = {(asked := await wire.asked())["method"]: asked for _ in range(3)}
        assert "params" not in questions["roots/list"]
        for method, question in questions.items():
            await wire.send({"id": question["id"], "result": {"from": method}})
        text = (await wire.response(call))["result"]["content"][0]["text"]
    expected = {"e": "elicitation/create", "s": "sampling/createMessage", "r": "roots/list"}
    answers, state = eval(text)[0]
    assert answers == {key: {"from": method} for key, method in expected.items()}
    assert state is None


async def test_a_state_without_questions_is_sent_back_at_once() -> None:
    async with talking(Conversation(asking({}, state="s"))) as wire:
        await wire.initialize()
        result = await wire.result("tools/call", {"name": "t"})
    assert result["content"][0]["text"] == repr([(None, "s")])


async def test_rounds_are_bounded() -> None:
    async with talking(Conversation(asking(*[{}] * 5, state="s"), limits=Limits(rounds=3))) as wire:
        await wire.initialize()
        error = await wire.error("tools/call", {"name": "t"})
    assert error["data"] == {"reason": "too_many_rounds"}


async def test_questions_of_one_round_are_bounded() -> None:
    async with talking(Conversation(asking({"a": ROOTS, "b": ROOTS}), limits=Limits(questions=1))) as wire:
        await wire.initialize()
        error = await wire.error("tools/call", {"name": "t"})
    assert error["data"] == {"reason": "too_many_questions"}


async def test_one_deadline_holds_for_the_user_too() -> None:
    async with talking(Conversation(asking({"e": ELICIT}), limits=Limits(exchange_s=0.05))) as wire:
        await wire.initialize()
        call = await wire.start("tools/call", {"name": "t"})
        question = await wire.asked()
        error = (await wire.response(call))["error"]
        assert error["data"] == {"reason": "deadline"}
        await eventually(lambda: wire.notifications)
        assert wire.notifications[-1]["params"]["requestId"] == question["id"]


async def test_a_client_is_not_asked_for_what_it_cannot_do() -> None:
    async with talking(Conversation(asking({"s": SAMPLE}))) as wire:
        await wire.initialize(capabilities={"elicitation": {}})
        error = await wire.error("tools/call", {"name": "t"})
        assert wire.requests.empty()
    assert error["code"] == -32021
    assert "sampling" in error["message"]


async def test_a_refused_question_ends_the_call() -> None:
    async with talking(Conversation(asking({"s": SAMPLE}))) as wire:
        await wire.initialize()
        call = await wire.start("tools/call", {"name": "t"})
        question = await wire.asked()
        await wire.send({"id": question["id"], "error": {"code": -1, "message": "no thanks"}})
        error = (await wire.response(call))["error"]
    assert error["data"] == {"reason": "input_refused", "method": "sampling/createMessage", "code": -1}
    assert "no thanks" in error["message"]


async def test_a_call_cancelled_while_its_user_thinks_takes_the_question_back() -> None:
    async with talking(Conversation(asking({"e": ELICIT}))) as wire:
        await wire.initialize()
        call = await wire.start("tools/call", {"name": "t"})
        question = await wire.asked()
        await wire.send({"method": "notifications/cancelled", "params": {"requestId": call}})
        await eventually(lambda: wire.notifications)
        assert wire.notifications[-1]["method"] == "notifications/cancelled"
        assert wire.notifications[-1]["params"]["requestId"] == question["id"]


async def test_only_calls_that_may_ask_are_let_ask() -> None:
    async def listing(asked: Asked) -> Any:
        return {"resultType": "input_required", "inputRequests": {"r": ROOTS}}

    async with talking(Conversation(FaceDouble(tools_list=listing))) as wire:
        await wire.initialize()
        error = await wire.error("tools/list")
    assert error["code"] == -32603


async def test_a_kind_of_result_that_this_era_lacks_is_an_error() -> None:
    async def call(asked: Asked) -> Any:
        return {"resultType": "task", "taskId": "1"}

    async with talking(Conversation(FaceDouble(tools_call=call))) as wire:
        await wire.initialize()
        error = await wire.error("tools/call", {"name": "t"})
    assert "'task'" in error["message"]


async def test_progress_of_a_call_that_runs_again_only_grows() -> None:
    rounds = 0

    async def call(asked: Asked) -> Any:
        nonlocal rounds
        rounds += 1
        for step in (1, 2, 3)[: 1 + rounds]:
            asked.note("notifications/progress", {"progressToken": 1, "progress": step})
        if rounds == 1:
            return {"resultType": "input_required", "requestState": "s"}
        return text_result("x")

    async with talking(Conversation(FaceDouble(tools_call=call))) as wire:
        await wire.initialize()
        await wire.result("tools/call", {"name": "t"})
        assert [note["params"]["progress"] for note in wire.notifications] == [1, 2, 3]


async def test_notes_that_a_client_does_not_take_are_bounded() -> None:
    from longreach.tasks import TaskSet
    from longreach.wire.jsonrpc import encode_notification
    from longreach_gateway.legacy.notes import Notes

    taken: list[Any] = []
    free = asyncio.Event()

    async def send(method: str, params: Any) -> None:
        await free.wait()
        taken.append(params["progress"])

    tasks = TaskSet("test")
    notes = Notes(send, tasks, most=2)
    for step in range(5):
        notes.put(encode_notification("notifications/progress", {"progress": step}))
        await asyncio.sleep(0)
    free.set()
    await notes.flush(1)
    assert taken == [0, 3, 4]
    await tasks.close()
