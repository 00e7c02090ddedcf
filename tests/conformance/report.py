"""What came of a run: scenarios, checks, traffic, what was left out; and whether all is well."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance import plan
from tests.conformance.deployment import NODES, Deployment
from tests.conformance.suite import Scenario

BEGIN, END = "<!-- computed by make conformance -->", "<!-- end of what is computed -->"


@dataclass
class Row:
    """One line of the table: one server or client, at one version."""

    what: str
    version: str
    scenarios: int
    passed: int
    checks: int


@dataclass
class Report:
    """Collects what came of each run, and says it as it comes.

    Attributes:
        rows: the table.
        wrong: everything that must not be.
        left_out: what did not count, and why.
        traffic_lines: requests by gateway, results by node.
    """

    rows: list[Row] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=lambda: dict(plan.EXCLUDED_ALWAYS))
    traffic_lines: list[str] = field(default_factory=list)

    def server(self, server: str, version: str, got: list[Scenario], owed: list[Scenario] | None) -> None:
        """What a server passed through the mesh; `owed`: what it did by itself, where that is the measure."""
        known = plan.OWN_FAILURES.get(server, {})
        spared = {
            each.name: known[each.name] for each in owed or [] if each.name in known and not each.passed
        }
        for scenario in got:
            if scenario.name in spared:
                here = "passes" if scenario.passed else "fails"
                why = f"{spared[scenario.name]}, and fails this over its own HTTP; here it {here}"
                self.left_out[f"{server} {version} {scenario.name}"] = why
        self._judge(server, version, [scenario for scenario in got if scenario.name not in spared])

    def client(self, version: str, got: list[Scenario], left_out: dict[str, str]) -> None:
        """What the bridge passed, and which scenarios are not for it."""
        self._judge("bridge", version, got)
        for why in sorted(set(left_out.values())):
            names = [name for name, reason in left_out.items() if reason == why]
            self.left_out[f"bridge {version} {names[0].split('/')[0]}/* ({len(names)} scenarios)"] = why

    def traffic(self, mesh: Deployment) -> None:
        """How many requests went to each gateway, and results came from each node; none may be idle."""
        counts = {
            f"gateway {number}": mesh.balancer.requests[port] for number, port in enumerate(mesh.gateways, 1)
        }
        for identity in NODES:
            answers = mesh.balancer.answers.items()
            counts[identity] = sum(count for node, count in answers if node.split(".")[0] == identity)
        for who, count in counts.items():
            self.traffic_lines.append(f"{who}: {count} {'requests' if 'gateway' in who else 'results'}")
            if not count:
                self.wrong.append(f"{who} got nothing to do")
        say("\n" + "\n".join(self.traffic_lines))

    def close(self, seconds: float) -> int:
        """Say the rest; the exit code."""
        say("\nleft out")
        for what, why in self.left_out.items():
            say(f"  {what}: {why}")
        say("")
        for line in self.wrong:
            say(f"WRONG {line}")
        passed = sum(row.passed for row in self.rows)
        say(f"{seconds:.0f} s")
        say(f"conformance: {passed} passed, {sum(row.scenarios for row in self.rows) - passed} failed")
        return 1 if self.wrong else 0

    def write(self, page: Path) -> None:
        """Put the numbers into the page that describes them."""
        before, _, rest = page.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        table = ["| tested | version | scenarios | pass | checks |", "| --- | --- | --- | --- | --- |"]
        for row in self.rows:
            cells = (row.what, row.version, row.scenarios, row.passed, row.checks)
            table.append("| " + " | ".join(map(str, cells)) + " |")
        left_out = [f"- {what}: {why}." for what, why in self.left_out.items()]
        parts = [
            BEGIN,
            "",
            *table,
            "",
            "; ".join(self.traffic_lines) + ".",
            "",
            "Left out:",
            "",
            *left_out,
            "",
        ]
        page.write_text(before + "\n".join(parts) + "\n" + END + after)

    def _judge(self, what: str, version: str, got: list[Scenario]) -> None:
        passed = sum(scenario.passed for scenario in got)
        checks = sum(scenario.succeeded for scenario in got)
        self.rows.append(Row(what, version, len(got), passed, checks))
        say(f"\n{what} {version}: {passed} of {len(got)} scenarios pass, {checks} checks")
        if not got:
            self.wrong.append(f"{what} {version}: nothing ran")
        for scenario in got:
            self._one(f"{what} {version} {scenario.name}", scenario)

    def _one(self, name: str, scenario: Scenario) -> None:
        say(f"  {'ok  ' if scenario.passed else 'FAIL'} {scenario.name:<48} {scenario.succeeded:>3}")
        for check in scenario.skipped:
            self.left_out[f"{name} {check.id}"] = plan.why_skipped(check)
        for check in scenario.failed:
            say(f"         {check.status} {check.id}: {check.error_message or check.description}")
            self.wrong.append(f"{name} {check.id}")
        if not scenario.passed and not scenario.failed:
            self.wrong.append(f"{name}: no check succeeded")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
