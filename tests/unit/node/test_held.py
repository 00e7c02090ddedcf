"""The node's log says which handler held the event loop."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest
from tests.support.actors import Recorder, cell_for, offer_call

from longreach.actor.server import Server
from longreach.node.held import HeldLoop


async def until(caplog: pytest.LogCaptureFixture, name: str) -> logging.LogRecord:
    async with asyncio.timeout(20):
        while True:
            for record in caplog.records:
                if record.getMessage() == name:
                    return record
            await asyncio.sleep(0.01)


def fields(record: logging.LogRecord) -> dict[str, object]:
    found: dict[str, object] = record.event_fields  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("first_waits", [False, True])
async def test_a_handler_that_holds_the_loop_is_named(
    caplog: pytest.LogCaptureFixture, first_waits: bool
) -> None:
    caplog.set_level(logging.DEBUG, "longreach.node.held")
    server = Server("s")

    @server.tool
    async def computes() -> str:
        if first_waits:
            await asyncio.sleep(0)
        until = time.monotonic() + 20
        while time.monotonic() < until and not any(each.msg == "loop.held" for each in caplog.records):
            time.sleep(0.01)  # noqa: ASYNC251 - it holds the loop: that is what is told
        return "done"

    cell = cell_for(server, "computes")
    await cell.start()
    held = HeldLoop(held_s=0.05, every_s=0.01)
    held.open()
    seen = Recorder()
    try:
        offer_call(cell, seen, "a", "computes")
        assert await seen.text("a") == "done"
        said = fields(await until(caplog, "loop.held"))
        assert "computes" in str(said["handler"])
        assert __file__ in str(said["at"])
        over = fields(await until(caplog, "loop.released"))
        assert float(str(over["held_s"])) >= 0.05
        assert "in computes" in next(each.getMessage() for each in caplog.records if "stack" in each.msg)
    finally:
        held.close()
        await cell.stop(1)


async def test_a_loop_that_is_held_by_no_handler_is_told_with_the_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = HeldLoop(held_s=0.05, every_s=0.01)
    held.open()
    try:
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s and not caplog.records:
            time.sleep(0.01)  # noqa: ASYNC251 - it holds the loop: that is what is told
        said = fields(await until(caplog, "loop.held"))
        assert said["handler"] == "none"
        assert __file__ in str(said["at"])
    finally:
        held.close()
