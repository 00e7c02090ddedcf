"""From a call to the book and its actor, and from its ending to the one response.

The node's hot path, behind the doors (`node.doors`); nothing here waits. Each call that is taken ends
exactly once, in `ended`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.actor.call import (
    Call,
    Cancelled,
    Completed,
    Crashed,
    Ending,
    Failed,
    Forbidden,
    Lost,
    NotStarted,
    RawResult,
)
from longreach.node.rawresults import stamp
from longreach.observe import event, safe_text
from longreach.wire import codes, jsonrpc
from longreach.wire.frames import HEADER
from longreach.wire.values import NotFinite

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.actor.cell import ActorCell
    from longreach.clock import Clock
    from longreach.node.large import LargeBodies
    from longreach.node.replies import Replies, ReplyRoute
    from longreach.node.requests import Place
    from longreach.node.tally import Tally
    from longreach.policy.calls import CallBook
    from longreach.policy.limits import Gate
    from longreach.transport.link import Headers

_log = logging.getLogger("longreach.node.intake")
_NOTE = {HEADER: "note"}
_TIMED_OUT = codes.DEADLINE
_FORBIDDEN = "you may not use this; nothing ran"
_NOTHING_RAN = {"delivered": "no", "reason": "forbidden"}
_CRASHED = {"reason": codes.CRASHED_ACTOR}
_CUT_OFF = {
    "drain": "the node drained and its time limit",
    "crash": "another call crashed the actor, which",
}
_FULL_MS = 500
"""When to ask a node again whose link takes nothing."""
_SHORT_S = 0.3
"""A call with less time than this is limited at once, because the watch looks at calls of 250 ms and more."""


class RoutedCall(Call, kw_only=True, eq=False):
    """A call that knows where its answer goes, who runs it, and what limits it.

    Attributes:
        route: where it is answered.
        cell: the actor that it is for.
        result_meta: the `_meta` of its result, encoded.
        timer: ends it at its deadline; None while the watch over slow calls does.
    """

    route: ReplyRoute
    cell: ActorCell
    result_meta: msgspec.Raw
    timer: asyncio.TimerHandle | None = None


class Intake:
    """Takes requests in for one node and sends what they end in.

    Args:
        replies: builds reply subjects and sends.
        book: the node's memory of calls.
        clock: the time.
        on_call: called with the time when a call is taken, so that the watch over slow calls wakes up.
        node: ``identity.instance``; callers that find no room here go to another one.
    """

    large: LargeBodies | None = None
    """Bodies that no message holds; set where the node is put together."""
    gate: Gate | None = None
    """What limits those whose calls come here; None: nothing."""

    def __init__(
        self,
        replies: Replies,
        book: CallBook,
        clock: Clock,
        on_call: Callable[[float], None],
        node: str | None = None,
    ) -> None:
        self._node = node
        self.replies = replies
        self.book = book
        self.clock = clock
        self.calls: dict[str, RoutedCall] = {}
        self.tallies: dict[str, Tally] = {}
        """By server, what became of its calls; a server that is hosted has one."""
        self._on_call = on_call

    def refuse(self, route: ReplyRoute, data: bytes) -> None:
        """Answer a request that never became a call."""
        self.replies.refuse(route, data)

    def take_offer(
        self,
        route: ReplyRoute,
        data: bytes,
        headers: Headers | None,
        begin: Callable[[bytes], None],
        place: Place,
    ) -> bool:
        """Take the offer of a request that no message holds; return False if it is no offer.

        Args:
            route: where the request is answered.
            data: what came in its place.
            headers: that it came with.
            begin: takes the request once it is whole.
            place: keeps a place for it until then.
        """
        if self.large is None:
            return False
        return self.large.requests.begin(route, data, headers, begin, self, place)

    def stop(self, key: str, why: str) -> None:
        """Nobody waits for a call any more, by the book's word: it is cancelled, its bodies are dropped."""
        taken = self.calls.get(key)
        if taken is not None:
            taken.cell.cancel(key, why)
        elif self.large is not None and self.large.drop(key, why):
            return
        elif why == "cancelled":  # one that is only silent may be cut off, and its response waits for it
            self.replies.drop(key)

    def take(self, call: RoutedCall, keep_running: bool) -> bool:
        """Write a call into the book and offer it to its actor; False: it is none that may begin."""
        route = call.route
        verdict = self.book.arrived(
            route.key, route.scope, call.arrived, frames=route.frames, keep_running=keep_running
        )
        if verdict == "duplicate":
            return False
        if verdict == "tombstoned":
            self.refuse(route, jsonrpc.encode_not_started(call.id, "not_here", None))
            return False
        self.calls[route.key] = call
        if not route.frames or call.deadline - call.arrived < _SHORT_S:
            self.limit(call)  # the watch over slow calls limits all others
        self._on_call(call.arrived)
        if self.replies.is_full:
            del self.calls[route.key]
            self.book.forget(route.key)  # if this refusal is lost, "whose?" is answered as if it never came
            self.refuse(route, jsonrpc.encode_not_started(call.id, "busy", _FULL_MS, node=self._node))
            return False
        reason = call.cell.offer(call)
        if reason is not None:
            after_ms = call.cell.retry_after_ms() if reason == "busy" else None
            call.sink.ended(call, NotStarted(reason, after_ms))
        return True

    def limit(self, call: RoutedCall) -> None:
        """See to it that a call ends at its deadline."""
        left_s = max(0.0, call.deadline - self.clock.monotonic())
        loop = asyncio.get_running_loop()
        call.timer = loop.call_later(left_s, call.cell.cancel, call.key, _TIMED_OUT)

    def note(self, call: Call, notification: bytes) -> None:
        """Pass a notification of a running call on to its caller, as a frame."""
        if isinstance(call, RoutedCall) and call.route.frames:
            self.replies.frame(call.route, notification, _NOTE)

    def ended(self, call: Call, ending: Ending) -> None:
        """Answer a call; called exactly once for each call that was taken."""
        known = self.calls.pop(call.key, None)
        if known is None:
            return
        call = known
        if call.timer is not None:
            call.timer.cancel()
        try:
            if type(ending) is Completed:  # nearly always
                data = self._completed(call, ending.result)
            else:
                data = self._encode(call, ending)
        except BaseException as error:  # noqa: BLE001 - it is the handler's: the call must end all the same
            event(_log, "result.unencodable", logging.ERROR, call=call.spec.id, reason=safe_text(error))
            text = f"{call.name} ran, but its result cannot be written as JSON"
            if isinstance(error, NotFinite):
                text += f": {error}"
            data = jsonrpc.encode_error(call.id, codes.INTERNAL_ERROR, text, {"reason": "bad_result"})
        tally = self.tallies.get(call.spec.server)
        if tally is not None:
            tally.ended(ending)
        self.replies.respond(call.route, call.id, data)

    def _encode(self, call: RoutedCall, ending: Ending) -> bytes:
        match ending:
            case Completed(result):
                return self._completed(call, result)
            case NotStarted(reason, retry_after_ms):
                node = self._node if reason == "busy" else None
                return jsonrpc.encode_not_started(call.id, reason, retry_after_ms, node=node)
            case Forbidden():
                return jsonrpc.encode_error(call.id, codes.FORBIDDEN, _FORBIDDEN, _NOTHING_RAN)
            case Crashed(reference):
                text = f"this call crashed the actor that ran it; the log's reference is {reference}"
                return jsonrpc.encode_error(call.id, codes.INTERNAL_ERROR, text, _CRASHED)
            case Failed(code, message, detail):  # a handler's words: they decide nothing
                error = jsonrpc.strip_reserved(jsonrpc.RpcError(code, message, detail))
                return jsonrpc.encode_error(call.id, error.code, error.message, error.data)
            case Lost(text):
                return jsonrpc.encode_error(call.id, codes.INTERNAL_ERROR, text, {"reason": codes.CUT_OFF})
            case Cancelled(why):
                return self._cancelled(call, why)

    def _completed(self, call: RoutedCall, result: Any) -> bytes:
        if result.meta is msgspec.UNSET:
            result.meta = call.result_meta
        elif type(result) is RawResult:
            return jsonrpc.encode_result(call.id, stamp(result.data, call.result_meta, call.spec.method))
        elif result.meta is not call.result_meta:  # the handler's own, and ours, which says where it ran
            said = msgspec.json.decode(msgspec.json.encode(result.meta))
            where = msgspec.json.decode(call.result_meta)
            result = msgspec.structs.replace(result, meta={**said, **where} if said else where)
        return jsonrpc.encode_result(call.id, result)

    def _cancelled(self, call: RoutedCall, why: str) -> bytes:
        if why in _CUT_OFF:
            text = f"{_CUT_OFF[why]} cut this call off; it ran in part"
            return jsonrpc.encode_error(call.id, codes.INTERNAL_ERROR, text, {"reason": codes.CUT_OFF})
        text = (
            "the call's deadline passed while it ran" if why == _TIMED_OUT else f"the call was ended: {why}"
        )
        return jsonrpc.encode_error(call.id, codes.INTERNAL_ERROR, text, {"reason": why})
