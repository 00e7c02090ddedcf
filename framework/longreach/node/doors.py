"""Doors: the synchronous sinks of a server's subscriptions, each for one handler or for one method.

A door decodes a message, checks that the subject says what the body says, and hands a call to the intake;
nothing here waits. A tool or prompt has a `Door` of its own. All resources of a server share one, and all
completions another: they find the handler by what the body says.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import msgspec

from longreach.actor.offers import ANY_NAME
from longreach.node.intake import RoutedCall
from longreach.node.requests import SharedPlaces
from longreach.observe import event
from longreach.wire import codes, jsonrpc
from longreach.wire.completion import (
    CompleteParams,
    CompleteResult,
    Completion,
    PromptReference,
    decode_complete,
)
from longreach.wire.frames import HEADER
from longreach.wire.schema.arguments import shortened

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.actor.cell import ActorCell
    from longreach.actor.offers import Offers
    from longreach.actor.spec import HandlerSpec
    from longreach.node.intake import Intake
    from longreach.node.replies import ReplyRoute
    from longreach.node.requests import Place
    from longreach.transport.link import Headers

_log = logging.getLogger("longreach.node.doors")
_BARE_TIMEOUT_S = 60.0
"""How long a call may take whose asker states no deadline and whose handler has no timeout."""

Asker = tuple[str, str]
_MAX_ASKERS = 10_000
_MAX_TOLD_URI = 8192


class _Entrance:
    """What all doors share: who asks, and where they are answered."""

    __slots__ = ("_askers", "_intake", "_place")

    def __init__(self, intake: Intake, place: Place) -> None:
        self._intake = intake
        self._place = place
        self._askers: dict[str, Asker] = {}

    def _new_asker(self, subject: str) -> Asker:
        """Who asks on `subject`; a caller's subject is the same in all its calls."""
        parts = subject.split(".", 10)
        if len(self._askers) >= _MAX_ASKERS:
            self._askers.clear()
        asker = self._askers[subject] = (parts[7], parts[8])
        return asker

    @abstractmethod
    def __call__(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        """Take one request."""

    def _not_a_request(
        self,
        error: jsonrpc.Malformed,
        subject: str,
        reply: str,
        route: ReplyRoute,
        data: bytes,
        headers: Headers | None,
    ) -> None:
        """Refuse what is malformed, unless it is the offer of a request that comes in parts."""
        rest = {key: value for key, value in (headers or {}).items() if key != HEADER} or None
        if headers is None or not self._intake.take_offer(
            route, data, headers, lambda whole: self(subject, reply, whole, rest), self._place
        ):
            self._intake.refuse(route, jsonrpc.encode_error(error.id, error.code, str(error), None))

    def _refuse(
        self, route: ReplyRoute, request_id: jsonrpc.RequestId | None, error: jsonrpc.RpcError
    ) -> None:
        self._intake.refuse(route, jsonrpc.encode_error(request_id, error.code, error.message, error.data))


class Door(_Entrance):
    """One handler's entrance: the sink of its subscriptions, if its name is in the subject."""

    __slots__ = ("_cell", "_keep_running", "_method", "_name", "_result_meta", "_spec", "_timeout_s")

    def __init__(self, intake: Intake, spec: HandlerSpec, cell: ActorCell, result_meta: msgspec.Raw) -> None:
        super().__init__(intake, cell)
        self._spec = spec
        self._cell = cell
        self._method = spec.method
        self._name = spec.name
        self._timeout_s = spec.timeout_s
        self._keep_running = spec.keep_running
        self._result_meta = result_meta

    def __call__(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        """Take one request; the subject is ``lr.v1.<ns>.<region>.req.<server>.<to>.<via>.<caller>...``."""
        asker = via, caller = self._askers.get(subject) or self._new_asker(subject)
        route = self._intake.replies.route(reply, via, caller)
        if route is None:
            event(_log, "request.unanswerable", logging.WARNING, subject=subject)
            return
        try:
            request = jsonrpc.decode_call(data)
        except jsonrpc.Malformed as error:
            self._not_a_request(error, subject, reply, route, data, headers)
            return
        params = request.params
        if request.method != self._method or params.name != self._name:
            problem: jsonrpc.RpcError | None = self._mismatch(request)
        else:
            problem = jsonrpc.validate_meta(params.meta)
        if problem is not None:
            self._refuse(route, request.id, problem)
            return
        self.admit(route, request.id, params, data, asker, headers)

    @property
    def cell(self) -> ActorCell:
        """The actor that it leads to."""
        return self._cell

    def admit(
        self,
        route: ReplyRoute,
        request_id: jsonrpc.RequestId,
        params: Any,
        data: bytes,
        asker: Asker,
        headers: Headers | None = None,
        claims: bytes | None = None,
    ) -> None:
        """Make a call of a request that was found to be in order."""
        intake = self._intake
        arrived = intake.clock.monotonic()
        own_s = self._timeout_s
        timeout_s = _BARE_TIMEOUT_S if own_s is None else own_s
        if route.deadline_ms:
            left_s = (route.deadline_ms - intake.clock.wall_ms()) / 1000
            if left_s <= 0:
                intake.refuse(route, jsonrpc.encode_not_started(request_id, "expired", None))
                return
            if own_s is None or left_s < timeout_s:
                timeout_s = left_s
        call = RoutedCall(  # by position: this is where names would cost
            route.key, request_id, self._spec, params, data, arrived + timeout_s, asker[0], asker[1],
            arrived, intake, claims, route=route, cell=self._cell, result_meta=self._result_meta,
        )  # fmt: skip
        intake.take(call, self._keep_running)

    def _mismatch(self, request: jsonrpc.CallRequest) -> jsonrpc.RpcError:
        if not request.params.name:
            return jsonrpc.RpcError(codes.INVALID_PARAMS, "params lacks a name")
        text = f"the subject says {self._method} of {self._name!r}, the body says something else"
        return jsonrpc.RpcError(codes.MISMATCH, text)


class SharedDoor(_Entrance):
    """The entrance of all handlers of one method: who a request is for, its body says.

    Args:
        intake: takes calls in.
        offers: what the server has.
        result_meta: the `_meta` of results, encoded.
        make: makes the doors of handlers.
    """

    method = ""

    def __init__(
        self,
        intake: Intake,
        offers: Offers,
        result_meta: msgspec.Raw,
        make: Callable[..., Door] = Door,
    ) -> None:
        self._places = SharedPlaces()
        super().__init__(intake, self._places)
        self._make = make
        self._offers = offers
        self._result_meta = result_meta
        self._doors: dict[str, Door] = {}

    def open(self, spec: HandlerSpec, cell: ActorCell, intake: Intake) -> None:
        """`cell` is ready to take calls of `spec` from `intake`; what comes while it is not, it refuses."""
        self.close(spec.id)
        self._doors[spec.id] = self._make(intake, spec, cell, self._result_meta)
        self._places.open(cell)

    def close(self, spec_id: str) -> None:
        """There is no such handler any more."""
        door = self._doors.pop(spec_id, None)
        if door is not None:
            self._places.close(door.cell)

    def __call__(self, subject: str, reply: str, data: bytes, headers: Headers | None) -> None:
        """Take one request."""
        asker = self._askers.get(subject) or self._new_asker(subject)
        route = self._intake.replies.route(reply, *asker)
        if route is None:
            event(_log, "request.unanswerable", logging.WARNING, subject=subject)
            return
        try:
            request: Any = self._decode(data)
        except jsonrpc.Malformed as error:
            self._not_a_request(error, subject, reply, route, data, headers)
            return
        if request.method != self.method:
            text = f"the subject says {self.method}, the body {request.method}"
            self._refuse(route, request.id, jsonrpc.RpcError(codes.MISMATCH, text))
            return
        problem = jsonrpc.validate_meta(request.params.meta)
        found = self._find(request.params) if problem is None else problem
        if isinstance(found, jsonrpc.RpcError):
            self._refuse(route, request.id, found)
        elif found is None:
            self._answer_nothing(route, request.id)
        elif (door := self._doors.get(found.id)) is not None:
            door.admit(route, request.id, request.params, data, asker, headers)
        else:  # its actor is still starting
            self._intake.refuse(route, jsonrpc.encode_not_started(request.id, "not_here", None))

    def _decode(self, data: bytes) -> Any:
        return jsonrpc.decode_call(data)

    @abstractmethod
    def _find(self, params: Any) -> HandlerSpec | jsonrpc.RpcError | None:
        """Who the request is for; the error if there is nobody, None if that is no error."""

    def _answer_nothing(self, route: ReplyRoute, request_id: jsonrpc.RequestId) -> None:
        raise NotImplementedError


class ResourcesDoor(SharedDoor):
    """resources/read of one server."""

    method = "resources/read"

    def _find(self, params: jsonrpc.CallParams) -> HandlerSpec | jsonrpc.RpcError | None:
        uri = params.uri
        if not uri:
            return jsonrpc.RpcError(codes.INVALID_PARAMS, "params lacks a uri")
        exact: HandlerSpec | None = self._offers.offered("resource").get(uri)
        if exact is not None:
            return exact
        for template in tuple(self._offers.offered("template").values()):
            if template.matches(uri):
                return template  # type: ignore[no-any-return]
        reader: HandlerSpec | None = self._offers.offered("reader").get(ANY_NAME)
        if reader is not None:
            return reader
        return _nothing_at("resource", uri)


def _nothing_at(what: str, uri: str) -> jsonrpc.RpcError:
    """The error for what there is not; a URI that would make the answer too large is not said again."""
    data = {"uri": uri} if len(uri) <= _MAX_TOLD_URI else None
    return jsonrpc.RpcError(codes.INVALID_PARAMS, f"there is no {what} {shortened(uri)}", data)


class CompletionDoor(SharedDoor):
    """completion/complete of one server; an argument that nobody completes has no values."""

    method = "completion/complete"

    def _decode(self, data: bytes) -> Any:
        return decode_complete(data)

    def _find(self, params: CompleteParams) -> HandlerSpec | jsonrpc.RpcError | None:
        completions = self._offers.offered("completion")
        spec: HandlerSpec | None = completions.get(params.completes) or completions.get(ANY_NAME)
        if spec is not None:
            return spec
        ref = params.ref
        if isinstance(ref, PromptReference):
            if ref.name not in self._offers.offered("prompt"):
                return jsonrpc.RpcError(codes.INVALID_PARAMS, f"there is no prompt {shortened(ref.name)}")
        elif ref.uri not in self._offers.offered("template") and ref.uri not in self._offers.offered(
            "resource"
        ):
            return _nothing_at("resource template", ref.uri)
        return None

    def _answer_nothing(self, route: ReplyRoute, request_id: jsonrpc.RequestId) -> None:
        nothing = CompleteResult(Completion([], total=0, has_more=False), meta=self._result_meta)
        self._intake.replies.respond(route, request_id, jsonrpc.encode_result(request_id, nothing))
