"""An actor with state: it counts, one call at a time, and forgets when it crashes or moves.

    longreach run examples/counter.py
    longreach call counter.add amount=3
    longreach call counter.total

Each node that runs this has a count of its own: the state belongs to one replica. What must outlive it, or be
the same everywhere, belongs into a database.
"""

from longreach import Actor, Crash, Server, ToolError, tool

counter = Server("counter")


@counter.actor
class Counter(Actor):
    """Counts."""

    async def started(self) -> None:
        """Begin at nothing; called before the first call, and again after a crash."""
        self.count = 0

    @tool()
    async def add(self, amount: int = 1) -> int:
        """Count on.

        Args:
            amount: how far, 1 or more.
        """
        if amount < 1:
            raise ToolError(f"a counter does not count back: amount is {amount}")
        self.count += amount
        return self.count

    @tool(read_only=True)
    async def total(self) -> int:
        """The count so far."""
        return self.count

    @tool(destructive=True)
    async def spoil(self) -> None:
        """Crash this actor on purpose: the supervisor starts a new one, which begins at nothing."""
        raise Crash("spoilt on purpose")
