"""`longreach gateway` as a process, and requests of the modern era for it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.commands import RunningNode

_ROOT = Path(__file__).resolve().parents[2]
VERSION = "2026-07-28"
_NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
}


class GatewayProcess:
    """A running gateway, on a free port; use it as a context manager, or call `close`.

    Args:
        nats: the broker's URL.
        flags: further ones, as on the command line.
        folder: the working directory.
        environment: further variables.
        module: what is run in place of the command line.
    """

    def __init__(
        self,
        nats: str,
        *flags: str,
        folder: Path = _ROOT,
        environment: Mapping[str, str] | None = None,
        module: str = "longreach.cli",
    ) -> None:
        paths = [str(_ROOT / "framework"), str(_ROOT / "services"), str(_ROOT)]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LONGREACH_")}
        words = ["gateway", "--nats", nats, *([] if "--port" in flags else ["--port", "0"]), *flags]
        self.running = RunningNode(
            [sys.executable, "-m", module, *words],
            folder,
            {**kept, "PYTHONPATH": os.pathsep.join(paths), **(environment or {})},
        )
        try:
            said = self.running.until("/readyz")
        except BaseException:
            self.close()
            raise
        found = re.search(r"health\s+(\S+)/healthz", said)
        assert found is not None, said
        self.url = found[1]
        self.id = re.search(r"gateway (\S+) answers", said)[1]  # type: ignore[index] # it is in the banner

    def __enter__(self) -> GatewayProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def mcp(self) -> str:
        """The URL of the whole mesh; with ``/`` and a server's name after it, of that server."""
        return f"{self.url}/mcp"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def pid(self) -> int:
        return self.running.pid

    def terminate(self) -> None:
        self.running.signal(signal.SIGTERM)

    def ended(self, timeout_s: float = 20.0) -> int:
        """Its exit code."""
        return self.running.ended(timeout_s)

    def close(self) -> None:
        self.running.close()


def message(
    method: str, params: Mapping[str, Any] | None = None, request_id: int | str = 1
) -> dict[str, Any]:
    """A request of the modern era."""
    given = dict(params or {})
    given["_meta"] = {**META, **given.get("_meta", {})}
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": given}


def headers_for(body: Mapping[str, Any], **others: str) -> dict[str, str]:
    """The headers that a well-behaved client sends with `body`; `others`: name_with_underscores=value."""
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSION,
        "mcp-method": body["method"],
    }
    key = _NAMED.get(body["method"])
    if key is not None and isinstance(body["params"].get(key), str):
        headers["mcp-name"] = body["params"][key]
    return {**headers, **{name.replace("_", "-"): value for name, value in others.items()}}


def encode(body: Any) -> bytes:
    return json.dumps(body).encode()


def events(text: str) -> list[dict[str, Any]]:
    """The messages of a stream of events."""
    lines = (line for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line.removeprefix("data: ")) for line in lines]
