"""Call the server of quickstart.py, which has to be running: `python examples/quickstart_call.py`.

Nothing is configured: the node started a broker of this user's own, and `connect` finds it.
"""

import asyncio

import longreach


async def main() -> None:
    async with longreach.connect() as mesh:
        result = await mesh.call("hello.greet", {"name": "Ada", "times": 2})
        print(f"{result.text}  (from node {result.node} in region {result.region})")


if __name__ == "__main__":
    asyncio.run(main())
