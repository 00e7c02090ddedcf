"""Whatever its attempts come to, a hedged call runs twice at most, and ends in the worst that was seen."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from longreach.client.caller import Caller
from longreach.client.options import CallOptions
from longreach.client.plan import CallStats, Plan, Target
from longreach.clock import FakeClock
from longreach.errors import LongreachError, RemoteError
from longreach.policy.hints import Hints
from longreach.policy.retry import Failure, RetryBudget
from longreach.policy.route import Candidate

TARGET = Target("docs", "tools/call", "do")
PLACES = (Candidate("eu", "_", ""), Candidate("us", "_", ""))
RANK = {"no": 0, "unknown": 1, "yes": 2}
ENDINGS = st.sampled_from(
    [
        "answer",
        "error",
        Failure("no", "draining", "eu"),
        Failure("no", "no_responders", "eu"),
        Failure("no", "denied", "eu"),
        Failure("unknown", "node_died", "eu"),
        Failure("unknown", "cut_off", "eu"),
        Failure("yes", "result_too_large", "eu"),
    ]
)
ATTEMPTS = st.lists(st.tuples(ENDINGS, st.integers(0, 3)), min_size=12, max_size=12)


class World:
    """Attempts end as they are told to, after so many turns of the loop as they are told to."""

    def __init__(self, attempts: list[tuple[Any, int]]) -> None:
        self.attempts = attempts
        self.sent = 0
        self.seen: list[str] = []
        self.running = 0

    async def send(self, request: Any, candidate: Candidate, now: float) -> Any:
        ending, turns = self.attempts[min(self.sent, len(self.attempts) - 1)]
        self.sent += 1
        self.running += 1
        try:
            for _ in range(turns):
                await asyncio.sleep(0.001)
        finally:
            self.running -= 1
        self.seen.append("yes" if isinstance(ending, str) else ending.delivered)
        if ending == "error":
            raise RemoteError("no", code=7, region="eu")
        return "done" if ending == "answer" else ending._replace(region=candidate.region, to=candidate.to)


async def run(world: World, *, idempotent: bool | None) -> tuple[str, Any]:
    clock = FakeClock()
    vigil: Any = SimpleNamespace(liveness=SimpleNamespace(stuck=()))
    sender: Any = SimpleNamespace(send=world.send)
    caller = Caller(sender, vigil, clock, RetryBudget(), CallStats())

    async def pause(delay_s: float) -> None:
        clock.advance(delay_s)

    caller._pause = pause  # type: ignore[method-assign]

    def candidates(denied: frozenset[str]) -> tuple[Candidate, ...]:
        return tuple(place for place in PLACES if place.region not in denied)

    plan = Plan(
        TARGET, TARGET, PLACES[0], candidates,
        lambda: Hints(read_only=True, idempotent=True), None, b"", lambda candidate, _: candidate,
    )  # fmt: skip
    options = CallOptions(timeout_s=5, hedge_s=0.0015, idempotent=idempotent)
    try:
        outcome: Any = await caller.call(plan, b"", options, lambda *_: b"", lambda answer, _: answer)
    except LongreachError as error:
        return error.delivered, error
    return "answer", outcome


@settings(max_examples=150, deadline=None)
@given(attempts=ATTEMPTS, idempotent=st.none() | st.just(True))
def test_a_hedged_call_runs_twice_at_most_and_ends_in_the_worst_that_was_seen(
    attempts: list[tuple[Any, int]], idempotent: bool | None
) -> None:
    world = World(attempts)
    ended, outcome = asyncio.run(run(world, idempotent=idempotent))
    assert world.running == 0, "an attempt outlives its call"
    assert sum(delivered != "no" for delivered in world.seen) <= 2
    if ended == "answer":
        assert outcome.result == "done"
        assert outcome.attempts <= world.sent
    else:
        assert RANK[ended] == max(RANK[delivered] for delivered in world.seen)
