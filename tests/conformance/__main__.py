"""`python -m tests.conformance`: the official suite against a whole mesh, and what came of it.

Every scenario of every version must pass on the fixtures written for our own `Server`; on those written
for the official SDK and for FastMCP, every scenario that passes over that framework's own HTTP. Exit code 1
otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import time
from pathlib import Path

from tests.conformance import plan
from tests.conformance.client import BROKER
from tests.conformance.deployment import FIXTURES, SERVERS, Deployment
from tests.conformance.report import Report
from tests.conformance.suite import VERSIONS, Scenario, Suite
from tests.conformance.toolbox import ROOT, NotInstalled, install
from tests.support.broker import Broker, free_port
from tests.support.services import Service

RESULTS = ROOT / ".cache" / "conformance"
CLIENT = f"{shlex.quote(sys.executable)} -m tests.conformance.client"
CLIENTS_AT_ONCE = 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--server", action="append", choices=SERVERS, help="only this one; may be repeated")
    parser.add_argument("--version", action="append", choices=VERSIONS, help="only this one; may be repeated")
    parser.add_argument("--scenario", help="only this server scenario")
    parser.add_argument("--no-client", action="store_true", help="leave the client scenarios out")
    parser.add_argument("--wire", type=Path, help="a file for all requests and answers at the balancer")
    parser.add_argument("--write", action="store_true", help="put the numbers into docs/conformance.md")
    return parser.parse_args()


async def own_http(
    suite: Suite, server: str, versions: list[str], one: str | None
) -> dict[str, list[Scenario]]:
    """What the fixtures of a framework pass over its own HTTP."""
    port = free_port()
    with Service(RESULTS / f"{server}.log", "-m", f"{FIXTURES}.{server}", str(port)) as service:
        service.listens(port)
        url = f"http://localhost:{port}/mcp"
        return {version: await suite.server(url, version, f"{server}-own", one) for version in versions}


async def through_the_mesh(suite: Suite, report: Report, options: argparse.Namespace) -> None:
    servers: list[str] = options.server or list(SERVERS)
    versions: list[str] = options.version or list(VERSIONS)
    baseline = {
        server: await own_http(suite, server, versions, options.scenario)
        for server in servers
        if server != "native"
    }
    async with Deployment(RESULTS, tuple(servers), options.wire) as mesh:
        for server in servers:
            for version in versions:
                got = await suite.server(mesh.url(server), version, f"{server}-mesh", options.scenario)
                if options.scenario is None:
                    got += plan.missing(await suite.scenarios("server", version), got)
                owed = None if server == "native" else baseline[server][version]
                report.server(server, version, got, owed)
        report.traffic(mesh)


async def clients(suite: Suite, report: Report, versions: list[str]) -> None:
    slots = asyncio.Semaphore(CLIENTS_AT_ONCE)
    broker = Broker()

    async def one(scenario: str, version: str) -> Scenario:
        async with slots:
            return await suite.client(CLIENT, scenario, version, {BROKER: broker.url})

    with broker:
        for version in versions:
            names = await suite.scenarios("client", version)
            chosen = [name for name in names if plan.excluded_client(name) is None]
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(one(name, version)) for name in chosen]
            left_out = {name: why for name in names if (why := plan.excluded_client(name)) is not None}
            report.client(version, [task.result() for task in running], left_out)


async def main() -> int:
    options = arguments()
    started = time.monotonic()
    try:
        toolbox = await asyncio.to_thread(install)
    except NotInstalled as error:
        sys.stderr.write(f"{error}\n")
        return 1
    RESULTS.mkdir(parents=True, exist_ok=True)
    suite, report = Suite(toolbox, RESULTS), Report()
    await through_the_mesh(suite, report, options)
    if not options.no_client and options.scenario is None:
        await clients(suite, report, options.version or list(VERSIONS))
    if options.write:
        report.write(ROOT / "docs" / "conformance.md")
    return report.close(time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
