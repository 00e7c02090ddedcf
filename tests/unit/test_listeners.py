from __future__ import annotations

import asyncio
import threading

from tests.support.actors import eventually

from longreach.listeners import Listeners


def test_without_a_loop_it_is_called_at_once_until_it_is_ended():
    listeners, told = Listeners("a test"), []
    end = listeners.add(told.append)
    listeners.tell(1)
    end()
    listeners.tell(2)
    assert (told, len(listeners)) == ([1], 0)


async def test_in_a_loop_it_is_called_in_that_loop():
    listeners, told = Listeners("a test"), []
    listeners.add(lambda what: told.append((what, threading.get_ident())))
    listeners.tell("here")
    assert told == [("here", threading.get_ident())]
    await asyncio.to_thread(listeners.tell, "elsewhere")
    await eventually(lambda: len(told) == 2)
    assert told[1] == ("elsewhere", threading.get_ident())


def test_a_loop_that_is_closed_is_told_nothing():
    listeners, told = Listeners("a test"), []

    async def add() -> None:
        listeners.add(told.append)

    asyncio.run(add())
    listeners.tell(1)
    assert told == []


def test_what_a_listener_raises_is_logged_and_hits_no_other(caplog):
    listeners, told = Listeners("a test"), []

    def fails(what: int) -> None:
        raise ZeroDivisionError(what)

    listeners.add(fails)
    listeners.add(told.append)
    listeners.tell(1)
    assert told == [1]
    assert [(r.message, r.event_fields) for r in caplog.records] == [("listener.failed", {"told": "a test"})]


async def test_what_a_listener_raises_in_another_loop_is_logged_too(caplog):
    listeners, told = Listeners("a test"), []
    listeners.add(lambda what: 1 / 0)
    listeners.add(told.append)
    await asyncio.to_thread(listeners.tell, 1)
    await eventually(lambda: told == [1])
    assert [record.message for record in caplog.records] == ["listener.failed"]


def test_to_end_it_twice_ends_no_other():
    listeners, told = Listeners("a test"), []
    end = listeners.add(told.append)
    listeners.add(told.append)
    end()
    end()
    listeners.tell(1)
    assert told == [1]
