"""Two kinds of link behind one face, so that the same assertions hold for both; and waiting, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec
from tests.support.broker import Broker

from longreach.transport.link import Headers, Link
from longreach.transport.memory import MemoryBroker, MemoryLink
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions

MAX_PAYLOAD = 4096


class Mesh(Protocol):
    """A broker with the limits that the conformance tests speak of."""

    async def link(self, *, publish: list[str] | None = None, subscribe: list[str] | None = None) -> Link: ...
    async def cut(self, link: Link) -> None: ...
    async def restore(self, link: Link) -> None: ...
    def stall(self, link: Link) -> None: ...
    def resume(self, link: Link) -> None: ...
    async def close(self) -> None: ...


class MemoryMesh:
    def __init__(self) -> None:
        self.broker = MemoryBroker(max_payload=MAX_PAYLOAD)
        self.links: list[MemoryLink] = []

    async def link(self, *, publish: list[str] | None = None, subscribe: list[str] | None = None) -> Link:
        self.links.append(self.broker.link(publish=publish, subscribe=subscribe))
        return self.links[-1]

    async def cut(self, link: Link) -> None:
        for each in self.links:
            self.broker.cut(each)

    async def restore(self, link: Link) -> None:
        for each in self.links:
            self.broker.restore(each)

    def stall(self, link: Link) -> None:
        for each in self.links:
            self.broker.stall(each)

    def resume(self, link: Link) -> None:
        for each in self.links:
            self.broker.resume(each)

    async def close(self) -> None:
        for each in self.links:
            await each.close()


class NatsMesh:
    """A real broker.

    Args:
        config: more of its configuration.
        options: how it is reached, where that is not by its own URL.
    """

    def __init__(self, config: str = "", options: NatsOptions | None = None) -> None:
        self.permissions: list[str] = []
        self.config = f"max_payload: {MAX_PAYLOAD}\n{config}"
        self.broker = Broker(self.config)
        self.options = options or NatsOptions(urls=(self.broker.url,))
        self.links: list[NatsLink] = []

    async def link(self, *, publish: list[str] | None = None, subscribe: list[str] | None = None) -> Link:
        user = f"user{len(self.links)}"
        rules = []
        if publish is not None:
            rules.append(f"publish: {{ allow: {_listed(publish)} }}")
        if subscribe is not None:
            rules.append(f"subscribe: {{ allow: {_listed(subscribe)} }}")
        allowed = f", permissions: {{ {', '.join(rules)} }}" if rules else ""
        self.permissions.append(f'{{ user: {user}, password: "p"{allowed} }}')
        self.broker.configure(f"{self.config}\nauthorization {{ users: [ {', '.join(self.permissions)} ] }}")
        if not self.links:
            self.broker.restart()  # the first user ends the anonymous ones, which a reload would cut off
        else:
            self.broker.reload()
        link = await until_accepted(msgspec.structs.replace(self.options, user=user, password="p"))
        self.links.append(link)
        return link

    async def cut(self, link: Link) -> None:
        down = [wait_for_down(each) for each in self.links]
        self.broker.kill()
        await asyncio.gather(*down)

    async def restore(self, link: Link) -> None:
        self.broker.start()
        for each in self.links:
            await each.wait_up(10)

    def stall(self, link: Link) -> None:
        self.broker.stop()

    def resume(self, link: Link) -> None:
        self.broker.cont()

    async def close(self) -> None:
        for each in self.links:
            await each.close()
        self.broker.close()


def _listed(patterns: list[str]) -> str:
    return "[" + ", ".join(f'"{pattern}"' for pattern in patterns) + "]"


async def until_accepted(options: NatsOptions) -> NatsLink:
    """Connect; a reload takes the broker a moment, in which it does not know the user yet."""
    from longreach.errors import CredentialsRejected

    for _ in range(200):
        try:
            return await NatsLink.open(options)
        except CredentialsRejected:
            await asyncio.sleep(0.01)
    raise AssertionError("the broker does not take the new user")


async def wait_for_down(link: Link) -> None:
    await eventually(lambda: not link.is_up)


async def eventually(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Wait, bounded, until `condition` holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


class Inbox:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, bytes, Headers | None]] = []

    def __call__(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        self.messages.append((subject, reply, data, headers))

    @property
    def bodies(self) -> list[bytes]:
        return [data for _, _, data, _ in self.messages]

    async def wait(self, count: int, timeout_s: float = 30.0) -> None:
        await eventually(lambda: len(self.messages) >= count, timeout_s)
