"""A client written from docs/binding.md alone: nats-py and nothing of longreach.

`python bare_client.py URL`: lists the tools of server `chaos`, calls `look` at once and for 2 s, prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from typing import Any

import nats

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def main(url: str) -> dict[str, Any]:
    nc = await nats.connect(url)
    connection = secrets.token_hex(16)
    waiting: dict[str, asyncio.Future[Any]] = {}
    frames: list[str] = []

    async def on_reply(message: Any) -> None:
        call = message.subject.rsplit(".", 1)[1]
        if message.headers and "Lr" in message.headers:  # binding 4: a frame
            frames.append(message.headers["Lr"])
        elif message.headers and message.headers.get("Status") == "503":
            waiting[call].set_exception(LookupError("no responders"))
        else:
            waiting[call].set_result(json.loads(message.data))

    await nc.subscribe(f"lr.v1.default.*.rep._._.{connection}.*", cb=on_reply)
    numbers = iter(range(1, 1000))

    async def request(method: str, name: str, params: dict[str, Any], timeout_s: float = 10) -> Any:
        number = next(numbers)
        deadline = int((time.time() + timeout_s) * 1000)
        call = f"{number}-{deadline:x}-f"  # binding M2.3
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": {**params, "_meta": META}}
        waiting[call] = asyncio.get_running_loop().create_future()
        await nc.publish(
            f"lr.v1.default.local.req.chaos._._._.{method.replace('/', '-')}.{name}",
            json.dumps(body).encode(),
            reply=f"lr.v1.default.local.rep._._.{connection}.{call}",
        )
        return await asyncio.wait_for(waiting[call], timeout_s)

    listed = await request("tools/list", "_", {})
    quick = await request("tools/call", "look", {"name": "look", "arguments": {"seconds": 0, "ident": "a"}})
    slow = await request("tools/call", "look", {"name": "look", "arguments": {"seconds": 2, "ident": "b"}})
    absent = None
    try:
        await request("tools/call", "nothing", {"name": "nothing"})
    except LookupError as error:
        absent = str(error)
    await nc.close()
    return {
        "tools": [tool["name"] for tool in listed["result"]["tools"]],
        "quick": quick["result"]["content"][0]["text"],
        "slow": slow["result"]["content"][0]["text"],
        "frames": frames,
        "absent": absent,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1]))))
