from __future__ import annotations

import asyncio

from longreach_bridge.foreign.calls import Ask, ForeignCall
from longreach_bridge.foreign.lanes import Lanes

ASK = Ask("q", "elicitation/create", {})


def made(wait_s: float = 30.0) -> tuple[Lanes, list[tuple[Ask, ForeignCall | None]]]:
    told: list[tuple[Ask, ForeignCall | None]] = []
    return Lanes(lambda ask, call: told.append((ask, call)), wait_s), told


def call(number: int) -> ForeignCall:
    return ForeignCall(number, "tools/call")


async def test_the_only_call_is_meant() -> None:
    lanes, told = made()
    one = call(1)
    await lanes.enter(one)

    lanes.ask(ASK)

    assert told == [(ASK, one)]


async def test_without_a_call_none_is_meant() -> None:
    lanes, told = made()

    lanes.ask(ASK)

    assert told == [(ASK, None)]


async def test_of_several_the_last_one_left_is_meant_and_none_that_came_later() -> None:
    lanes, told = made()
    calls = [call(number) for number in range(3)]
    for each in calls:
        await lanes.enter(each)
    lanes.ask(ASK)

    await lanes.leave(calls[0])
    assert told == []
    await lanes.leave(calls[2])

    assert told == [(ASK, calls[1])]


async def test_a_question_whose_owner_cannot_be_told_is_given_up() -> None:
    lanes, told = made(wait_s=0.01)
    for number in range(2):
        await lanes.enter(call(number))
    lanes.ask(ASK)

    async with asyncio.timeout(30):
        while not told:
            await asyncio.sleep(0)

    assert told == [(ASK, None)]


async def test_after_the_first_question_calls_take_turns() -> None:
    lanes, _ = made()
    one, two = call(1), call(2)
    await lanes.enter(one)
    lanes.ask(ASK)
    entering = asyncio.get_running_loop().create_task(lanes.enter(two))
    await asyncio.sleep(0)
    assert not entering.done()

    await lanes.leave(one)

    async with asyncio.timeout(30):
        await entering
