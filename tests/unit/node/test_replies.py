from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from longreach.clock import FakeClock
from longreach.errors import BrokerUnavailable, NotStarted, TooLarge
from longreach.node.replies import Replies, ReplyRoute
from longreach.policy.calls import CallBook
from longreach.transport.link import Headers

REPLY = "lr.v1.default.eu.rep._.alice.c1.1-0-f"


class Wire:
    """A link that refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.refusal: Exception | None = None
        self.is_up = True
        self.max_payload = 1000
        self.waiting: list[Callable[[], None]] = []
        self.room = True

    @property
    def has_room(self) -> bool:
        return self.refusal is None and self.room

    def tell_room(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    def when_room(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def send(self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None) -> None:
        if self.refusal is not None:
            raise self.refusal
        if len(data) > self.max_payload:
            raise TooLarge("too large")
        self.sent.append((subject, data))

    def go_down(self) -> None:
        self.refusal, self.is_up = BrokerUnavailable("down"), False

    def go_up(self) -> None:
        self.refusal, self.is_up = None, True


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make(wire: Wire, clock: FakeClock, **options: object) -> Replies:
    return Replies(wire, "default", "eu", clock, **options)  # type: ignore[arg-type]


def route(replies: Replies, call: str = "1-0-f"):
    found = replies.route(f"lr.v1.default.eu.rep._.alice.c1.{call}", "_", "alice")
    assert found is not None
    return found


def test_the_subject_is_built_and_never_taken_as_it_came(wire: Wire, clock: FakeClock):
    """M3.1: only the last two tokens of the reply are believed."""
    forged = "lr.v1.other.us.rep.gw.bob.c1.1-0-f"
    found = make(wire, clock).route(forged, "_", "alice")
    assert found is not None
    assert found.subject == REPLY


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "x",
        "_INBOX.abc",
        "lr.v1.default.eu.rep._.alice.c1",
        "lr.v1.default.eu.rep._.alice.c1.1-0-f.more",
        "lr.v1.default.eu.req._.alice.c1.1-0-f",
        "lr.v1.default.eu.rep._.alice.c1.*",
        "lr.v1.default.eu.rep._.alice.c1.1-0-x",
        "lr.v1.default.eu.rep._.alice.c1.1-00000000000000001-f",
        "lr.v1.default.eu.rep._.alice.c1.1-0-f\n",
    ],
)
def test_what_is_no_reply_of_the_binding_is_answered_nowhere(wire: Wire, clock: FakeClock, reply: str):
    assert make(wire, clock).route(reply, "_", "alice") is None


def test_a_bare_inbox_is_used_as_it_is_where_that_is_allowed(wire: Wire, clock: FakeClock):
    """M3.2: as it is, without frames; otherwise not at all."""
    found = make(wire, clock, bare_inboxes=True).route("_INBOX.abc.d", "_", "alice")
    assert found is not None
    assert (found.subject, found.frames, found.deadline_ms) == ("_INBOX.abc.d", False, 0)
    assert make(wire, clock).route("_INBOX.abc.d", "_", "alice") is None


@pytest.mark.parametrize(
    "reply", ["_INBOX.*", "_INBOX.>", "_INBOX.a\x01", "_INBOX.a b", "_INBOX." + "a" * 1020, "_INBOXES.a"]
)
def test_a_bare_inbox_to_which_nothing_can_be_published_is_none(wire: Wire, clock: FakeClock, reply: str):
    assert make(wire, clock, bare_inboxes=True).route(reply, "_", "alice") is None


def test_keys_of_different_askers_never_meet(wire: Wire, clock: FakeClock):
    """M6.3"""
    replies = make(wire, clock, bare_inboxes=True)
    routes = [
        replies.route(REPLY, "_", "alice"),
        replies.route(REPLY, "_", "bob"),
        replies.route(REPLY, "gw", "alice"),
        replies.route(REPLY.replace(".c1.", ".c2."), "_", "alice"),
        replies.route(REPLY.replace(".1-0-f", ".2-0-f"), "_", "alice"),
        replies.route("_INBOX.1-0-f", "_", "alice"),
    ]
    assert len({found.key for found in routes if found is not None}) == len(routes)


def test_a_result_waits_for_the_link_and_goes_out_once(wire: Wire, clock: FakeClock):
    replies = make(wire, clock)
    wire.go_down()
    replies.send(route(replies), b"result")
    replies.release()
    assert replies.held == 1
    wire.go_up()
    replies.release()
    replies.release()
    assert wire.sent == [(REPLY, b"result")]
    assert replies.held == 0


def test_a_result_that_nobody_waits_for_any_more_is_not_sent(wire: Wire, clock: FakeClock):
    replies = make(wire, clock)
    wire.go_down()
    for left_ms in (-1, 0, 1000):
        replies.send(route(replies, f"1-{clock.wall_ms() + 500 + left_ms:x}-f"), str(left_ms).encode())
    wire.go_up()
    clock.advance(0.5)
    replies.release()
    assert [data for _, data in wire.sent] == [b"0", b"1000"]


def test_results_beyond_the_bound_go_into_parts_and_nothing_that_is_held_is_dropped(
    wire: Wire, clock: FakeClock
):
    in_parts: list[bytes] = []

    def large(route: ReplyRoute, request_id: object, data: bytes) -> bool:
        in_parts.append(data)
        return True

    wire.max_payload = 1_000_000
    replies = make(wire, clock, max_held_bytes=25_000)
    replies.large = large
    wire.go_down()
    bodies = [bytes([65 + number]) * 10_000 for number in range(4)]
    for number, body in enumerate(bodies):
        replies.respond(route(replies, f"{number}-0-f"), number, body)
    assert in_parts == bodies[2:]
    wire.go_up()
    replies.release()
    assert [data for _, data in wire.sent] == bodies[:2]


def test_an_asker_without_parts_is_told_that_its_result_finds_no_room(wire: Wire, clock: FakeClock):
    """The error is small, has room, and goes before the results that wait."""
    wire.max_payload = 1_000_000
    replies = make(wire, clock, max_held_bytes=15_000)
    wire.go_down()
    for number in range(2):
        replies.respond(route(replies, f"{number}-0-f"), number, b"x" * 10_000)
    wire.go_up()
    replies.release()
    (_, error), (_, result) = wire.sent
    assert b'"reason":"result_too_large"' in error
    assert b'"id":1' in error
    assert result == b"x" * 10_000


def test_small_results_are_held_whatever_their_number_and_then_no_call_is_taken(
    wire: Wire, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("longreach.node.replies.SMALL_ROOM_BYTES", 10_000)
    replies = make(wire, clock)
    wire.go_down()
    for number in range(100):
        replies.respond(route(replies, f"{number}-0-f"), number, b"%d" % number)
    assert replies.held == 100
    assert replies.is_full
    replies.refuse(route(replies, "zz-0-f"), b"busy")  # it never ran: whoever asks is told so
    wire.go_up()
    replies.release()
    assert [data for _, data in wire.sent] == [b"%d" % number for number in range(100)]
    assert not replies.is_full


def test_what_is_small_overtakes_results_that_wait(wire: Wire, clock: FakeClock):
    """On a thin link "I still have your call" must not be behind 16 MiB of results."""
    wire.max_payload = 1_000_000
    replies = make(wire, clock)
    wire.room = False
    replies.respond(route(replies, "1-0-f"), 1, b"x" * 10_000)
    replies.respond(route(replies, "2-0-f"), 2, b"y" * 10_000)
    replies.send(route(replies, "9-0-f"), b"answer")
    assert [data for _, data in wire.sent] == [b"answer"]
    wire.room = True
    wire.tell_room()
    assert [data[:1] for _, data in wire.sent[1:]] == [b"x", b"y"]


def test_a_call_is_here_until_its_response_was_handed_to_the_link(wire: Wire, clock: FakeClock):
    """M7.6: and a second response that finds room earlier does not end the first one's call."""
    wire.max_payload = 1_000_000
    book = CallBook()
    replies = make(wire, clock, book=book)
    routes = [route(replies, f"{number}-0-f") for number in range(2)]
    for each in routes:
        assert book.arrived(each.key, each.scope, 0.0, frames=True) == "new"
    wire.room = False
    replies.respond(routes[0], 0, b"x" * 10_000)
    replies.respond(routes[1], 1, b"small")
    assert book.alive(routes[0].scope, ["0-0-f", "1-0-f"], 0.0) == ["1-0-f"]
    assert replies.waiting(routes[0].key) == routes[0]
    wire.room = True
    wire.tell_room()
    assert book.alive(routes[0].scope, ["0-0-f"], 0.0) == ["0-0-f"]


def test_what_is_given_up_at_the_end_is_logged_with_its_calls(
    wire: Wire, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    replies = make(wire, clock)
    wire.go_down()
    for number in range(3):
        replies.respond(route(replies, f"{number}-0-f"), number, b"result")
    replies.close()
    (record,) = [record for record in caplog.records if record.message == "results.given_up"]
    fields = record.__dict__["event_fields"]
    assert fields["count"] == 3
    assert fields["calls"] == ["0-0-f", "1-0-f", "2-0-f"]
    assert replies.held == 0


async def test_a_drain_waits_for_what_is_held(wire: Wire, clock: FakeClock):
    replies = make(wire, clock)
    await replies.flushed(5)
    wire.go_down()
    replies.respond(route(replies), 1, b"result")
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(replies.flushed(5))
        await asyncio.sleep(0)
        assert not waiting.done()
        wire.go_up()
        replies.release()
    assert wire.sent == [(REPLY, b"result")]


def test_a_broker_that_came_back_smaller_loses_only_what_it_cannot_carry(wire: Wire, clock: FakeClock):
    replies = make(wire, clock)
    wire.go_down()
    replies.send(route(replies), b"x" * 500)
    replies.send(route(replies), b"small")
    wire.go_up()
    wire.max_payload = 100
    replies.release()
    assert wire.sent == [(REPLY, b"small")]
    assert replies.held == 0


def test_a_result_refused_by_a_busy_link_goes_out_when_there_is_room(wire: Wire, clock: FakeClock):
    """The link stays up all the while, and says when it has room."""
    replies = make(wire, clock)
    wire.refusal = NotStarted("too much is waiting", reason="busy")
    replies.send(route(replies), b"result")
    replies.send(route(replies, "2-0-f"), b"another")
    assert len(wire.waiting) == 1  # it is asked once
    wire.tell_room()  # and again, if it was too early
    assert len(wire.waiting) == 1
    wire.refusal = None
    wire.tell_room()
    assert [data for _, data in wire.sent] == [b"result", b"another"]
    assert replies.held == 0
    assert not wire.waiting


def test_a_frame_that_cannot_be_sent_is_dropped(wire: Wire, clock: FakeClock):
    replies = make(wire, clock)
    wire.go_down()
    replies.frame(route(replies), b"{}", {"Lr": "accepted"})
    assert replies.held == 0


def test_what_is_too_large_is_the_senders_business(wire: Wire, clock: FakeClock):
    """M2.5"""
    replies = make(wire, clock)
    with pytest.raises(TooLarge):
        replies.send(route(replies), b"x" * 1001)
    assert replies.held == 0


def test_a_response_that_is_too_large_becomes_an_error_that_says_so(wire: Wire, clock: FakeClock):
    replies = make(wire, clock)
    replies.respond(route(replies), "id", b"x" * 1001)
    ((subject, data),) = wire.sent
    assert subject == REPLY
    assert b'"reason":"result_too_large"' in data
    assert b'"id":"id"' in data


def test_an_id_that_does_not_fit_back_into_any_answer_raises_nothing(wire: Wire, clock: FakeClock):
    """It would be raised within whoever ends the call, and keep other calls from their endings."""
    replies = make(wire, clock)
    replies.respond(route(replies), "i" * 1000, b"x" * 1001)
    assert wire.sent == []
    assert replies.held == 0


def test_a_range_does_not_overtake_those_that_wait_for_room(wire: Wire, clock: FakeClock):
    """Who pulls a body has no use for a later range, and would ask for all of them again."""
    replies, sent = make(wire, clock), list[int]()
    wire.room = False
    replies.later(lambda: sent.append(1))
    replies.later(lambda: sent.append(2))
    wire.room = True  # which is not told yet
    assert not replies.has_room
    wire.tell_room()
    assert sent == [1, 2]
    assert replies.has_room
