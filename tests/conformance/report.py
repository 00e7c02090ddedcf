"""The table at the end: scenarios, checks, traffic, what was left out; and whether all is well."""

from __future__ import annotations

import sys

from tests.conformance import plan
from tests.conformance.deployment import NODES, Deployment
from tests.conformance.suite import Scenario


class Report:
    """Collects what came of each run, and prints it as it comes."""

    def __init__(self) -> None:
        self._wrong: list[str] = []
        self._left_out: dict[str, str] = dict(plan.EXCLUDED_ALWAYS)
        self._passed = 0
        self._failed = 0

    def server(self, server: str, version: str, got: list[Scenario], owed: list[Scenario] | None) -> None:
        """What a server passed through the mesh; `owed`: what it did by itself, where that is the measure."""
        where = f"{server} {version}"
        spared = {scenario.name for scenario in owed or [] if not scenario.passed}
        must = [scenario for scenario in got if scenario.name not in spared]
        for scenario in got:
            if scenario.name in spared:
                word = "passes" if scenario.passed else "fails"
                self._left_out[f"{where} {scenario.name}"] = (
                    f"fails over {server}'s own HTTP too; here it {word}"
                )
        self._table(where, must)

    def client(self, version: str, got: list[Scenario], left_out: dict[str, str]) -> None:
        """What the HTTP client passed, and which scenarios are not for it."""
        self._table(f"client {version}", got)
        for why in sorted(set(left_out.values())):
            names = [name for name, reason in left_out.items() if reason == why]
            self._left_out[f"client {version}, {len(names)} scenarios {names[0].split('/')[0]}/*"] = why

    def traffic(self, mesh: Deployment) -> None:
        """How many requests went to each gateway, and answers came from each node; none may be idle."""
        say("\nrequests by gateway, results by node")
        for port, count in mesh.balancer.requests.items():
            say(f"  gateway :{port:<24} {count:>6}")
            if not count:
                self._wrong.append(f"no request went to gateway :{port}")
        for identity in NODES:
            count = sum(n for node, n in mesh.balancer.answers.items() if node.split(".")[0] == identity)
            say(f"  {identity:<33} {count:>6}")
            if not count:
                self._wrong.append(f"no result came from {identity}")

    def close(self, seconds: float) -> int:
        """Print the rest; the exit code."""
        say("\nleft out")
        for what, why in self._left_out.items():
            say(f"  {what}: {why}")
        for line in self._wrong:
            say(f"WRONG {line}")
        say(f"\n{seconds:.0f} s")
        say(f"conformance: {self._passed} passed, {self._failed} failed")
        return 1 if self._wrong else 0

    def _table(self, where: str, got: list[Scenario]) -> None:
        passed = [scenario for scenario in got if scenario.passed]
        checks = sum(scenario.succeeded for scenario in got)
        say(f"\n{where}: {len(passed)} of {len(got)} scenarios pass, {checks} checks")
        self._passed += len(passed)
        self._failed += len(got) - len(passed)
        if not got:
            self._wrong.append(f"{where}: nothing ran")
        for scenario in got:
            say(f"  {'ok  ' if scenario.passed else 'FAIL'} {scenario.name:<48} {scenario.succeeded:>3}")
            for check in scenario.skipped:
                self._left_out[f"{where} {scenario.name} {check.id}"] = (
                    check.error_message or "not applicable"
                )
            for check in scenario.failed:
                say(f"         {check.status} {check.id}: {check.error_message or check.description}")
                self._wrong.append(f"{where} {scenario.name} {check.id}")
            if not scenario.passed and not scenario.failed:
                self._wrong.append(f"{where} {scenario.name}: no check succeeded")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
