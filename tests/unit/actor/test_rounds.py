from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from msgspec import UNSET
from tests.support.actors import Recorder, cell_for, eventually, offer_call
from tests.support.rounds import ALL, Caller, accept, asked, failed, keys_of, state_of, text_of

from longreach.actor.asks import Elicit, InputRequired, Roots, Sample
from longreach.actor.call import Completed, RawResult
from longreach.actor.context import Context
from longreach.actor.raw import RawRequest
from longreach.actor.rounds import Suspended
from longreach.actor.server import Actor, Server, tool
from longreach.errors import ToolError
from longreach.wire import codes
from longreach.wire.inputs import ElicitRequest
from longreach.wire.jsonrpc import RequestMeta

SAID = {"role": "assistant", "content": {"type": "text", "text": "Paris"}, "model": "m"}
FOLDERS = {"roots": [{"uri": "file:///a", "name": "A"}]}


@dataclass
class Order:
    count: int
    size: Literal["s", "l"] = "s"


@pytest.fixture
def server() -> Server:
    return Server("docs", version="1.2.0")


async def finish(caller: Caller, answers: dict[str, Any], arguments: dict[str, Any] | None = None) -> str:
    """Answer everything, round by round, until there is a text."""
    ending = await caller.send(arguments)
    for _ in range(20):
        result = getattr(ending, "result", None)
        if getattr(result, "result_type", None) != "input_required":
            return text_of(ending)
        said = {key: answers[key] for key in keys_of(ending)}
        ending = await caller.send(arguments, state=asked(ending).request_state, responses=said)
    raise AssertionError("it does not end")


async def test_an_answer_comes_back_as_what_was_asked_for(server: Server) -> None:
    @server.tool
    async def order(ctx: Context) -> str:
        answer = await ctx.elicit("What?", Order, key="order")
        assert answer.accepted
        assert isinstance(answer.content, Order)
        return f"{answer.content.count} of {answer.content.size}"

    caller = Caller(server, "order")
    first = await caller.send()
    (request,) = asked(first).input_requests.values()  # type: ignore[union-attr]
    assert isinstance(request, ElicitRequest)
    assert request.params.message == "What?"
    assert request.params.mode == "form"
    second = await caller.send(state=state_of(first), responses={"order": accept(count=3)})
    assert text_of(second) == "3 of s"


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_may_say_no(server: Server, action: str) -> None:
    @server.tool
    async def order(ctx: Context) -> str:
        answer = await ctx.elicit("What?", Order, key="k")
        return f"{answer.action} {answer.content}"

    assert await finish(Caller(server, "order"), {"k": {"action": action}}) == f"{action} None"


async def test_a_page_a_model_and_folders_can_be_asked_for(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        page = await ctx.elicit_url("Log in.", "https://example.org/login", key="page")
        said = await ctx.sample("Capital of France?", max_tokens=9, model_preferences=["small"], key="model")
        folders = await ctx.roots(key="roots")
        return f"{page.action} {said.text} {folders[0].uri}"

    answers = {"page": {"action": "accept"}, "model": SAID, "roots": FOLDERS}
    assert await finish(Caller(server, "ask"), answers) == "accept Paris file:///a"


async def test_several_things_are_asked_in_one_round(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        found = await ctx.ask(
            {"who": Elicit("Who?", str), "what": Sample("?", max_tokens=1), "where": Roots()}
        )
        return f"{found['who'].content} {found['what'].text} {found['where'][0].name}"

    caller = Caller(server, "ask")
    first = await caller.send()
    assert keys_of(first) == ["who", "what", "where"]
    answers = {"who": accept(value="Al"), "what": SAID, "where": FOLDERS}
    second = await caller.send(state=state_of(first), responses=answers)
    assert text_of(second) == "Al Paris A"


async def test_missing_answers_are_asked_for_again_and_others_are_remembered(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        found = await ctx.ask({"a": Elicit("A?", str), "b": Elicit("B?", str)})
        return f"{found['a'].content}{found['b'].content}"

    caller = Caller(server, "ask")
    first = await caller.send()
    second = await caller.send(state=state_of(first), responses={"b": accept(value="2"), "x": accept(y=1)})
    assert keys_of(second) == ["a"]
    third = await caller.send(state=state_of(second))
    assert keys_of(third) == ["a"]
    last = await caller.send(
        state=state_of(third), responses={"a": accept(value="1"), "b": accept(value="9")}
    )
    assert text_of(last) == "12"


async def test_questions_that_are_gathered_are_asked_together(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        a, b = await asyncio.gather(ctx.elicit("A?", str, key="a"), ctx.elicit("B?", str, key="b"))
        return f"{a.content}{b.content}"

    caller = Caller(server, "ask")
    first = await caller.send()
    assert keys_of(first) == ["a", "b"]
    answers = {"a": accept(value="1"), "b": accept(value="2")}
    assert text_of(await caller.send(state=state_of(first), responses=answers)) == "12"


async def test_a_task_group_asks_together_too(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        async with asyncio.TaskGroup() as group:
            a = group.create_task(ctx.elicit("A?", str, key="a"))
            b = group.create_task(ctx.elicit("B?", str, key="b"))
        return f"{a.result().content}{b.result().content}"

    caller = Caller(server, "ask")
    assert keys_of(await caller.send()) == ["a", "b"]
    assert await finish(caller, {"a": accept(value="1"), "b": accept(value="2")}) == "12"


async def test_a_step_is_done_once(server: Server) -> None:
    done: list[str] = []

    @server.tool
    async def book(ctx: Context, seats: int) -> str:
        async def reserve() -> dict[str, int]:
            done.append("reserve")
            return {"number": 7}

        number = await ctx.step("reserve", reserve)
        stamp = await ctx.step("stamp", lambda: done.append("stamp"))
        answer = await ctx.elicit("Sure?", bool, key="sure")
        paid = await ctx.step("pay", lambda: (done.append("pay"), "paid")[1])
        return f"{number['number']} {stamp} {answer.content} {paid}"

    assert (
        await finish(Caller(server, "book"), {"sure": accept(value=True)}, {"seats": 2}) == "7 None True paid"
    )
    assert done == ["reserve", "stamp", "pay"]


async def test_a_step_gives_the_same_the_first_time_as_later(server: Server) -> None:
    seen: list[Any] = []

    @server.tool
    async def ask(ctx: Context) -> str:
        plain = await ctx.step("plain", lambda: (1, Order(2)))
        typed = await ctx.step("typed", lambda: Order(3), type=Order)
        seen.append((plain, typed))
        await ctx.elicit("?", key="k")
        return "done"

    await finish(Caller(server, "ask"), {"k": {"action": "cancel"}})
    assert seen == [([1, {"count": 2, "size": "s"}], Order(3))] * 2


async def test_a_step_that_fails_is_not_remembered(server: Server) -> None:
    tries: list[int] = []

    @server.tool
    async def ask(ctx: Context) -> str:
        def flaky() -> int:
            tries.append(1)
            if len(tries) == 1:
                raise RuntimeError("not yet")
            return len(tries)

        with suppress(RuntimeError):
            await ctx.step("flaky", flaky)
        await ctx.elicit("?", key="k")
        return "done"

    caller = Caller(server, "ask")
    first = await caller.send()
    again = await caller.send(state=state_of(first), responses={"k": {"action": "accept"}})
    assert failed(again).data == {"reason": "diverged"}  # the step comes where there was none


async def test_a_step_that_has_begun_is_remembered_though_a_question_ends_the_round(server: Server) -> None:
    done: list[str] = []
    asking = asyncio.Event()

    @server.tool
    async def both(ctx: Context) -> str:
        async def slow() -> str:
            done.append("begun")
            await asking.wait()
            done.append("ended")
            return "slow"

        async def question() -> str:
            await asyncio.sleep(0)
            asking.set()
            answer = await ctx.elicit("?", str, key="k")
            return str(answer.content)

        async with asyncio.TaskGroup() as group:
            one = group.create_task(ctx.step("slow", slow))
            two = group.create_task(question())
        return f"{one.result()} {two.result()}"

    assert await finish(Caller(server, "both"), {"k": accept(value="yes")}) == "slow yes"
    assert done == ["begun", "ended"]


@pytest.mark.parametrize("swallow", [BaseException, Suspended])
async def test_a_handler_that_swallows_the_suspension_is_suspended_all_the_same(
    server: Server, swallow: type[BaseException]
) -> None:
    effects: list[str] = []

    @server.tool
    async def stubborn(ctx: Context) -> str:
        try:
            answer = (await ctx.elicit("A?", str, key="a")).content
        except swallow:
            answer = "swallowed"
        with suppress(swallow):
            await ctx.step("effect", lambda: effects.append(str(answer)))
        with suppress(swallow):
            await ctx.elicit("B?", str, key="b")
        if answer == "swallowed":
            raise ToolError("never told")
        return str(answer)

    caller = Caller(server, "stubborn")
    first = await caller.send()
    assert keys_of(first) == ["a"]
    assert effects == []
    second = await caller.send(state=state_of(first), responses={"a": accept(value="1")})
    assert keys_of(second) == ["b"]
    third = await caller.send(state=state_of(second), responses={"b": accept(value="2")})
    assert text_of(third) == "1"
    assert effects == ["1"]


async def test_what_is_swallowed_around_gather_asks_nothing_more(server: Server) -> None:
    @server.tool
    async def stubborn(ctx: Context) -> str:
        with suppress(BaseException):
            await asyncio.gather(ctx.elicit("A?", key="a"), ctx.elicit("B?", key="b"))
        await ctx.elicit("C?", key="c")
        return "done"

    assert keys_of(await Caller(server, "stubborn").send()) == ["a", "b"]


async def test_questions_without_keys_are_told_apart_by_what_they_ask(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        a = await ctx.elicit("Name?", str)
        b = await ctx.elicit("Name?", str)
        return f"{a.content}{b.content}"

    caller = Caller(server, "ask")
    first = await caller.send()
    (key,) = keys_of(first)
    second = await caller.send(state=state_of(first), responses={key: accept(value="1")})
    (other,) = keys_of(second)
    assert other == f"{key}-2"
    third = await caller.send(state=state_of(second), responses={other: accept(value="2")})
    assert text_of(third) == "12"


# Divergence


async def diverging(server: Server, *, second: str) -> Any:
    rounds: list[int] = []
    effects: list[str] = []

    @server.tool
    async def fickle(ctx: Context) -> str:
        rounds.append(1)
        if len(rounds) == 1:
            await ctx.step("one", lambda: 1)
            await ctx.elicit("A?", key="a")
        elif second == "other step":
            await ctx.step("two", lambda: effects.append("two"))
        elif second == "other order":
            await ctx.elicit("A?", key="a")
        elif second == "other question":
            await ctx.step("one", lambda: 1)
            await ctx.elicit("B?", key="a")
        elif second == "other kind":
            await ctx.elicit("A?", key="one")
        elif second == "less":
            await ctx.step("one", lambda: 1)
        return "done"

    caller = Caller(server, "fickle")
    first = await caller.send()
    ending = await caller.send(state=state_of(first), responses={"a": {"action": "accept", "content": {}}})
    assert effects == []
    return failed(ending)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ("other step", "it comes to the step 'two', and came to 'one' before"),
        ("other order", "it comes to the ask 'a', and came to 'one' before"),
        ("other question", "'a' is another question now"),
        ("other kind", "'one' is a ask now"),
        ("less", "it did not come to 'a'"),
        ("nothing", "it did not come to 'one'"),
    ],
)
async def test_a_replay_that_diverges_is_refused(server: Server, second: str, says: str) -> None:
    refused = await diverging(server, second=second)
    assert refused.code == codes.INTERNAL_ERROR
    assert refused.data == {"reason": "diverged"}
    assert says in refused.message
    assert "make the request anew without requestState" in refused.message


@pytest.mark.parametrize("which", ["step", "ask", "both"])
async def test_a_key_is_used_once(server: Server, which: str) -> None:
    caught: list[str] = []

    @server.tool
    async def twice(ctx: Context) -> str:
        try:
            for kind in {"step": "ss", "ask": "aa", "both": "sa"}[which]:
                if kind == "s":
                    await ctx.step("k", lambda: 1)
                else:
                    await ctx.elicit("?", key="k")
        except ValueError as error:
            caught.append(str(error))
        return "done"

    assert await finish(Caller(server, "twice"), {"k": {"action": "decline"}}) == "done"
    assert caught == ["the key 'k' was used before in this call; give each step and question its own"]


# What clients send


async def test_answers_may_come_before_the_questions(server: Server) -> None:
    @server.tool
    async def greet(ctx: Context) -> str:
        return f"Hello, {(await ctx.elicit('Name?', str, key='name')).content}!"

    caller = Caller(server, "greet")
    early = {"name": accept(value="Al"), "unknown": accept(foo=1)}
    assert text_of(await caller.send(responses=early)) == "Hello, Al!"
    assert keys_of(await caller.send(responses={"wrong": accept(value="x")})) == ["name"]


@pytest.mark.parametrize("responses", [None, [], 3, {"name": 12345}, {"name": None}])
async def test_responses_of_a_wrong_shape_are_refused_before_the_handler_runs(
    server: Server, responses: Any
) -> None:
    @server.tool
    async def greet(ctx: Context) -> str:
        raise AssertionError

    refused = failed(await Caller(server, "greet").send(responses=responses))
    assert refused.code == codes.INVALID_PARAMS
    assert refused.data == {"reason": "bad_response"}


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (accept(count="3"), "the answer to 'k' does not fit: expected `int`, got `str`"),
        (accept(), "the answer to 'k' does not fit: object missing required field `count`"),
        ({"action": "maybe"}, "the response 'k' cannot be read"),
        ({"roots": []}, "the response 'k' cannot be read"),
    ],
)
async def test_an_answer_that_does_not_fit_is_told_and_can_be_given_again(
    server: Server, response: Any, says: str
) -> None:
    @server.tool
    async def order(ctx: Context) -> str:
        with suppress(BaseException):
            answer = await ctx.elicit("What?", Order, key="k")
            return str(answer.content)
        return "swallowed"

    caller = Caller(server, "order")
    first = await caller.send()
    refused = failed(await caller.send(state=state_of(first), responses={"k": response}))
    assert refused.code == codes.INVALID_PARAMS
    assert says in refused.message
    again = await caller.send(state=state_of(first), responses={"k": accept(count=1)})
    assert text_of(again) == "Order(count=1, size='s')"


async def test_an_answer_that_does_not_fit_is_asked_for_again_where_a_refusal_would_lose_a_step(
    server: Server,
) -> None:
    paid: list[str] = []

    @server.tool
    async def order(ctx: Context) -> str:
        async def pay() -> str:
            await ctx.elicit("Sure?", key="sure")
            return str(await ctx.step("pay", lambda: (paid.append("paid"), "paid")[1]))

        done, answer = await asyncio.gather(pay(), ctx.elicit("What?", Order, key="what"))
        return f"{done} {answer.content}"

    caller = Caller(server, "order")
    first = await caller.send()
    assert keys_of(first) == ["sure", "what"]
    wrong = {"sure": accept(), "what": accept(count="3")}
    second = await caller.send(state=state_of(first), responses=wrong)
    assert keys_of(second) == ["what"]
    third = await caller.send(state=state_of(second), responses={"what": accept(count=3)})
    assert text_of(third) == "paid Order(count=3, size='s')"
    assert paid == ["paid"]


@pytest.mark.parametrize(
    ("capabilities", "required"),
    [
        ({}, {"elicitation": {"form": {}}, "sampling": {}}),
        ({"sampling": {}}, {"elicitation": {"form": {}}, "sampling": {}}),
        ({"sampling": {}, "elicitation": {"url": {}}}, {"elicitation": {"form": {}}, "sampling": {}}),
    ],
)
async def test_a_client_that_cannot_is_told_what_it_would_need(
    server: Server, capabilities: Any, required: Any
) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        await ctx.ask({"a": Elicit("?"), "b": Sample("?", max_tokens=1)})
        return "done"

    refused = failed(await Caller(server, "ask").send(capabilities=capabilities))
    assert refused.code == codes.MISSING_CAPABILITY
    assert refused.data == {"requiredCapabilities": required}


async def test_a_handler_can_ask_for_what_the_client_can(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        assert ctx.client_capabilities == {"sampling": {}}
        assert ctx.can("sampling")
        assert not ctx.can("sampling", "tools")
        assert not ctx.can("elicitation")
        return (await ctx.sample("?", max_tokens=1, key="k")).text

    ending = await Caller(server, "ask").send(capabilities={"sampling": {}})
    assert keys_of(ending) == ["k"]


# The explicit form


async def test_a_handler_may_return_what_it_requires(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str | InputRequired:
        if ctx.request_state is None:
            assert ctx.input_responses == {}
            return InputRequired({"name": Elicit("Name?", str)}, state={"step": 1})
        return f"{ctx.request_state['step']} {ctx.input_responses['name'].content['value']}"

    caller = Caller(server, "ask")
    first = await caller.send()
    assert keys_of(first) == ["name"]
    assert text_of(await caller.send(state=state_of(first), responses={"name": accept(value="Al")})) == "1 Al"


async def test_a_plain_function_may_return_it_too_without_any_state(server: Server) -> None:
    @server.tool
    def ask(ctx: Context) -> Any:
        if "name" not in ctx.input_responses:
            return InputRequired({"name": Elicit("Name?", str)})
        return f"Hello, {ctx.input_responses['name'].content['value']}!"

    caller = Caller(server, "ask")
    first = await caller.send()
    assert asked(first).request_state is UNSET
    assert text_of(await caller.send(responses={"name": accept(value="Al"), "x": accept()})) == "Hello, Al!"
    for unreadable in ({"x": 1}, {"action": "maybe"}):
        assert keys_of(await caller.send(responses={"name": unreadable})) == ["name"]


async def test_state_alone_sheds_load(server: Server) -> None:
    @server.tool
    async def later(ctx: Context) -> Any:
        return "done" if ctx.request_state else InputRequired(state=1)

    caller = Caller(server, "later")
    first = await caller.send()
    assert asked(first).input_requests is UNSET
    assert text_of(await caller.send(state=state_of(first))) == "done"


async def test_explicit_rounds_may_do_steps_and_go_their_own_way(server: Server) -> None:
    done: list[str] = []

    @server.tool
    async def ask(ctx: Context) -> Any:
        if ctx.request_state is None:
            await ctx.step("one", lambda: done.append("one"))
            return InputRequired({"ok": Elicit("Sure?")}, state="asked")
        await ctx.step("two", lambda: done.append("two"))
        return "done"

    assert await finish(Caller(server, "ask"), {"ok": accept()}) == "done"
    assert done == ["one", "two"]


async def test_mcps_own_json_is_a_request(server: Server) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    params = {"message": "Sure?", "requestedSchema": schema}

    @server.tool
    async def ask() -> InputRequired:
        return InputRequired({"ok": {"method": "elicitation/create", "params": params}})

    (request,) = asked(await Caller(server, "ask").send()).input_requests.values()  # type: ignore[union-attr]
    assert isinstance(request, ElicitRequest)
    assert request.params.requested_schema == schema


@pytest.mark.parametrize("arguments", [{}, {"requests": {}}, {"requests": {"a": {"method": "ping"}}}])
def test_nothing_is_required_that_is_nothing(arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"InputRequired says what|none that a client can answer"):
        InputRequired(**arguments)


# Handlers of other kinds


async def test_a_plain_function_cannot_wait_for_an_answer(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    @server.tool
    def ask(ctx: Context) -> str:
        ctx.elicit("?")  # type: ignore[unused-coroutine]
        return "never"

    assert "failed; the log of" in text_of(await Caller(server, "ask").send())
    assert "declare it `async def`, or return InputRequired" in caplog.text


async def test_actors_with_state_are_not_crashed_by_a_question(server: Server) -> None:
    @server.actor
    class Desk(Actor):
        def __init__(self) -> None:
            self.calls = 0

        @tool
        async def ask(self, ctx: Context) -> str:
            self.calls += 1
            return f"{(await ctx.elicit('Name?', str, key='k')).content} {self.calls}"

    assert await finish(Caller(server, "Desk", "ask"), {"k": accept(value="Al")}) == "Al 1"


async def test_a_question_in_a_step_is_refused(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        async def nested() -> Any:
            return (await ctx.elicit("?", key="k")).action

        return str(await ctx.step("s", nested))

    assert "failed; the log of" in text_of(await Caller(server, "ask").send())
    assert "do not ask, or begin a step, inside a step" in caplog.text


async def test_results_of_steps_must_have_a_json_form(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        return str(await ctx.step("s", lambda: object()))

    assert "failed; the log of" in text_of(await Caller(server, "ask").send())
    assert "the result of the step 's' has no JSON form" in caplog.text


async def test_what_is_too_much_to_remember_is_told(server: Server) -> None:
    @server.tool
    async def ask(ctx: Context) -> str:
        await ctx.step("big", lambda: "x" * 60_000)
        await ctx.elicit("?", key="k")
        return "done"

    refused = failed(await Caller(server, "ask").send())
    assert refused.data == {"reason": "state_too_large"}
    assert "keep large results elsewhere" in refused.message


async def test_work_left_behind_can_do_nothing_more(server: Server) -> None:
    left: list[asyncio.Task[Any]] = []
    go = asyncio.Event()

    @server.tool
    async def sloppy(ctx: Context) -> str:
        async def later() -> Any:
            await go.wait()
            return await ctx.step("s", lambda: 1)

        left.append(asyncio.get_running_loop().create_task(later()))
        await ctx.step("first", lambda: 1)
        return "done"

    assert text_of(await Caller(server, "sloppy").send(capabilities=ALL)) == "done"
    go.set()
    (task,) = left
    with pytest.raises(ValueError, match="the call has ended"):
        await task


async def test_prompts_and_resources_ask_as_tools_do(server: Server) -> None:
    @server.prompt
    async def greet(ctx: Context) -> str:
        return f"Greet {(await ctx.elicit('Whom?', str, key='k')).content}."

    @server.resource("note://{id}")
    async def note(id: str, ctx: Context) -> str | InputRequired:
        if "k" not in ctx.input_responses:
            return InputRequired({"k": Elicit("Sure?")}, state=id)
        return f"{ctx.request_state} {ctx.input_responses['k'].action}"

    greeting = Caller(server, "greet", kind="prompt")
    first = await greeting.send()
    told = await greeting.send(state=state_of(first), responses={"k": accept(value="Al")})
    assert told.result.messages[0].content.text == "Greet Al."  # type: ignore[union-attr]

    notes = Caller(server, "note://{id}", kind="template")
    first = await notes.send(uri="note://7")
    read = await notes.send(uri="note://7", state=state_of(first), responses={"k": accept()})
    assert read.result.contents[0].text == "7 accept"  # type: ignore[union-attr]
    other = await notes.send(uri="note://8", state=state_of(first), responses={"k": accept()})
    assert failed(other).data == {"reason": "state_other_request"}


def test_a_completion_can_ask_for_nothing(server: Server) -> None:
    @server.prompt
    def greet(name: str) -> str:
        return name

    @server.completion("greet", "name")
    def names(value: str) -> list[str]:
        return [value]

    assert [spec.can_ask for spec in server.handlers.values()] == [True, False]


async def test_raw_handlers_have_states_of_their_own(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(request: RawRequest) -> bytes:
        if request.context.request_state is None and request.context.can("roots"):
            return b"{}"
        await request.context.roots()
        raise AssertionError

    server.add_raw("tool", {"name": "raw", "inputSchema": {"type": "object"}}, handler)
    ending = await Caller(server, "raw").send(state="lr~not.ours~", responses={"k": 3})
    assert ending == Completed(RawResult(b"{}"))
    assert "failed; the log of" in text_of(await Caller(server, "raw").send(capabilities={}))
    assert "is not for tools/call here" in caplog.text


async def test_steps_end_with_a_call_that_is_cancelled(server: Server) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @server.tool
    async def slow(ctx: Context) -> str:
        async def wait() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        await ctx.step("wait", wait)
        return "never"

    cell, recorder = cell_for(server, "slow"), Recorder()
    await cell.start()
    offer_call(cell, recorder, "c", "slow")
    async with asyncio.timeout(30):
        await begun.wait()
        assert cell.cancel("c", "cancelled")
        await ended.wait()
    await eventually(lambda: cell.running == 0)
    await cell.stop()


async def test_a_slow_step_of_a_suspended_call_ends_with_its_deadline(server: Server) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    @server.tool
    async def slow(ctx: Context) -> str:
        async def wait() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def ask() -> None:
            await begun.wait()
            await ctx.elicit("?", key="k")

        await asyncio.gather(ctx.step("wait", wait), ask())
        return "never"

    cell, recorder = cell_for(server, "slow"), Recorder()
    await cell.start()
    offer_call(cell, recorder, "c", "slow", meta=RequestMeta("2026-07-28", ALL))
    async with asyncio.timeout(30):
        await begun.wait()
        await asyncio.sleep(0.01)
        assert not recorder.endings  # the step is waited for
        assert cell.cancel("c", "deadline")
        await ended.wait()
    await eventually(lambda: cell.running == 0)
    await cell.stop()


@pytest.mark.parametrize("how", ["cleanup", "converted"])
async def test_a_call_that_is_cancelled_while_it_is_suspended_crashes_nothing(
    server: Server, how: str
) -> None:
    hanging = asyncio.Event()

    @server.actor
    class Desk(Actor):
        @tool
        async def ask(self, ctx: Context) -> str:
            try:
                await ctx.elicit("?", key="k")
            finally:
                hanging.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if how == "converted":
                        raise RuntimeError("of the cleanup") from None
                    raise
            return "never"

    cell, recorder = cell_for(server, "Desk"), Recorder()
    await cell.start()
    offer_call(cell, recorder, "c", "ask", meta=RequestMeta("2026-07-28", ALL))
    async with asyncio.timeout(30):
        await hanging.wait()
    assert cell.cancel("c", "cancelled")
    await eventually(lambda: cell.running == 0)
    assert cell.state == "ready"
    await cell.stop()
