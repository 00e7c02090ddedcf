"""What is said while there is no mesh."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.broker import free_port
from tests.support.gateways import message

from longreach.errors import BrokerUnavailable
from longreach.transport.embedded import Found
from longreach.transport.options import NatsOptions
from longreach.wire.incoming import decode_incoming
from longreach_gateway.stdio import late
from longreach_gateway.stdio.late import LateFront


@pytest.fixture
async def front(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LateFront]:
    monkeypatch.setattr(late, "WAIT_S", 0.01)
    late_front = LateFront(NatsOptions(urls=(f"nats://127.0.0.1:{free_port()}",)), {}, {"server": "docs"})
    yield late_front
    await late_front.close()


async def ask(front: LateFront, body: dict[str, Any]) -> dict[str, Any]:
    answer = await front.handle(decode_incoming(json.dumps(body).encode()))
    decoded: dict[str, Any] = json.loads(answer.data)
    assert answer.code == decoded.get("error", {}).get("code")
    return decoded


async def test_who_it_is_can_be_said(front: LateFront) -> None:
    result = (await ask(front, message("server/discover")))["result"]
    assert result["supportedVersions"] == ["2026-07-28"]
    assert result["capabilities"]["tools"] == {"listChanged": True}
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "docs"
    assert result["ttlMs"] == 0


async def test_anything_else_is_an_error_that_says_what_is_missing(front: LateFront) -> None:
    error = (await ask(front, message("tools/list")))["error"]
    assert error["data"] == {"reason": "no_broker", "delivered": "no"}
    assert "no connection to the mesh" in error["message"]


async def test_malformed_requests_are_told_of_first(front: LateFront) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert (await ask(front, body))["error"]["code"] == -32602
    wrong = message("tools/list")
    wrong["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2031-01-01"
    error = (await ask(front, wrong))["error"]
    assert error["code"] == -32022
    assert error["data"]["supported"] == ["2026-07-28"]


async def test_an_embedded_broker_is_looked_for_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [None, Found("nats://127.0.0.1:1", "first"), Found("nats://127.0.0.1:2", "second")]
    monkeypatch.setattr(late, "find_running", lambda: found.pop(0))
    late_front = LateFront(NatsOptions(), {}, {})
    with pytest.raises(BrokerUnavailable, match="embedded"):
        late_front._options_now()
    for number, token in ((1, "first"), (2, "second")):
        options = late_front._options_now()
        assert (options.urls, options.token) == ((f"nats://127.0.0.1:{number}",), token)
