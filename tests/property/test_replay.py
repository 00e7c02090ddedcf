"""Random handlers of steps and questions, answered bit by bit on ever other nodes, do what one run would.

Each step's effect happens once, and the result is that of a run that has all answers at hand, however the
rounds are split and whichever task overtakes which.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.rounds import Caller, accept, asked, keys_of, text_of

from longreach.actor.asks import Elicit
from longreach.actor.call import Failed
from longreach.actor.context import Context
from longreach.actor.server import Server


class Step(NamedTuple):
    is_async: bool


class Asking(NamedTuple):
    several: int


class Together(NamedTuple):
    lanes: list[list[Any]]
    group: bool


class If(NamedTuple):
    yes: list[Any]
    no: list[Any]


_LEAF = st.one_of(st.builds(Step, st.booleans()), st.builds(Asking, st.integers(1, 3)))
_OP = st.recursive(
    _LEAF,
    lambda op: st.one_of(
        st.builds(Together, st.lists(st.lists(op, max_size=3), min_size=1, max_size=3), st.booleans()),
        st.builds(If, st.lists(op, max_size=2), st.lists(op, max_size=2)),
    ),
    max_leaves=8,
)
_PROGRAM = st.lists(_OP, max_size=4)


def answer_to(key: str) -> bool:
    return sum(key.encode()) % 2 == 0


class Machine:
    """Runs a program; `context` None: all at once, with all answers at hand."""

    def __init__(self, context: Context | None, effects: Counter[str], chance: random.Random) -> None:
        self.context = context
        self.effects = effects
        self.chance = chance

    async def run(self, program: list[Any], path: str) -> list[Any]:
        return [await self.do(op, f"{path}.{at}") for at, op in enumerate(program)]

    async def do(self, op: Any, path: str) -> Any:
        for _ in range(self.chance.choice((0, 0, 1, 3)) if self.context is not None else 0):
            await asyncio.sleep(0)
        match op:
            case Step(is_async):
                return await self.step(path, is_async)
            case Asking(several):
                return await self.ask([f"{path}-{number}" for number in range(several)])
            case Together(lanes, group):
                return await self.together(lanes, group, path)
            case If(yes, no):
                (answer,) = await self.ask([path])
                return [answer, *await self.run(yes if answer else no, f"{path}/{answer}")]

    async def step(self, path: str, is_async: bool) -> Any:
        def effect() -> list[Any]:
            self.effects[path] += 1
            return [path, self.effects[path]]

        async def slow() -> list[Any]:
            await asyncio.sleep(0)
            result = effect()
            await asyncio.sleep(0)
            return result

        if self.context is None:
            return effect()
        return await self.context.step(path, slow if is_async else effect)

    async def ask(self, keys: list[str]) -> list[bool]:
        if self.context is None:
            return [answer_to(key) for key in keys]
        if len(keys) == 1:
            found = await self.context.elicit(f"{keys[0]}?", bool, key=keys[0])
            return [bool(found.content)]
        several = await self.context.ask({key: Elicit(f"{key}?", bool) for key in keys})
        return [several[key].content for key in keys]

    async def together(self, lanes: list[list[Any]], group: bool, path: str) -> list[Any]:
        lanes_of = [self.run(lane, f"{path}:{number}") for number, lane in enumerate(lanes)]
        if not group:
            return list(await asyncio.gather(*lanes_of))
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(lane) for lane in lanes_of]
        return [task.result() for task in running]


async def _in_rounds(program: list[Any], seed: int) -> tuple[str, Counter[str]]:
    chance, effects, server = random.Random(seed), Counter[str](), Server("s")

    @server.tool
    async def run(ctx: Context) -> str:
        return repr(await Machine(ctx, effects, chance).run(program, ""))

    caller = Caller(server, "run")
    ending = await caller.send()
    for _ in range(300):
        if getattr(getattr(ending, "result", None), "result_type", None) != "input_required":
            return text_of(ending), effects
        keys, state = keys_of(ending), asked(ending).request_state
        answered = chance.sample(keys, chance.randint(0 if chance.random() < 0.2 else 1, len(keys)))
        responses = {key: accept(value=answer_to(key)) for key in answered}
        misfits = {key: accept(value="maybe") for key in answered if chance.random() < 0.1}
        ending = await caller.send(state=state, responses={**responses, **misfits})
        if isinstance(ending, Failed):  # it did nothing new, so that nothing is lost by trying again
            assert misfits
            ending = await caller.send(state=state, responses=responses)
    raise AssertionError("it does not end")


@given(_PROGRAM, st.integers(0, 2**32))
@settings(deadline=None, max_examples=150)
def test_rounds_do_what_one_run_does(program: list[Any], seed: int):
    direct: Counter[str] = Counter()
    expected = asyncio.run(Machine(None, direct, random.Random(0)).run(program, ""))

    text, effects = asyncio.run(_in_rounds(program, seed))

    assert text == repr(expected)
    assert effects == direct
    assert all(count == 1 for count in effects.values())
