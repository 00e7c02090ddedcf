"""Listings of a server whose hook says who may have what: each caller sees what it may use."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from longreach.actor.authorizing import Asking, Authorizer
from longreach.node.claiming import ServerClaims, refusal_of
from longreach.node.methods import LISTS, Listed, ServerMethods
from longreach.observe import event
from longreach.policy.claims import ClaimsRefused
from longreach.wire import codes, jsonrpc

if TYPE_CHECKING:
    from longreach.node.replies import ReplyRoute
    from longreach.tasks import TaskSet
    from longreach.transport.link import Headers

_log = logging.getLogger("longreach.node.methods")
_PATIENCE_S = 10.0
"""How long a hook may think about one listing."""
_MOST = 100
"""So many listings of a server are made at once; who comes then is told to come again."""
_AFTER_MS = 500


class PersonalMethods(ServerMethods):
    """Answers the methods of one server; its listings differ by caller. See `ServerMethods`.

    Args:
        base: what `ServerMethods` takes.
        authorizer: says who may have what.
        claims: checks the claims of users; None: nobody looks at them.
        tasks: own listings for as long as the hook thinks.
    """

    def __init__(
        self, *base: Any, authorizer: Authorizer, claims: ServerClaims | None, tasks: TaskSet
    ) -> None:
        super().__init__(*base)
        self._authorizer = authorizer
        self._claims = claims
        self._tasks = tasks
        self._under_way = 0

    def _serve(
        self,
        route: ReplyRoute,
        method: str,
        request: jsonrpc.Request,
        asker: tuple[str, str],
        headers: Headers | None,
    ) -> None:
        listed = LISTS.get(method)
        if listed is None or request.method != method:
            super()._serve(route, method, request, asker, headers)
            return
        try:
            claims = None if self._claims is None else self._claims.of(headers, *asker)
        except ClaimsRefused as refused:
            self._replies.refuse(route, refusal_of(request.id, refused))
            return
        if self._under_way >= _MOST:
            self._replies.refuse(route, jsonrpc.encode_not_started(request.id, "busy", _AFTER_MS))
            return
        self._under_way += 1
        work = self._answer_one(route, listed, request, Asking(*asker, claims))
        self._tasks.start(work, name="listing")

    async def _answer_one(
        self, route: ReplyRoute, listed: Listed, request: jsonrpc.Request, asking: Asking
    ) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                specs = tuple(self._server.offered(listed.kind).values())
                seen = await self._authorizer.visible(specs, asking)
            answer = self._checked(request, lambda params: self._page(listed, params, seen))
        except TimeoutError:
            event(_log, "authorize.slow", logging.WARNING, server=self._server.name)
            text = "the listing took too long: the server was asked what you may use, and did not say"
            answer = jsonrpc.encode_error(request.id, codes.INTERNAL_ERROR, text, {"reason": codes.DEADLINE})
        finally:
            self._under_way -= 1
        self._replies.respond(route, request.id, answer)
