"""Times single refusals: `python -m tests.support.prober URL CALLER SERVER TOOL SECONDS`; prints JSON.

Written from docs/binding.md, with nats-py alone: one request every 30 ms, none is ever repeated.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from typing import Any

import nats

EVERY_S = 0.03
TIMEOUT_S = 2.0
NOT_STARTED = -31900
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def main(url: str, caller: str, server: str, tool: str, seconds: float) -> dict[str, Any]:
    connection = await nats.connect(url)
    sent: dict[str, float] = {}
    refusals: list[float] = []
    results = 0
    errors: list[dict[str, Any]] = []
    base = f"lr.v1.default.local.rep._.{caller}.{secrets.token_hex(16)}"

    async def answered(message: Any) -> None:
        nonlocal results
        now = time.monotonic()
        if message.headers:  # a frame
            return
        at = sent.pop(message.subject.rsplit(".", 1)[1])
        error = json.loads(message.data).get("error")
        if error is not None and error["code"] == NOT_STARTED:
            refusals.append(now - at)
            errors.append(error)
        elif error is None and now < end:
            results += 1

    end, number = time.monotonic() + seconds, 0
    _ = await connection.subscribe(f"{base}.*", cb=answered)
    subject = f"lr.v1.default.local.req.{server}._._.{caller}.tools-call.{tool}"
    params = {"name": tool, "arguments": {}, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    while time.monotonic() < end:
        number += 1
        call = f"p{number}-{int((time.time() + TIMEOUT_S) * 1000):x}-f"
        sent[call] = time.monotonic()
        await connection.publish(subject, body, reply=f"{base}.{call}")
        await asyncio.sleep(EVERY_S)
    while sent and time.monotonic() < end + TIMEOUT_S:
        await asyncio.sleep(EVERY_S)
    await connection.close()
    return {"refusals": refusals, "errors": errors, "results": results, "unanswered": len(sent)}


if __name__ == "__main__":
    url, caller, server, tool, seconds = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(main(url, caller, server, tool, float(seconds)))))
