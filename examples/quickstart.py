"""A server in ten lines.

Run it, and leave it running:

    longreach run examples/quickstart.py

Then, in another terminal: `longreach ls`, or `longreach call hello.greet name=Ada`, or quickstart_call.py.
"""

from longreach import Server

hello = Server("hello")


@hello.tool(read_only=True)
async def greet(name: str, times: int = 1) -> str:
    """Greet somebody.

    Args:
        name: who is greeted.
        times: how often, at least once.
    """
    return " ".join([f"Hello, {name}!"] * max(1, times))
