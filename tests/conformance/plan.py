"""What is left out, and why. Whatever is not named here must run and pass."""

from __future__ import annotations

from tests.conformance.suite import Check, Scenario

EXCLUDED_CLIENT = {
    "auth/": "the bridge sends credentials that it is given, as headers, and does no OAuth",
}
"""Client scenarios by the beginning of their names."""

EXCLUDED_ALWAYS = {
    "tasks-*": "the tasks extension (SEP-2663) is not built yet; the suite runs it at no released version",
    "sep-2640-*": "the skills extension (SEP-2640) is not part of either version, and is not built",
}
"""Extensions: the suite itself leaves them out when a version is asked for."""


_NO_SUBSCRIBE = "FastMCP has no resources/subscribe"
OWN_FAILURES: dict[str, dict[str, str]] = {
    "fast": {"resources-subscribe": _NO_SUBSCRIBE, "resources-unsubscribe": _NO_SUBSCRIBE},
}
"""What a framework is known to fail over its own HTTP; what it fails besides has to pass through the mesh."""

SKIPPED = {
    "sep-2575-client-declares-": "optional; the scenario's server offers nothing, so that nobody can call: "
    "the bridge declares what its callers can do, on the requests that it makes for them",
    "sep-2243-client-includes-standard-headers": "2026-07-28 has no notifications/initialized",
}
"""Checks that the suite skips, by the beginning of their ids; of others, the suite says itself why."""


def why_skipped(check: Check) -> str:
    """Why the suite has skipped a check."""
    known = next((why for start, why in SKIPPED.items() if check.id.startswith(start)), None)
    return known or check.error_message or "the suite does not say why"


def excluded_client(scenario: str) -> str | None:
    """Why a client scenario is left out; None if it runs."""
    return next((why for start, why in EXCLUDED_CLIENT.items() if scenario.startswith(start)), None)


def missing(expected: list[str], got: list[Scenario]) -> list[Scenario]:
    """Those that should have run and left no result, as failed ones."""
    absent = [name for name in expected if name not in {scenario.name for scenario in got}]
    return [Scenario(name, [Check("never-ran", "FAILURE", "", "it left no result")]) for name in absent]
