from __future__ import annotations

import asyncio
import threading

from tests.support.actors import eventually

from longreach.actor.listeners import Listeners


def test_without_a_loop_it_is_called_at_once_until_it_is_ended():
    listeners, told = Listeners(), []
    end = listeners.add(told.append)
    listeners.tell(1)
    end()
    listeners.tell(2)
    assert (told, len(listeners)) == ([1], 0)


async def test_in_a_loop_it_is_called_in_that_loop():
    listeners, told = Listeners(), []
    listeners.add(lambda what: told.append((what, threading.get_ident())))
    listeners.tell("here")
    assert told == [("here", threading.get_ident())]
    await asyncio.to_thread(listeners.tell, "elsewhere")
    await eventually(lambda: len(told) == 2)
    assert told[1] == ("elsewhere", threading.get_ident())


def test_a_loop_that_is_closed_is_told_nothing():
    listeners, told = Listeners(), []

    async def add() -> None:
        listeners.add(told.append)

    asyncio.run(add())
    listeners.tell(1)
    assert told == []
