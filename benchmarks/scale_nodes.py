"""The nodes of `benchmarks.scale_liveness`, all in one process: `python -m benchmarks.scale_nodes URL COUNT`.

Each has a subscription of its own, and answers `alive` and `whose`: it has every call that it is asked about,
and knows of no other. It reads `{"dies": N}` from its standard input: node N is gone from then on.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

import uvloop

from longreach.clock import SYSTEM_CLOCK
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions

ROOT = "lr.v1.default.eu"


async def main(url: str, count: int) -> None:
    """Be so many nodes."""
    link = await NatsLink.open(NatsOptions(urls=(url,)), wait=False, timeout_s=10)
    loop = asyncio.get_running_loop()

    def alive(name: str) -> Callable[..., None]:
        head = b'{"identity":"n","instance":"%s","gone":[],"clockMs":' % name.encode()

        def answer(_: str, reply: str, *__: object) -> None:
            link.send(reply, head + b"%d}" % SYSTEM_CLOCK.wall_ms())

        return answer

    def whose(_: str, reply: str, *__: object) -> None:
        for name in subscriptions:
            head = b'{"identity":"n","instance":"%s","region":"eu","have":[],"done":[],"clockMs":%d}'
            link.send(reply, head % (name.encode(), SYSTEM_CLOCK.wall_ms()))

    subscriptions = {
        name: link.subscribe(f"{ROOT}.node.n.{name}.*.*.alive", alive(name))
        for name in (f"i{number}" for number in range(count))
    }
    link.subscribe(f"{ROOT}.all.bench.*.*.whose", whose)
    await link.fence(10)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await reader.readline():
        link.unsubscribe(subscriptions.pop(f"i{json.loads(line)['dies']}"))
        await link.fence(10)
        print(json.dumps({"done": True}), flush=True)
    await link.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
