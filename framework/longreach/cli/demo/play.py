"""The play: three nodes serve, one is killed, one drains, a new one joins, and every call is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from longreach.cli.demo.board import Board, NodeRow
from longreach.cli.demo.callers import IN_FLIGHT, Callers
from longreach.cli.demo.jobs import Jobs, all_jobs
from longreach.cli.demo.processes import Stage
from longreach.client.connect import connect
from longreach.client.mesh import Mesh
from longreach.errors import LongreachError
from longreach.tasks import TaskSet
from longreach.transport.options import NatsOptions

DEFAULT_SECONDS = 16.0
SERVERS = ("longreach.cli.demo.servers:risk", "longreach.cli.demo.servers:docs")
_FIRST_NODES = (("eu-1", "eu"), ("eu-2", "eu"), ("us-1", "us"))
_KILLED, _DRAINED, _JOINING = "eu-2", "us-1", ("us-2", "us")
_START_TIMEOUT_S = 30.0
_END_TIMEOUT_S = 30.0
_WATCH_EVERY_S = 0.25
_LOOK_EVERY_S = 0.05
_ENOUGH_ON_IT = 8
"""So many calls have to be on a node before it is killed; otherwise the kill would show nothing."""
_AIM_TIMEOUT_S = 5.0
_ENOUGH_ANSWERED = 20
"""So many calls the new node has to answer before the play may end."""
_SHARE_TIMEOUT_S = 10.0


class Ending(NamedTuple):
    """What the play came to.

    Attributes:
        killed_at_s: when the node was killed.
        on_killed: how many calls it said it had, just before.
        drain_took_s: from the request to the end of the process.
        problems: whatever should not have been; empty: all is well.
    """

    killed_at_s: float
    on_killed: int
    drain_took_s: float
    problems: tuple[str, ...]


class Play:
    """One run of the demo on a stage.

    Args:
        stage: where the processes are.
        board: where everything is written down.
        seconds: how long the calls go on, about.
    """

    def __init__(self, stage: Stage, board: Board, seconds: float = DEFAULT_SECONDS) -> None:
        self._stage = stage
        self._board = board
        self._act_s = seconds / 4
        self._tasks = TaskSet("demo")
        self._mesh: Mesh
        self._killed_at_s = 0.0
        self._on_killed = 0
        self._drain_took_s = 0.0

    async def run(self) -> Ending:
        """Play it to its end.

        Raises:
            LongreachError: a node does not start or end; nothing can be shown then.
        """
        found = self._stage.broker
        async with connect(found.url, connection=NatsOptions(token=found.token)) as self._mesh:
            try:
                await self._play()
            finally:
                await self._tasks.close()
        return Ending(self._killed_at_s, self._on_killed, self._drain_took_s, tuple(self._problems()))

    async def _play(self) -> None:
        working_out = self._tasks.spawn(asyncio.to_thread(all_jobs), name="work the results out")
        await self._open()
        callers = Callers(self._mesh, Jobs(await working_out), self._board)
        self._tasks.start(self._watch(), name="watch the nodes")
        try:
            callers.start()
            self._board.say(f"{IN_FLIGHT} callers begin, 16 of them bound to region eu", "good")
            for act in (self._steady, self._kill, self._drain, self._join):
                await self._act(act)
            self._board.now_playing = "the last calls are coming home"
            await callers.finish(_END_TIMEOUT_S)
            await self._look()
            self._board.now_playing = "all calls have ended"
        finally:
            await callers.close()

    async def _act(self, act: Callable[[], Awaitable[None]]) -> None:
        """One act: what happens in it, and then the rest of its time."""
        ends_at_s = self._board.now_s + self._act_s
        await act()
        await asyncio.sleep(max(0.0, ends_at_s - self._board.now_s))

    async def _open(self) -> None:
        self._board.now_playing = "three nodes start"
        for identity, region in _FIRST_NODES:
            self._add(identity, region)
        for identity, _ in _FIRST_NODES:
            await self._serving(identity)
        tools = await self._mesh.tools()
        servers = {tool.server for tool in tools}
        self._board.say(f"3 nodes in 2 regions serve {len(tools)} tools of {len(servers)} servers", "good")

    async def _steady(self) -> None:
        self._board.now_playing = "three nodes share the calls"

    async def _kill(self) -> None:
        self._board.now_playing = f"{_KILLED} is about to be killed"
        row = self._board.nodes[_KILLED]
        self._on_killed = await self._calls_on(row)
        self._stage.nodes[_KILLED].kill()
        self._killed_at_s = self._board.now_s
        row.state, row.in_flight = "killed", 0
        text = f"kill -9 {row.pid}: {_KILLED} is dead, with {self._on_killed} calls on it"
        self._board.say(text, "bad")
        self._board.now_playing = f"{_KILLED} was killed; its calls run elsewhere"

    async def _drain(self) -> None:
        row = self._board.nodes[_DRAINED]
        began_s = self._board.now_s
        answer = await self._mesh.ops(row.name, "drain")
        row.state = "draining"
        self._board.say(f"{_DRAINED} is asked to drain: {answer.get('state', 'yes')}", "loud")
        self._board.now_playing = f"{_DRAINED} finishes what it has; new calls go elsewhere"
        code = await self._stage.nodes[_DRAINED].wait(_END_TIMEOUT_S)
        self._drain_took_s = self._board.now_s - began_s
        row.state, row.in_flight = "drained", 0
        text = f"{_DRAINED} has drained in {self._drain_took_s:.1f} s and left with exit code {code}"
        self._board.say(text, "good")
        self._board.now_playing = "one node of three is left, and serves both regions"

    async def _join(self) -> None:
        identity, region = _JOINING
        self._board.now_playing = f"{identity} joins"
        self._add(identity, region)
        await self._serving(identity)
        self._board.say(f"{identity} has joined: calls of region {region} come home", "good")
        self._board.now_playing = f"{identity} takes its share"
        row = self._board.nodes[identity]
        give_up_at_s = self._board.now_s + _SHARE_TIMEOUT_S
        while (  # noqa: ASYNC110 - the books tell nobody when they change
            self._answered_by(row) < _ENOUGH_ANSWERED and self._board.now_s < give_up_at_s
        ):
            await asyncio.sleep(_LOOK_EVERY_S)

    def _answered_by(self, row: NodeRow) -> int:
        return self._board.tally.per_node[row.region, row.name]

    def _add(self, identity: str, region: str) -> None:
        process = self._stage.start(identity, region, SERVERS)
        self._board.nodes[identity] = NodeRow(identity, region, process.pid)

    async def _serving(self, identity: str) -> None:
        """Wait until a node has announced itself."""
        row, process = self._board.nodes[identity], self._stage.nodes[identity]
        give_up_at_s = self._board.now_s + _START_TIMEOUT_S
        while not row.name:
            if process.exit_code is not None or self._board.now_s > give_up_at_s:
                raise LongreachError(f"node {identity} does not start: {process.last_words}")
            await asyncio.sleep(_LOOK_EVERY_S)
            for info in await self._mesh.nodes():
                if info.identity == identity and len(info.servers) == len(SERVERS):
                    row.name, row.state = info.name, "serving"

    async def _calls_on(self, row: NodeRow) -> int:
        """How many calls a node has, as soon as there are enough."""
        give_up_at_s = self._board.now_s + _AIM_TIMEOUT_S
        while True:
            answer = await self._mesh.ops(row.name, "info")
            count = int(answer["inFlight"])
            if count >= _ENOUGH_ON_IT or self._board.now_s > give_up_at_s:
                return count
            await asyncio.sleep(0)

    async def _watch(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(_WATCH_EVERY_S)

    async def _look(self) -> None:
        """Ask the nodes what they have, for the display."""
        for row in tuple(self._board.nodes.values()):
            if row.state not in ("serving", "draining"):
                continue
            with suppress(LongreachError):  # it may have gone meanwhile; the next round shows it
                answer = await self._mesh.ops(row.name, "info", timeout_s=0.5)
                if row.state in ("serving", "draining"):
                    row.in_flight = int(answer["inFlight"])

    def _problems(self) -> list[str]:
        tally = self._board.tally
        joined = self._board.nodes[_JOINING[0]]
        checks = [
            (tally.in_flight, f"{tally.in_flight} calls never ended"),
            (tally.failures, f"{len(tally.failures)} calls failed, such as: {tally.failures[:1]}"),
            (tally.wrong, f"{len(tally.wrong)} results are wrong, such as: {tally.wrong[:1]}"),
            (tally.strayed, f"{tally.strayed} calls bound to a region ran outside it"),
            (self._stage.nodes[_DRAINED].exit_code != 0, f"{_DRAINED} did not drain cleanly"),
            (not self._answered_by(joined), f"{joined.identity} got no calls"),
        ]
        return [text for found, text in checks if found]
