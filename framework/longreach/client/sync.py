"""The mesh for scripts and notebooks: the same methods, blocking.

One event loop runs in a thread of its own (anyio's blocking portal); each method waits for its
counterpart there. Interrupting a waiting call cancels it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from anyio.from_thread import start_blocking_portal

from longreach.client.connect import connect as connect_async

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from longreach.client.info import Change, NodeInfo, ServerInfo, ToolInfo
    from longreach.client.mesh import Mesh
    from longreach.client.results import CallResult

P = ParamSpec("P")
R = TypeVar("R")


def connect(*args: Any, **kwargs: Any) -> SyncMesh:
    """Connect to the mesh: ``with longreach.sync.connect() as mesh``; arguments as `longreach.connect`."""
    stack = ExitStack()
    try:
        portal = stack.enter_context(start_blocking_portal(backend_options={"use_uvloop": True}))
        mesh = stack.enter_context(portal.wrap_async_context_manager(connect_async(*args, **kwargs)))
    except BaseException:
        stack.close()
        raise
    return SyncMesh(mesh, portal, stack)


class SyncMesh:
    """A blocking `Mesh`; close it, or use it as a context manager."""

    def __init__(self, mesh: Mesh, portal: BlockingPortal, stack: ExitStack) -> None:
        self._mesh = mesh
        self._portal = portal
        self._stack = stack

    def __enter__(self) -> SyncMesh:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection and its thread."""
        self._stack.close()

    @property
    def url(self) -> str | None:
        """The broker, without credentials."""
        return self._mesh.url

    def options(self, **changes: Any) -> SyncMesh:
        """The same connection with other options; see `Mesh.options`. Closing the view closes nothing."""
        return SyncMesh(self._mesh.options(**changes), self._portal, ExitStack())

    @overload
    def call(self, target: str, arguments: dict[str, Any] | None = None, /, **options: Any) -> CallResult: ...
    @overload
    def call(self, target: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call(self, target: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def call(self, target: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a tool; see `Mesh.call`."""
        return self._run(self._mesh.call, target, *args, **kwargs)

    def tools(self, server: str | None = None) -> list[ToolInfo]:
        """All tools, or those of one server."""
        tools: list[ToolInfo] = self._run(self._mesh.tools, server)
        return tools

    def servers(self) -> list[ServerInfo]:
        """All servers."""
        servers: list[ServerInfo] = self._run(self._mesh.servers)
        return servers

    def nodes(self) -> list[NodeInfo]:
        """All nodes."""
        nodes: list[NodeInfo] = self._run(self._mesh.nodes)
        return nodes

    def refresh(self, timeout_s: float = 0.5) -> None:
        """Ask all nodes who they are, and forget those that do not answer."""
        self._run(self._mesh.refresh, timeout_s)

    def watch(self) -> Iterator[Change]:
        """Changes of the mesh as they are noticed."""
        changes = self._mesh.watch()
        try:
            while True:
                try:
                    change = self._run(changes.__anext__)
                except StopAsyncIteration:  # the mesh was closed
                    return
                yield change
        finally:
            self._run(changes.aclose)  # type: ignore[attr-defined]

    def _run(self, function: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        async def wait() -> Any:
            return await function(*args, **kwargs)

        future = self._portal.start_task_soon(wait)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
