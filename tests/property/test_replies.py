"""Whatever is held is answered or told: no call is both gone and unsent, and none is answered twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from longreach.clock import FakeClock
from longreach.errors import BrokerUnavailable, NotStarted, TooLarge
from longreach.node import replies as replies_module
from longreach.node.replies import Replies, ReplyRoute
from longreach.policy.calls import CallBook
from longreach.transport.link import Headers
from longreach.wire import jsonrpc

SCOPE = "_.alice.c1"


class Link:
    """A link that is down, busy, thin or free, as it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, Headers | None]] = []
        self.state = "free"
        self.max_payload = 40_000
        self.waiting: list[Callable[[], None]] = []

    @property
    def has_room(self) -> bool:
        return self.state == "free"

    def when_room(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def tell(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    def send(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        if self.state == "down":
            raise BrokerUnavailable("down")
        if self.state == "busy":
            raise NotStarted("busy", reason="busy")
        if len(data) > self.max_payload:
            raise TooLarge("too large", data={"size": len(data), "limit": self.max_payload})
        self.sent.append((subject, data, headers))


class HeldIsAnsweredOrTold(RuleBasedStateMachine):
    """Calls that end with results of many sizes while the link refuses, goes, comes back, and accepts."""

    @initialize(parts=st.booleans(), held=st.sampled_from([0, 12_000, 60_000]))
    def begin(self, parts: bool, held: int) -> None:
        self.clock = FakeClock()
        self.link = Link()
        self.book = CallBook()
        self.replies = Replies(
            self.link,
            "default",
            "eu",
            self.clock,
            book=self.book,
            max_held_bytes=held,  # type: ignore[arg-type]
        )
        self.in_parts: dict[str, bytes] = {}
        self.running: dict[str, ReplyRoute] = {}
        self.responded: dict[str, bytes] = {}
        self.expired: set[str] = set()
        self.cancelled: set[str] = set()
        self.deadlines: dict[str, int] = {}
        self.count = 0
        if parts:
            self.replies.large = self._take_in_parts

    def _take_in_parts(self, route: ReplyRoute, _: jsonrpc.RequestId | None, data: bytes) -> bool:
        if len(self.in_parts) >= 3:
            self.replies.fail(route, 1, "too many wait")
            return True
        self.book.again(route.key, route.scope, self.clock.monotonic())
        self.in_parts[route.key] = data
        self.replies.offer(route, b"{}\n" + data[:5000], {"Lr": "parts"}, whole=False)
        return True

    @rule(timeout_ms=st.sampled_from([0, 50, 10_000]))
    def a_call_comes(self, timeout_ms: int) -> None:
        self.count += 1
        deadline = self.clock.wall_ms() + timeout_ms if timeout_ms else 0
        call = f"{self.count}-{deadline:x}-f"
        route = self.replies.route(f"lr.v1.default.eu.rep.{SCOPE}.{call}", "_", "alice")
        assert route is not None
        if self.book.arrived(route.key, route.scope, self.clock.monotonic(), frames=True) == "new":
            self.running[route.key] = route
            self.deadlines[route.key] = deadline or self.clock.wall_ms() + 10**9

    @rule(size=st.sampled_from([10, 4096, 4097, 9000, 30_000, 50_000]), data=st.data())
    def a_call_ends(self, size: int, data: st.DataObject) -> None:
        if not self.running:
            return
        key = data.draw(st.sampled_from(sorted(self.running)))
        route = self.running.pop(key)
        body = route.call.encode().ljust(size, b".")
        self.responded[key] = body
        self.replies.respond(route, 1, body)

    @rule(state=st.sampled_from(["free", "busy", "down", "thin"]), told=st.booleans())
    def the_link_changes(self, state: str, told: bool) -> None:
        was, self.link.state = self.link.state, state
        if was == "down" and state != "down":
            self.replies.release()
        if told and self.link.has_room:
            self.link.tell()

    @rule(most=st.sampled_from([6000, 40_000]))
    def another_broker(self, most: int) -> None:
        self.link.max_payload = most

    @rule(seconds=st.sampled_from([0.01, 0.2, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(data=st.data())
    def a_call_is_cancelled(self, data: st.DataObject) -> None:
        waiting = [key for key in self.responded if self.replies.waiting(key)]
        if waiting:
            key = data.draw(st.sampled_from(sorted(waiting)))
            assert self.replies.drop(key)
            self.cancelled.add(key)

    def _sent(self, key: str) -> list[bytes]:
        subject = f"lr.v1.default.eu.rep.{key}"
        return [data for where, data, headers in self.link.sent if where == subject and headers is None]

    @invariant()
    def none_is_gone_and_unsent_and_none_is_answered_twice(self) -> None:
        if not hasattr(self, "book"):
            return
        for key in self.responded:
            answers = self._sent(key)
            assert len(answers) <= 1
            is_here = not self.book.alive(SCOPE, [key.rpartition(".")[2]], self.clock.monotonic())
            if answers:
                assert not is_here
                is_error = b"result_too_large" in answers[0]
                assert is_error or answers[0] == self.responded[key]
            elif not is_here:
                assert (
                    key in self.cancelled
                    or self.deadlines[key] < self.clock.wall_ms()
                    or (
                        self.clock.monotonic() > 1060  # a response without a deadline waits for a minute
                    )
                )
            else:
                assert self.replies.waiting(key) or key in self.in_parts

    @invariant()
    def what_is_held_is_bounded(self) -> None:
        if hasattr(self, "replies"):
            assert self.replies._large.bytes <= self.replies._max_held_bytes + 6 * 6000

    def teardown(self) -> None:
        """In the end the link is free: everything that is wanted goes out."""
        if not hasattr(self, "link"):
            return
        self.link.state = "free"
        self.link.tell()
        self.replies.release()
        assert self.replies.held == 0
        self.none_is_gone_and_unsent_and_none_is_answered_twice()
        for key in self.responded:
            assert self._sent(key) or key in self.in_parts or not self.replies.waiting(key)


TestHeldIsAnsweredOrTold = HeldIsAnsweredOrTold.TestCase
TestHeldIsAnsweredOrTold.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies_module, "event", lambda *_, **__: None)
