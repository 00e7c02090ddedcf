"""Who may have what: the hook of a server, asked before a handler begins and for each item of a listing."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from longreach.actor.call import Forbidden
from longreach.actor.handling import Handling
from longreach.actor.incarnation import is_asked_for
from longreach.wire.completion import CompleteParams, PromptReference
from longreach.wire.tokens import decode_optional

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending
    from longreach.actor.spec import HandlerSpec

_log = logging.getLogger("longreach.actor")
_AT_ONCE = 32
"""So many items of a listing are asked about at once."""

T = TypeVar("T")


class AuthRequest(NamedTuple):
    """What somebody wants to do.

    Attributes:
        method: ``tools/call``, ``prompts/get``, ``resources/read`` or ``completion/complete``. An item of a
            listing is asked about with the method that it would be used with.
        name: the tool, the prompt, or the URI; of an item of a listing of templates, the template; of a
            completion, the prompt or the template that has the argument.
        caller: who asks, as the broker's permissions vouch for it; None where they name nobody.
        via: the gateway that it came through; None if none.
        claims: what the gateway found in the user's token, signed by it and checked here; None without.
    """

    method: str
    name: str
    caller: str | None
    via: str | None
    claims: dict[str, Any] | None


Authorize = Callable[[AuthRequest], bool | Awaitable[bool]]
"""True: it may. Anything else, and whatever it raises: it may not."""


class Asking(NamedTuple):
    """Who asks: tokens, as in a request's subject, and the claims, a JSON object."""

    via: str
    caller: str
    claims: bytes | None

    def about(self, method: str, name: str) -> AuthRequest:
        """What the hook is asked; the claims are its own copy."""
        claims = None if self.claims is None else msgspec.json.decode(self.claims)
        return AuthRequest(method, name, decode_optional(self.caller), decode_optional(self.via), claims)


class Authorizer:
    """Asks the hook of a server.

    Args:
        server: its name, for logs.
        hook: the hook. It runs in the event loop: a plain function must not wait.
    """

    def __init__(self, server: str, hook: Authorize) -> None:
        self._server = server
        self._hook = hook

    async def allows(self, request: AuthRequest) -> bool:
        """Whether it may; a hook that fails, or says anything but True, allows nothing, and is logged."""
        try:
            said: Any = self._hook(request)
            if inspect.isawaitable(said):
                said = await said
        except BaseException as error:
            # Whatever goes wrong in it must not let anybody in; a SystemExit in a listing would end the loop.
            if is_asked_for(error):
                raise
            self._report("authorize.failed", request, error)
            return False
        if said is True:
            return True
        if said is not False:
            self._report("authorize.no_bool", request, None)
        return False

    async def visible(self, specs: Iterable[HandlerSpec], asking: Asking) -> list[HandlerSpec]:
        """Those of `specs` that `asking` may use."""
        found: list[HandlerSpec] = []
        for some in _batched(specs, _AT_ONCE):
            verdicts = await asyncio.gather(
                *(self.allows(asking.about(spec.method, spec.name)) for spec in some)
            )
            found += [spec for spec, allowed in zip(some, verdicts, strict=True) if allowed]
        return found

    def _report(self, name: str, request: AuthRequest, error: BaseException | None) -> None:
        fields = {"server": self._server, "method": request.method, "name": request.name[:200]}
        fields |= {"reference": secrets.token_hex(4)}
        _log.error(name, extra={"event_fields": fields}, exc_info=error)


class AuthorizedHandling(Handling):
    """Handles the calls of an actor whose server has a hook: before anything of a call is looked at."""

    async def handle(self, call: Call, instance: Any) -> Ending:
        """Run one call, if its caller may make it; see `Handling.handle`."""
        authorizer = self._place.authorizer
        assert authorizer is not None, "the place of these actors has one"
        request = Asking(call.via, call.caller, call.claims).about(call.spec.method, name_of(call))
        if not await authorizer.allows(request):
            return Forbidden()
        return await super().handle(call, instance)


def name_of(call: Call) -> str:
    """What a call is about: the tool, the prompt, the URI, or what has the argument to be completed."""
    params: Any = call.params
    if not isinstance(params, CompleteParams):
        return str(params.name or params.uri)
    return params.ref.name if isinstance(params.ref, PromptReference) else params.ref.uri


def _batched(items: Iterable[T], size: int) -> Iterable[list[T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
