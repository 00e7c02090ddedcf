"""Exchanges under way, and the one who looks after those that take their time.

A fast exchange costs an entry in a dict: no timer, no task, no watch over its connection. Four times a second
the overseer looks at the oldest ones. A body that is slow to come is given up; a call that takes longer gets
a task that notices when its client goes away, and keeps its stream alive with comments.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal

from longreach.observe import event
from longreach.tasks import TaskSet
from longreach_gateway.sse import EventStream

if TYPE_CHECKING:
    from longreach_gateway.answers import Receive, Send
    from longreach_gateway.audit import Entry

_log = logging.getLogger("longreach.gateway")
LOOK_EVERY_S = 0.25
Cut = Literal["slow", "gone", "stopped"]
"""Why an exchange was cut off: its body did not come, its client went away, the gateway stops."""


class Running:
    """One exchange.

    Attributes:
        since: when it began, on the event loop's clock.
        reading: whether its body is still coming.
        listening: whether it is a subscription, which lasts.
        over: whether its outcome is known; from then on nothing cuts it off.
        cut: why it was cut off, if it was.
        stream: its events, once there are any.
        entry: what the audit log will say of it; None: there is no such log.
    """

    __slots__ = (
        "_tasks", "cut", "entry", "listening", "over", "reading", "receive", "send", "since", "stream",
        "task", "watched",
    )  # fmt: skip

    def __init__(
        self, task: asyncio.Task[None], receive: Receive, send: Send, since: float, tasks: TaskSet
    ) -> None:
        self.task = task
        self.receive = receive
        self.send = send
        self.since = since
        self._tasks = tasks
        self.reading = True
        self.listening = False
        self.watched = False
        self.over = False
        self.cut: Cut | None = None
        self.stream: EventStream | None = None
        self.entry: Entry | None = None

    def note(self, data: bytes) -> None:
        """A notification came before the answer: from here on the answer is a stream."""
        self.open_stream().put(data)

    def open_stream(self) -> EventStream:
        """The exchange's stream."""
        if self.stream is None:
            self.stream = EventStream(self.send, self._tasks, self.stalled)
        return self.stream

    def stalled(self) -> None:
        """The client takes nothing any more."""
        self.cut_off("gone", even_if_over=True)

    def cut_off(self, why: Cut, *, even_if_over: bool = False) -> None:
        """End it early: cancelling its task cancels the call."""
        if self.cut is None and (even_if_over or not self.over):
            self.cut = why
            self.task.cancel()


class Overseer:
    """Looks after exchanges.

    Args:
        body_timeout_s: how long a body may take to come.
        quiet_s: how long an answer may be silent before it becomes a stream, and between comments in one.
    """

    def __init__(self, *, body_timeout_s: float, quiet_s: float) -> None:
        self._body_timeout_s = body_timeout_s
        self._quiet_s = quiet_s
        self._loop = asyncio.get_running_loop()
        self.tasks = TaskSet("gateway")
        self.running: dict[Running, None] = {}
        self.listening: dict[Running, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self, receive: Receive, send: Send) -> Running:
        """An exchange begins, in the current task."""
        task = asyncio.current_task(self._loop)  # without the loop it costs a system call, on Python 3.11
        assert task is not None, "exchanges run in tasks"
        running = Running(task, receive, send, self._loop.time(), self.tasks)
        self.running[running] = None
        if self._timer is None:
            self._idle.clear()
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        return running

    def listens(self, running: Running) -> None:
        """It is a subscription: it counts apart, and is watched at once."""
        self.running.pop(running, None)
        self.listening[running] = None
        running.listening = True
        self._watch(running)

    def end(self, running: Running) -> None:
        """It is over."""
        running.over = True
        self.running.pop(running, None)
        if running.listening:
            self.listening.pop(running, None)

    async def close(self, drain_s: float) -> None:
        """Let what runs end, cut off what has not by then, and end the tasks."""
        try:
            async with asyncio.timeout(drain_s):
                while self.running or self.listening:
                    await self._until_idle()
        except TimeoutError:
            self.cut_all()
            await asyncio.sleep(0)
        self._closed = True
        await self.tasks.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cut_all(self) -> None:
        """Cut off whatever runs."""
        left = [*self.running, *self.listening]
        if left:
            event(_log, "calls.cut", logging.WARNING, count=len(left))
        for running in left:
            running.cut_off("stopped")

    async def _until_idle(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        self._idle.clear()
        await self._idle.wait()

    def _look(self) -> None:
        now = self._loop.time()
        for running in tuple(self.running):
            if now - running.since < LOOK_EVERY_S:
                break  # those that follow are younger
            if running.reading:
                if now - running.since > self._body_timeout_s:
                    running.cut_off("slow")
            elif not running.watched:
                self._watch(running)
        if self.running or self.listening:
            self._timer = self._loop.call_later(LOOK_EVERY_S, self._look)
        else:
            self._timer = None
            self._idle.set()

    def _watch(self, running: Running) -> None:
        running.watched = True
        if self._closed:
            return
        self.tasks.start(self._until_gone(running), name="watch")

    async def _until_gone(self, running: Running) -> None:
        """Notice that the client goes away; meanwhile let it, and those between, hear that we live."""
        while not running.over:
            try:
                async with asyncio.timeout(self._quiet_s):
                    message = await running.receive()
            except TimeoutError:
                if not running.over:
                    await running.open_stream().comment()
                continue
            if message["type"] == "http.disconnect":
                running.cut_off("gone")
                return
