"""Handlers of mounted servers that ask their caller and go on waiting, as their frameworks let them.

Such a handler runs in a task of its own, which outlives the request of the mesh in which it asks.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from mcp.shared.exceptions import MCPError, NoBackChannelError
from msgspec import UNSET, Raw

from longreach.actor.incarnation import is_asked_for
from longreach.actor.raw import CutOff
from longreach.errors import ProtocolError
from longreach.tasks import TaskSet
from longreach.wire import codes
from longreach_bridge.exchange import Exchange
from longreach_bridge.foreign.calls import Ask, ForeignCall
from longreach_bridge.foreign.mapping import encoded
from longreach_bridge.foreign.parking import Parked, claim_of
from longreach_bridge.foreign.turns import QUESTIONS, Turns

if TYPE_CHECKING:
    from longreach.actor.context import Context
    from longreach.actor.raw import RawRequest
    from longreach.wire.jsonrpc import RequestId
    from longreach_bridge.foreign.calls import Params
    from longreach_bridge.foreign.parking import Claim


class AskingExchange(Exchange):
    """An exchange whose handler may ask its caller."""

    def __init__(self, inside: Inside, call: ForeignCall, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._inside = inside
        self._call = call
        self.can_send_request = True

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: Any = None
    ) -> dict[str, Any]:
        """Ask the caller, and wait for the answer.

        Raises:
            MCPError: it cannot be asked this.
        """
        if method not in QUESTIONS:
            raise NoBackChannelError(method)
        answer = await self._inside.ask(self._call, method, params or {})
        return msgspec.json.decode(answer, type=dict[str, Any])


class Inside:
    """The running handlers that may ask.

    Args:
        name: of the server, for logs.
    """

    def __init__(self, name: str) -> None:
        self._turns = Turns(name, self)
        self._tasks = TaskSet(f"handlers of {name}")
        self._handlers: dict[ForeignCall, asyncio.Task[None]] = {}
        self._exchanges: dict[ForeignCall, AskingExchange] = {}
        self._answers: dict[int | str, asyncio.Future[Raw]] = {}
        self._ids = itertools.count(1)

    async def close(self) -> None:
        """End all of them."""
        self._turns.clear()
        await self._tasks.close()

    async def serve(
        self, request: RawRequest, run: Callable[[Exchange], Coroutine[Any, Any, bytes]], told: Any
    ) -> bytes:
        """Run a handler as far as it goes without its caller, or go on with the one that waits for this.

        Args:
            request: of the mesh.
            run: runs the handler in an exchange.
            told: of each notification that is not about this call.

        Raises:
            ProtocolError: it ended in a JSON-RPC error.
            CutOff: the server was stopped before it ended.
        """
        params: Params = msgspec.json.decode(request.params, type=dict[str, Raw])
        claim = claim_of(request, params)
        parked = self._turns.resume(params, claim)
        if parked is not None and parked.call is not None:
            return await self._go_on(parked, params, request, claim)
        call = ForeignCall(next(self._ids), request.method)
        call.may_ask = True
        context = request.context
        exchange = AskingExchange(self, call, told, context, context.request_id, _progress_token(context))
        self._exchanges[call] = exchange
        handler = self._handlers[call] = self._tasks.spawn(
            self._run(call, run, exchange), name=request.method
        )
        handler.add_done_callback(partial(self._ended, call))
        return bytes(await self._turns.outcome(call, context, claim))

    async def _go_on(self, parked: Parked, params: Params, request: RawRequest, claim: Claim) -> bytes:
        call, ask = parked.call, parked.ask
        assert call is not None
        assert ask is not None
        if not call.done:
            self._exchanges[call].move(request.context, _progress_token(request.context))
        if not self._turns.answer(ask, params):  # it was asked, and did not say: ask again
            return self._turns.park(call, ask, request.context, claim)
        return bytes(await self._turns.outcome(call, request.context, claim))

    async def _run(
        self, call: ForeignCall, run: Callable[[Exchange], Coroutine[Any, Any, bytes]], exchange: Exchange
    ) -> None:
        try:
            call.end(Raw(await run(exchange)))
        except BaseException as error:
            # Out of this task a SystemExit would end the loop, and the node with it.
            if is_asked_for(error):
                raise
            if isinstance(error, asyncio.CancelledError):
                error = ProtocolError(codes.INTERNAL_ERROR, "the handler was cancelled by itself")
            call.end(error)

    def _ended(self, call: ForeignCall, _: object) -> None:
        """The handler has ended, or was cancelled, before its first step perhaps."""
        del self._handlers[call], self._exchanges[call]
        call.end(CutOff("the call was ended"))

    # What handlers ask, and are told

    async def ask(self, call: ForeignCall, method: str, params: Mapping[str, Any]) -> Raw:
        """Ask the caller of `call`; its answer.

        Raises:
            MCPError: it cannot be asked this.
        """
        number = next(self._ids)
        answer: asyncio.Future[Raw] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            if not call.ask(Ask(number, method, {key: encoded(value) for key, value in params.items()})):
                raise NoBackChannelError(method)
            return await answer
        finally:
            del self._answers[number]

    def answer(self, ask: Ask, result: Any) -> None:
        """Give a handler what it asked for."""
        waiting = self._answers.get(ask.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(result if isinstance(result, Raw) else encoded(result))

    def refuse(self, ask: Ask, code: int, message: str) -> None:
        """Tell a handler that it cannot have that."""
        waiting = self._answers.get(ask.id)
        if waiting is not None and not waiting.done():
            waiting.set_exception(MCPError(code=code, message=message))

    def cancel(self, call: ForeignCall, reason: str) -> None:
        """Cancel a handler."""
        handler = self._handlers.get(call)
        if handler is not None:
            self._exchanges[call].cancel_requested.set()
            handler.cancel(reason)


def _progress_token(context: Context) -> RequestId | None:
    """With what the caller wants to hear of progress; None: it does not."""
    meta = context.meta
    return None if meta is None or meta.progress_token is UNSET else meta.progress_token
