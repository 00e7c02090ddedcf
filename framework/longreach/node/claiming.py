"""Claims of users, as they come with requests: checked once for each text, by keys that may change.

A node without keys looks at none, and `Context.claims` is None.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from longreach.keyfile import KeyFile
from longreach.node.doors import Door
from longreach.observe import event
from longreach.policy.claims import HEADER, Bound, ClaimsRefused, Opened, Verifier, check, parse_keys
from longreach.wire import codes, jsonrpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from longreach.clock import Clock
    from longreach.node.replies import ReplyRoute
    from longreach.transport.link import Headers

_log = logging.getLogger("longreach.node.claims")
_MAX_KNOWN = 1000
"""So many texts that were found valid are remembered; each is a few hundred bytes, and 8 KiB at most."""
_LOOK_EVERY_S = 1.0


class _Known(NamedTuple):
    bound: Bound
    opened: Opened


class ClaimsCheck:
    """Checks the claims of requests to one node.

    Args:
        file: of public keys, one a line. It is looked at again once a second while claims come; what cannot
            be read any more, or holds no keys, leaves those that were there before.
        namespace: the node's namespace token.
        clock: the time.

    Raises:
        ConfigError: the file cannot be read, or holds no public keys.
    """

    def __init__(self, file: str | Path, namespace: str, clock: Clock) -> None:
        self._namespace = namespace
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._keys = KeyFile(
            file, "the claims keys in", "claims_keys", lambda text: _verifier(text, str(file)), _log,
            every_s=_LOOK_EVERY_S, clock=clock,
        )  # fmt: skip
        self._verifier = self._keys.current()

    def check(self, text: str, server: str, via: str, caller: str) -> bytes:
        """The claims in `text`, a JSON object, if they are for requests of `caller` to `server`.

        Raises:
            ClaimsRefused: they are not valid here.
        """
        verifier = self._keys.current()
        if verifier is not self._verifier:
            self._verifier = verifier
            self._known.clear()
        bound = Bound(self._namespace, via, caller, server)
        now_ms = self._clock.wall_ms()
        known = self._known.get(text)
        if known is not None:
            check(known.bound, known.opened.expires_ms, bound, now_ms)
            return known.opened.claims
        opened = verifier.open(text, bound, now_ms)
        if len(self._known) >= _MAX_KNOWN:
            self._known.popitem(last=False)
        self._known[text] = _Known(bound, opened)
        return opened.claims


def _verifier(text: str, file: str) -> Verifier:
    return Verifier(parse_keys(text, "public", file))


class ServerClaims:
    """Checks the claims of requests to one server of a node.

    Args:
        check: of the node.
        server: the server's token.
    """

    def __init__(self, check: ClaimsCheck, server: str) -> None:
        self._check = check
        self._server = server

    def of(self, headers: Headers | None, via: str, caller: str) -> bytes | None:
        """The claims that came with a request; None where none did.

        Raises:
            ClaimsRefused: they are not valid here; it is logged.
        """
        text = None if headers is None else headers.get(HEADER)
        if text is None:
            return None
        try:
            return self._check.check(text, self._server, via, caller)
        except ClaimsRefused as refused:
            fields = {"server": self._server, "via": via, "caller": caller, "reason": refused.reason}
            event(_log, "claims.refused", logging.WARNING, **fields)
            raise


class ClaimsDoor(Door):
    """A door that looks at claims; see `Door`."""

    __slots__ = ("_claims",)

    def __init__(self, *door: Any, claims: ServerClaims) -> None:
        super().__init__(*door)
        self._claims = claims

    def admit(
        self,
        route: ReplyRoute,
        request_id: jsonrpc.RequestId,
        params: Any,
        data: bytes,
        asker: tuple[str, str],
        headers: Headers | None = None,
        claims: bytes | None = None,
    ) -> None:
        """Make a call of a request, unless its claims are wrong: then nothing runs."""
        if headers is not None:
            try:
                claims = self._claims.of(headers, *asker)
            except ClaimsRefused as refused:
                self._intake.refuse(route, refusal_of(request_id, refused))
                return
        super().admit(route, request_id, params, data, asker, headers, claims)


def door_maker(claims: ServerClaims | None) -> Callable[..., Door]:
    """What makes the doors of a server."""
    return Door if claims is None else partial(ClaimsDoor, claims=claims)


def refusal_of(request_id: jsonrpc.RequestId, refused: ClaimsRefused) -> bytes:
    """The answer to a request whose claims are wrong."""
    text = f"the claims that came with this request are not taken: {refused}; nothing ran"
    data = {"delivered": "no", "reason": f"claims_{refused.reason}"}
    return jsonrpc.encode_error(request_id, codes.FORBIDDEN, text, data)
