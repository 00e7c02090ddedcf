from __future__ import annotations

import asyncio
import logging

import pytest

from longreach_bridge.foreign.words import Words


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.event_fields["line"] for record in caplog.records if record.getMessage() == "foreign.said"]


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="longreach.bridge.stderr")


def test_secrets_are_never_written(caplog: pytest.LogCaptureFixture) -> None:
    words = Words("docs", ["hunter2-long", "x"], Clock())

    words.take(b"the token is hunter2-long, x")

    assert lines(caplog) == ["the token is ***, x"]
    assert words.last == "the token is ***, x"


def test_a_flood_is_counted_and_not_written(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    words = Words("docs", [], clock)
    for number in range(1_000):
        words.take(b"line %d" % number)
    assert len(lines(caplog)) == 200

    clock.now = 1.0
    words.take(b"later")

    assert lines(caplog)[-1] == "later"
    assert [
        r.event_fields["lines_dropped"] for r in caplog.records if r.getMessage() == "foreign.said_more"
    ] == [800]


async def test_lines_are_put_together_and_cut(caplog: pytest.LogCaptureFixture) -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"one\ntw")
    stream.feed_data(b"o\n\n" + b"x" * 10_000)
    stream.feed_eof()

    await Words("docs", [], Clock()).listen(stream)

    assert lines(caplog)[:2] == ["one", "two"]
    assert all(len(line) <= 2_000 for line in lines(caplog))
