"""The mesh for scripts and notebooks: the same methods, blocking.

One event loop runs in a thread of its own (anyio's blocking portal); each method waits for its
counterpart there. Interrupting a waiting call cancels it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from anyio.from_thread import start_blocking_portal

from longreach.client.connect import connect as connect_async
from longreach.errors import BrokerUnavailable

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from longreach.client.info import (
        Change,
        NodeInfo,
        PromptInfo,
        ResourceInfo,
        ServerInfo,
        TemplateInfo,
        ToolInfo,
        Update,
    )
    from longreach.client.listening import Listening
    from longreach.client.mesh import Mesh
    from longreach.client.operating import Explanation
    from longreach.client.results import CallResult, PromptResult, ReadResult
    from longreach.wire.completion import Completion

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
        self._process = os.getpid()

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
        """End the connection and its thread; in a forked child there is nothing to end."""
        if os.getpid() == self._process:
            self._stack.close()

    @property
    def url(self) -> str | None:
        """The broker, without credentials."""
        return self._mesh.url

    def options(self, **changes: Any) -> SyncMesh:
        """The same connection with other options; see `Mesh.options`. Closing the view closes nothing."""
        view = SyncMesh(self._mesh.options(**changes), self._portal, ExitStack())
        view._process = self._process
        return view

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

    def prompts(self, server: str | None = None) -> list[PromptInfo]:
        """All prompts, or those of one server."""
        prompts: list[PromptInfo] = self._run(self._mesh.prompts, server)
        return prompts

    def resources(self, server: str | None = None) -> list[ResourceInfo]:
        """All resources that have one URI, or those of one server."""
        resources: list[ResourceInfo] = self._run(self._mesh.resources, server)
        return resources

    def templates(self, server: str | None = None) -> list[TemplateInfo]:
        """All resource templates, or those of one server."""
        templates: list[TemplateInfo] = self._run(self._mesh.templates, server)
        return templates

    def get_prompt(
        self, name: str, arguments: Mapping[str, Any] | None = None, **options: Any
    ) -> PromptResult:
        """Fill in a prompt; see `Mesh.get_prompt`."""
        result: PromptResult = self._run(self._mesh.get_prompt, name, arguments, **options)
        return result

    def read(self, server: str, uri: str, **options: Any) -> ReadResult:
        """Read a resource; see `Mesh.read`."""
        result: ReadResult = self._run(self._mesh.read, server, uri, **options)
        return result

    def complete(self, target: str, argument: str, value: str = "", **options: Any) -> Completion:
        """Values for an argument; see `Mesh.complete`."""
        completion: Completion = self._run(self._mesh.complete, target, argument, value, **options)
        return completion

    def listen(self, server: str | None = None, **options: Any) -> Iterator[Update]:
        """Changes of lists and resources as they are noticed; see `Mesh.listen`."""

        async def begin() -> Listening:
            listening = self._mesh.listen(server, **options)
            return await listening.__aenter__()

        yield from self._iterate(self._run(begin))

    def servers(self) -> list[ServerInfo]:
        """All servers."""
        servers: list[ServerInfo] = self._run(self._mesh.servers)
        return servers

    def nodes(self) -> list[NodeInfo]:
        """All nodes."""
        nodes: list[NodeInfo] = self._run(self._mesh.nodes)
        return nodes

    def explain(self, name: str) -> Explanation:
        """Say where a call would go, and why not elsewhere; see `Mesh.explain`."""
        explanation: Explanation = self._run(self._mesh.explain, name)
        return explanation

    def refresh(self, timeout_s: float = 0.5) -> None:
        """Ask all nodes who they are, and forget those that do not answer."""
        self._run(self._mesh.refresh, timeout_s)

    def watch(self) -> Iterator[Change]:
        """Changes of the mesh as they are noticed."""
        yield from self._iterate(self._mesh.watch())

    def _iterate(self, changes: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    change = self._run(changes.__anext__)
                except StopAsyncIteration:  # the mesh was closed
                    return
                yield change
        finally:
            self._run(changes.aclose)

    def _run(self, function: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        if os.getpid() != self._process:
            raise BrokerUnavailable(
                f"this blocking mesh belongs to process {self._process}; its thread is not here, in the "
                f"forked process {os.getpid()}: open one here, with longreach.sync.connect()",
                retryable=False,
            )

        async def wait() -> Any:
            return await function(*args, **kwargs)

        future = self._portal.start_task_soon(wait)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise
