"""One modern request over HTTP, without any client library."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import Any

from tests.support.gateways import encode, headers_for, message


def post(port: int, path: str, request: Mapping[str, Any], timeout_s: float = 10) -> Any:
    """Send it; the answer, decoded if it is JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("POST", path, encode(request), headers_for(request))
        answer = connection.getresponse().read()
    finally:
        connection.close()
    try:
        return json.loads(answer)
    except ValueError:
        return answer.decode(errors="replace")


def until_offered(port: int, server: str, timeout_s: float = 60) -> None:
    """Wait until a gateway has found `server`."""
    give_up_at = time.monotonic() + timeout_s
    while True:
        answer = post(port, f"/mcp/{server}", message("server/discover"))
        if isinstance(answer, dict) and "result" in answer:
            return
        assert time.monotonic() < give_up_at, f"gateway {port} does not offer {server!r}: {answer}"
        time.sleep(0.05)
