"""A node and a caller that reach the mesh over WebSocket, beside others that need not."""

from __future__ import annotations

from pathlib import Path

from tests.support.damage import chaos_node

from longreach import connect
from longreach.testing import Broker, free_port


async def test_a_node_and_a_caller_over_websocket(tmp_path: Path):
    port = free_port()
    url = f"ws://127.0.0.1:{port}"
    async with (
        Broker(f'websocket {{ listen: "127.0.0.1:{port}", no_tls: true }}') as broker,
        chaos_node(url, tmp_path / "effects") as node,
        connect(url) as near,
        connect(broker.url) as plain,
    ):
        for number, mesh in enumerate((near, plain)):
            result = await mesh.call("chaos.look", {"seconds": 0.6, "ident": f"{number}"})
            assert result.node == node.node
        assert near.url == url
