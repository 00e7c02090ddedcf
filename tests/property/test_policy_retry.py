"""Whatever happens to a call, it ends, in time, and runs again at most once and only if it may."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longreach.policy.hints import Hints
from longreach.policy.retry import Failure, RetryBudget, RetryState, Stop, decide
from longreach.policy.route import Candidate

REGIONS = ("eu", "us", "ap")
FAILURES = st.builds(
    lambda ending, region, wait: Failure(*ending, region, wait),
    st.sampled_from(
        [
            ("no", "busy"),
            ("no", "no_responders"),
            ("no", "denied"),
            ("no", "draining"),
            ("no", "link"),
            ("unknown", "node_died"),
            ("unknown", "deadline"),
            ("yes", "crashed_actor"),
        ]
    ),
    st.sampled_from(REGIONS),
    st.none() | st.floats(0, 3),
)


@given(
    failures=st.lists(FAILURES, min_size=1, max_size=60),
    offered=st.sets(st.sampled_from(REGIONS)),
    hints=st.builds(Hints, st.booleans(), st.booleans()),
    caller_said=st.none() | st.booleans(),
    burst=st.integers(0, 2),
    deadline=st.floats(0.1, 20),
    took_s=st.floats(0, 2),
    chance=st.floats(0, 0.999),
)
def test_a_call_ends_in_time_and_as_it_must(
    failures, offered, hints, caller_said, burst, deadline, took_s, chance
):
    state, now, maybe_ran, last = RetryState(), 0.0, 0, None
    candidates = [Candidate(region, "_", "") for region in sorted(offered)]
    for failure in failures:
        now += took_s
        state.failed(failure, now)
        maybe_ran += failure.delivered == "unknown"
        verdict = decide(
            failure,
            state,
            hints=hints,
            caller_said=caller_said,
            candidates=candidates,
            budget=RetryBudget(burst=burst),
            now=now,
            deadline=deadline,
            random=lambda: chance,
        )
        last = verdict
        if isinstance(verdict, Stop):
            break
        assert failure.delivered != "yes", "what has run was run again"
        assert failure.reason != "deadline"
        assert now + verdict.delay_s < deadline, "it would begin too late"
        assert maybe_ran <= 1, "run again twice"
        if maybe_ran:
            assert caller_said is not False
            assert burst
            assert caller_said or any(hints)
        if verdict.candidate is not None:
            assert verdict.candidate.region in offered
            assert verdict.candidate.region not in state.denied_regions
            if verdict.candidate.region == failure.region and failure.delivered == "no":
                assert verdict.delay_s >= (failure.retry_after_s or 0.0) - 1e-9
                assert verdict.delay_s > 0, "the same region again at once"
        now += verdict.delay_s
    if isinstance(last, Stop) and maybe_ran and failures[0].delivered != "yes":
        assert last.failure.delivered != "no", "it may have run, and is said not to have"
