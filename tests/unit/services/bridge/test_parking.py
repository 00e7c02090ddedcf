from __future__ import annotations

import asyncio

from longreach_bridge.foreign.calls import ForeignCall
from longreach_bridge.foreign.parking import Claim, Parked, Parking

CLAIM = Claim(False, "alice", "tools/call", b"x")


async def test_what_nobody_comes_back_for_expires() -> None:
    expired: list[Parked] = []
    parking = Parking(expired.append, ttl_s=0.01)
    parked = Parked(ForeignCall(1, "tools/call"), None, CLAIM)
    state = parking.put(parked, "n1.aaaa")

    async with asyncio.timeout(30):
        while not expired:
            await asyncio.sleep(0)

    assert expired == [parked]
    assert parking.take(state, CLAIM) is None
    assert len(parking) == 0


async def test_one_caller_does_not_take_the_place_of_all_others() -> None:
    parking = Parking(lambda parked: None)
    for _ in range(32):
        parking.put(Parked(None, None, CLAIM), "n1.aaaa")

    assert not parking.has_room(CLAIM)
    assert parking.has_room(CLAIM._replace(caller="bob"))
    for number in range(256 - 32):
        parking.put(Parked(None, None, CLAIM._replace(caller=f"c{number}")), "n1.aaaa")
    assert not parking.has_room(CLAIM._replace(caller="zoe"))
    parking.clear()
    assert parking.has_room(CLAIM)


async def test_states_cannot_be_guessed_and_name_the_node() -> None:
    parking = Parking(lambda parked: None)
    states = {parking.put(Parked(None, None, CLAIM), "n1.aaaa") for _ in range(10)}

    assert len(states) == 10
    assert all(state.startswith("lr~n1.aaaa~") and len(state) >= 40 for state in states)
    parking.clear()
