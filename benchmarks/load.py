"""Load on an HTTP server: by wrk where it is installed, else by a process of our own, which costs more."""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import TIMEOUT_S, peer

_SCRIPT = """
wrk.method = "POST"
wrk.path = %(path)s
wrk.body = %(body)s
%(headers)s
done = function(summary, latency)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  print(string.format('{"requests": %%d, "seconds": %%f, "p50_s": %%f, "failed": %%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, failed))
end
"""


@dataclass(frozen=True)
class Post:
    """A request that is made again and again."""

    port: int
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Loaded:
    """What came of it."""

    requests: int
    seconds: float
    p50_s: float


def has_wrk() -> bool:
    """Whether wrk is installed."""
    return shutil.which("wrk") is not None


def load(post: Post, connections: int, seconds: float) -> Loaded:
    """Make a request over some connections, on each one after the other, for some time."""
    found = _by_wrk(post, connections, seconds) if has_wrk() else _by_peer(post, connections, seconds)
    if found.pop("failed"):
        raise SystemExit(f"{post.path} at port {post.port} does not answer as it should under load")
    return Loaded(int(found["requests"]), found["seconds"], found["p50_s"])


def _by_wrk(post: Post, connections: int, seconds: float) -> dict[str, float]:
    headers = "\n".join(f"wrk.headers[{_lua(name)}] = {_lua(value)}" for name, value in post.headers.items())
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "post.lua"
        text = _SCRIPT % {"path": _lua(post.path), "body": _lua(post.body.decode()), "headers": headers}
        script.write_text(text, encoding="utf-8")
        command = [
            "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s",
            "-s", str(script), f"http://127.0.0.1:{post.port}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _lua(text: str) -> str:
    return json.dumps(text)  # the same for what is used here: quotes and backslashes


def _by_peer(post: Post, connections: int, seconds: float) -> dict[str, float]:
    with peer("http_load", f"http://127.0.0.1:{post.port}", request=encode_post(post)) as generator:
        return generator.ask(connections=connections, seconds=seconds)


def encode_post(post: Post) -> str:
    """The request as it goes over the wire."""
    head = [f"POST {post.path} HTTP/1.1", f"host: 127.0.0.1:{post.port}", f"content-length: {len(post.body)}"]
    head += [f"{name}: {value}" for name, value in post.headers.items()]
    return "\r\n".join([*head, "", ""]) + post.body.decode()


class Connection(asyncio.Protocol):
    """One connection of the generator: the next request goes out when an answer is whole."""

    def __init__(self, request: bytes, times: list[float], stop_at: float) -> None:
        self._request = request
        self._times = times
        self._stop_at = stop_at
        self._waiting = b""
        self._sent_at = 0.0
        self.failed = 0
        self.done = asyncio.get_running_loop().create_future()
        self._transport: Any = None  # uvloop's is no asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        head, found, body = self._waiting.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if len(body) < int(length):
            return
        self.failed += not head.startswith(b"HTTP/1.1 2")
        self._times.append(time.perf_counter() - self._sent_at)
        self._waiting = b""
        if time.perf_counter() < self._stop_at:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.failed += 1
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()


async def generate(port: int, request: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Make the request over some connections for some time."""
    times: list[float] = []
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    opened = [
        (
            await loop.create_connection(
                lambda: Connection(request, times, began + seconds), "127.0.0.1", port
            )
        )[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(each.done for each in opened))
    took = time.perf_counter() - began
    for each in opened:
        each.close()
    failed = sum(each.failed for each in opened)
    return {"requests": len(times), "seconds": took, "p50_s": statistics.median(times), "failed": failed}
