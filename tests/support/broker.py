"""A real nats-server for tests that block: `longreach.testing`'s, without an event loop."""

from __future__ import annotations

from longreach.testing import broker, free_port

__all__ = ["Broker", "free_port"]


class Broker(broker.Broker):
    """Starts at once; use it as a context manager, or call `close`.

    Args:
        config: further configuration text.
        port: to listen on; None: a free one.
    """

    def __init__(self, config: str = "", *, port: int | None = None) -> None:
        super().__init__(config, port=port, leafnodes=False)
        self.launch()

    def __enter__(self) -> Broker:
        return self

    def start(self) -> None:
        """Again, after `kill`."""
        self.launch()

    def kill(self) -> None:
        """kill -9, and wait until it has ended; clients see the connection end."""
        self.end()

    def restart(self) -> None:  # type: ignore[override]
        """kill -9, and a new process on the same port."""
        self.relaunch()

    def close(self) -> None:
        self.dispose()
