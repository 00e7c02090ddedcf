from __future__ import annotations

import asyncio

import pytest
from msgspec import UNSET
from tests.support.actors import Recorder, cell_for, make_call, make_place, offer_call

from longreach.actor.context import Context, current_context
from longreach.actor.server import Server
from longreach.clock import FakeClock
from longreach.errors import LongreachError
from longreach.wire.jsonrpc import RequestMeta


def make_context(meta=UNSET, *, clock=None, **changes) -> tuple[Context, Recorder]:
    recorder, clock = Recorder(), clock or FakeClock()
    call = make_call(recorder, "k", None, timeout_s=5, clock=clock, meta=meta)
    for name, value in changes.items():
        setattr(call, name, value)
    return Context(call, make_place(clock=clock), asyncio.get_running_loop()), recorder


async def test_it_says_who_calls_where_and_what():
    context, _ = make_context(via="gw", caller="al=20ice", id="7")
    assert (context.via, context.caller, context.request_id) == ("gw", "al ice", "7")
    assert (context.server, context.tool, context.region, context.node) == ("s", "t", "eu", "node.one")
    nobody, _ = make_context()
    assert (nobody.via, nobody.caller, nobody.meta, nobody.lifespan) == (None, None, None, None)


async def test_time_left_runs_down_to_cancelled():
    clock = FakeClock()
    context, _ = make_context(clock=clock)
    assert context.remaining_s == 5
    assert context.deadline == clock.monotonic() + 5
    clock.advance(5)
    assert context.remaining_s == 0
    assert context.cancelled


async def test_progress_is_sent_only_where_it_was_asked_for():
    quiet, said_nothing = make_context(RequestMeta())
    await quiet.report_progress(1)
    assert said_nothing.notes == []
    context, recorder = make_context(RequestMeta(progress_token="p"))
    await context.report_progress(1, 4, "first")
    context.progress(2)
    assert [note["params"] for _, note in recorder.notes] == [
        {"progressToken": "p", "progress": 1, "total": 4, "message": "first"},
        {"progressToken": "p", "progress": 2},
    ]
    assert recorder.notes[0][1]["method"] == "notifications/progress"


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        (UNSET, []),
        ("debug", ["debug", "info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("emergency", []),
        ("nonsense", []),
    ],
)
async def test_messages_are_sent_from_the_level_on_that_the_request_asks_for(wanted, sent):
    context, recorder = make_context(RequestMeta(log_level=wanted))
    for level in ("debug", "info", "warning", "error"):
        await getattr(context, level)({"level": level})
    assert [note["params"]["level"] for _, note in recorder.notes] == sent


async def test_what_has_no_json_form_is_logged_as_text():
    context, recorder = make_context(RequestMeta(log_level="info"))
    context.info(object)
    context.info("\udc80")
    assert [note["params"]["data"] for _, note in recorder.notes] == ["<class 'object'>", "?"]


async def test_nothing_is_sent_after_the_call_has_ended():
    context, recorder = make_context(RequestMeta(progress_token=1, log_level="debug"))
    context.finish()
    assert context.cancelled
    await context.report_progress(1)
    await context.info("late")
    assert recorder.notes == []


async def test_threads_report_too_in_order():
    server, seen = Server("s"), Recorder()

    @server.tool
    def work(ctx: Context = Context.injected) -> str:
        for step in range(3):
            ctx.report_progress(step)
        assert current_context() is ctx
        return "done"

    cell = cell_for(server, "work")
    await cell.start()
    offer_call(cell, seen, "a", "work", meta=RequestMeta(progress_token="p"))
    assert await seen.text("a") == "done"
    assert [note["params"]["progress"] for _, note in seen.notes] == [0, 1, 2]
    await cell.stop()


async def test_the_current_context_is_the_calls_own():
    server, seen = Server("s"), Recorder()

    @server.tool
    async def who(ctx: Context) -> str:
        await asyncio.sleep(0)
        assert current_context() is ctx
        return str(ctx.request_id)

    cell = cell_for(server, "who")
    await cell.start()
    for key in "ab":
        call = make_call(seen, key, cell.specs["tool who"])
        call.id = key
        cell.offer(call)
    assert [await seen.text(key) for key in "ab"] == ["a", "b"]
    await cell.stop()
    with pytest.raises(LongreachError, match="for handlers"):
        current_context()
