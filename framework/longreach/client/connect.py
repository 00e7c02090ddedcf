"""`connect`: from a broker's URL to a `Mesh`."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from longreach.client.bodies import BodyOptions
from longreach.client.mesh import Mesh
from longreach.client.options import CallOptions
from longreach.client.session import Session
from longreach.clock import SYSTEM_CLOCK
from longreach.errors import BrokerUnavailable, ConfigError
from longreach.policy.parts import MAX_BODY_BYTES
from longreach.threads import CHORES, in_thread
from longreach.transport.embedded import find_running
from longreach.transport.natslink import NatsLink
from longreach.transport.options import NatsOptions

if TYPE_CHECKING:
    from longreach.client.notes import OnLog
    from longreach.client.options import OnElicit, OnRoots, OnSample
    from longreach.transport.link import Link
    from longreach.wire.mcp import LogLevel

NO_EMBEDDED = (
    "no broker: none was named, and no node of yours runs an embedded one. "
    "Start a node with `longreach run module:server`, or name a broker (nats=... or --nats)"
)


def connect(
    nats: str | Sequence[str] | None = None,
    *,
    region: str | None = None,
    residency: Sequence[str] | None = None,
    prefer: Sequence[str] = (),
    version: str | None = None,
    hedge_s: float | None = None,
    hedge: Literal["p95"] | None = None,
    namespace: str = "default",
    caller: str | None = None,
    via: str | None = None,
    servers: Sequence[str] | None = None,
    timeout_s: float | None = None,
    on_log: OnLog | None = None,
    log_level: LogLevel = "info",
    on_elicit: OnElicit | None = None,
    on_url: OnElicit | None = None,
    on_sample: OnSample | None = None,
    on_roots: OnRoots | None = None,
    capabilities: Mapping[str, Any] | None = None,
    wait_s: float = 2.0,
    max_body_bytes: int = MAX_BODY_BYTES,
    compress: bool = False,
    ask_every_s: float | None = None,
    connection: NatsOptions | None = None,
    link: Link | None = None,
) -> Connecting:
    """Connect to the mesh; what is returned can be awaited, or entered with ``async with``.

    Args:
        nats: the broker's URL, or several, home first; without any, the embedded broker of a node that
            this user runs on this machine.
        region: home: asked first.
        residency: the only regions that this connection publishes to and hears. None: any. With it, no
            broker is connected to but those that are given.
        prefer: regions asked after home, in order.
        version: the versions of servers that may be used, and so on for the next two: as for `Mesh.options`.
        hedge_s: after how long what is read-only is asked a second time, in seconds.
        hedge: ``"p95"``: after what 19 of 20 calls before took.
        namespace: the tenant.
        caller: the name that the broker's permissions give to this client.
        via: the name that they give to a gateway, which asks for callers of its own (`Mesh.forward`).
        servers: be told of these servers only; permissions may demand it.
        timeout_s: the time limit of calls, retries included; None: the tool's own, or 60 s.
        on_log: gets the log messages of calls, from `log_level` on; this and the next ones as for
            `Mesh.options`.
        log_level: the least level of those.
        on_elicit: answers forms that servers ask the user to fill in.
        on_url: answers for pages that servers ask the user to visit.
        on_sample: asks a model for servers.
        on_roots: says which folders matter.
        capabilities: that this client has beside what these functions bring.
        wait_s: how long to wait for a broker.
        max_body_bytes: the largest request, or result, that is carried in parts where no message holds it.
        compress: compress requests that go in parts, and take large results compressed from nodes that do.
        ask_every_s: for thin links: ask who is there every so many seconds, in place of hearing the
            heartbeats of all nodes. What comes and goes is known that much later.
        connection: credentials and TLS; `nats` takes the place of its URLs.
        link: a connection that is there already, such as a `MemoryLink` in tests.

    Raises:
        BrokerUnavailable: no broker within `wait_s`.
        CredentialsRejected: the broker does not accept the credentials.
    """
    options = CallOptions(
        timeout_s=timeout_s,
        on_log=on_log,
        log_level=log_level,
        on_elicit=on_elicit,
        on_url=on_url,
        on_sample=on_sample,
        on_roots=on_roots,
        capabilities=capabilities,
        region=region,
        prefer=tuple(prefer),
        version=version,
        hedge_s=hedge_s,
        hedge=hedge,
        residency=frozenset(residency) if residency is not None else None,
    )
    urls = (nats,) if isinstance(nats, str) else tuple(nats or ())
    base = connection or NatsOptions()
    if urls:
        base = msgspec.structs.replace(base, urls=tuple(u for url in urls for u in url.split(",")))
    if max_body_bytes < 1:
        raise ConfigError(f"max_body_bytes must be at least 1, not {max_body_bytes}")
    if ask_every_s is not None and not ask_every_s > 0:
        raise ConfigError(f"ask_every_s must be more than 0 seconds, not {ask_every_s}")
    bodies = BodyOptions(max_body_bytes, compress)
    return Connecting(base, options, namespace, caller, via, servers, wait_s, link, bodies, ask_every_s)


class Connecting:
    """A connection about to be made: await it, or enter it."""

    def __init__(
        self,
        connection: NatsOptions,
        options: CallOptions,
        namespace: str,
        caller: str | None,
        via: str | None,
        servers: Sequence[str] | None,
        wait_s: float,
        link: Link | None,
        bodies: BodyOptions,
        ask_every_s: float | None,
    ) -> None:
        self._connection = connection
        self._options = options
        self._namespace = namespace
        self._caller = caller
        self._via = via
        self._servers = servers
        self._wait_s = wait_s
        self._link = link
        self._bodies = bodies
        self._ask_every_s = ask_every_s
        self._mesh: Mesh | None = None

    def __await__(self) -> Generator[Any, None, Mesh]:
        return self._open().__await__()

    async def __aenter__(self) -> Mesh:
        self._mesh = await self._open()
        return self._mesh

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._mesh is not None:
            await self._mesh.close()

    def __getattr__(self, name: str) -> Any:
        """Say how to get a mesh; only what this object has not comes here."""
        if name.startswith("_") or not hasattr(Mesh, name):
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
            )
        raise AttributeError(
            f"connect() is not connected yet, so it has no {name!r}: write "
            f"`async with connect(...) as mesh:` or `mesh = await connect(...)`, and then `mesh.{name}`",
            name=name,
            obj=self,
        )

    async def _open(self) -> Mesh:
        link = self._link if self._link is not None else await self._new_link()
        session = Session(
            link,
            SYSTEM_CLOCK,
            namespace=self._namespace,
            caller=self._caller,
            residency=self._options.residency,
            servers=self._servers,
            via=self._via,
            bodies=self._bodies,
            ask_every_s=self._ask_every_s,
        )
        try:
            await session.open()
        except BaseException:
            await session.close(0.0)  # nothing was asked for yet, and a broker that hangs takes nothing
            raise
        return Mesh(session, self._options)

    async def _new_link(self) -> Link:
        options = self._connection
        if not options.urls:
            found = await in_thread(CHORES, find_running)  # a broker that hangs is waited for
            if found is None:
                raise BrokerUnavailable(NO_EMBEDDED)
            options = msgspec.structs.replace(options, urls=(found.url,), token=found.token)
        options = pinned(options, self._options.residency)
        return await NatsLink.open(options, wait=False, timeout_s=self._wait_s)


def pinned(options: NatsOptions, residency: Collection[str] | None) -> NatsOptions:
    """`options` as they count where a residency says that some regions are never used.

    Nothing says in which region a broker is that another one tells of: only URLs that were given are sure.
    """
    if residency is None or options.follow_discovered is not None:
        return options
    return msgspec.structs.replace(options, follow_discovered=False)
