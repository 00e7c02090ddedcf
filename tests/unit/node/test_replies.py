from __future__ import annotations

import pytest
from tests.support.links import eventually

from longreach.clock import FakeClock
from longreach.errors import BrokerUnavailable, NotStarted, TooLarge
from longreach.node.replies import Replies
from longreach.transport.link import Headers

REPLY = "lr.v1.default.eu.rep._.alice.c1.1-0-f"


class Wire:
    """A link that refuses what it is told to refuse."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.refusal: Exception | None = None
        self.is_up = True
        self.max_payload = 1000

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


def test_what_is_held_is_bounded_in_number_and_bytes_and_the_oldest_goes_first(wire: Wire, clock: FakeClock):
    replies = make(wire, clock, max_held=3, max_held_bytes=10)
    wire.go_down()
    for number in range(5):
        replies.send(route(replies), b"%d" % number)
    assert replies.held == 3
    replies.send(route(replies), b"123456789")
    wire.go_up()
    replies.release()
    assert [data for _, data in wire.sent] == [b"4", b"123456789"]


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


async def test_a_result_refused_by_a_busy_link_goes_out_when_there_is_room(wire: Wire, clock: FakeClock):
    """The link stays up all the while, so that nothing but time tells of the room."""
    replies = make(wire, clock)
    wire.refusal = NotStarted("too much is waiting", reason="busy")
    replies.send(route(replies), b"result")
    wire.refusal = None
    await eventually(lambda: wire.sent)
    assert wire.sent == [(REPLY, b"result")]
    assert replies.held == 0


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
