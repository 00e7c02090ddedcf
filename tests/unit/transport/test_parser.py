"""The parser of what the broker sends; its result does not depend on how the bytes were split."""

from __future__ import annotations

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longreach.transport._parser import MAX_LINE_BYTES, Parser, ProtocolViolation, parse_headers


class Heard:
    def __init__(self) -> None:
        self.events: list[object] = []
        self.parser = Parser(lambda *message: self.events.append(message), self.events.append)


def heard(*parts: bytes) -> list[object]:
    ears = Heard()
    for part in parts:
        ears.parser.feed(part)
    return ears.events


STREAM = (
    b"INFO {}\r\nPING\r\nMSG a.b 1 5\r\nhello\r\nMSG a.b 12 re.ply 0\r\n\r\n+OK\r\n"
    b"HMSG a 3 r 26 31\r\nNATS/1.0\r\nLr: accepted\r\n\r\n"
    + b"hello\r\n-ERR 'no'\r\nMSG x 1 4\r\n\r\n\r\n\r\nPONG\r\n"
)
EVENTS = [
    b"INFO {}",
    b"PING",
    (1, b"a.b", b"", b"hello", None),
    (12, b"a.b", b"re.ply", b"", None),
    b"+OK",
    (3, b"a", b"r", b"hello", b"NATS/1.0\r\nLr: accepted\r\n\r\n"),
    b"-ERR 'no'",
    (1, b"x", b"", b"\r\n\r\n", None),
    b"PONG",
]


def test_a_stream_is_taken_apart():
    assert heard(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_however_it_is_split(cuts: list[int]):
    edges = [0, *sorted(cuts), len(STREAM)]
    assert heard(*(STREAM[a:b] for a, b in itertools.pairwise(edges))) == EVENTS


@pytest.mark.parametrize("byte", [b"\x0b", b"\x0c", b"\x01", b"\x1c", b"\x85", b"\xa0"])
def test_white_space_that_the_broker_lets_into_subjects_ends_no_connection(byte: bytes):
    """Anybody who may publish could otherwise cut off all who listen, with one message."""
    subject, reply = b"a." + byte + b".b", b"c" + byte
    assert heard(
        b"MSG %s 1 2\r\nhi\r\n" % subject,
        b"MSG %s 1 %s 2\r\nhi\r\n" % (subject, reply),
        b"HMSG %s 1 %s 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" % (subject, reply),
    ) == [
        (1, subject, b"", b"hi", None),
        (1, subject, reply, b"hi", None),
        (1, subject, reply, b"hi", b"NATS/1.0\r\n\r\n"),
    ]


def test_a_large_message_in_small_pieces():
    body = b"x" * 1_000_000
    data = b"MSG a 1 1000000\r\n" + body + b"\r\n"
    assert heard(*(data[at : at + 4096] for at in range(0, len(data), 4096))) == [(1, b"a", b"", body, None)]


@pytest.mark.parametrize(
    "wrong",
    [
        b"MSG a\r\n",
        b"MSG a b c\r\n",
        b"MSG a 1 -5\r\n12345678\r\n",
        b"MSG a 1 2\r\nabcd\r\n",
        b"HMSG a 1 9 5\r\nabcde\r\n",
        b"x" * (MAX_LINE_BYTES + 1),
    ],
)
def test_what_is_no_protocol_is_refused(wrong: bytes):
    with pytest.raises(ProtocolViolation):
        heard(wrong)


@given(st.binary())
def test_garbage_raises_nothing_else(data: bytes):
    with contextlib.suppress(ProtocolViolation):
        heard(data)


def test_headers():
    assert parse_headers(b"NATS/1.0 503\r\n\r\n") == {"Status": "503"}
    assert parse_headers(b"NATS/1.0 503\r\nNats-Subject: a.b\r\n\r\n") == {"Status": "503"}
    assert parse_headers(b"NATS/1.0\r\nLr: note\r\nA:  b c \r\n\r\n") == {"Lr": "note", "A": "b c"}
    assert parse_headers(b"NATS/1.0\r\n\r\n") is None
    assert parse_headers(b"NATS/1.0 404 No Messages\r\n\r\n") == {"Status": "404"}


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=20), st.data())
def test_it_stops_when_its_time_is_over_and_goes_on_where_it_stopped(costs: list[int], data: st.DataObject):
    """No slice takes longer than its budget and one message, however the bytes are split."""
    clock = [0.0]
    taken: list[bytes] = []

    def take(_: int, subject: bytes, *__: object) -> None:
        clock[0] += costs[len(taken)]
        taken.append(subject)

    parser = Parser(take, lambda _: None, lambda: clock[0])
    stream = b"".join(b"MSG s.%d 1 2\r\nhi\r\n+OK\r\n" % number for number in range(len(costs)))
    while stream or parser.is_behind:
        size = 0 if parser.is_behind else data.draw(st.integers(1, len(stream)))
        began = clock[0]
        parser.until = began + 3
        parser.feed(stream[:size])
        stream = stream[size:]
        assert clock[0] - began < 3 + max(costs) + 0.001
    assert taken == [b"s.%d" % number for number in range(len(costs))]
