"""requestState of mounted servers, sealed with the key ring that the nodes of a server share.

The SDK seals with a key of the process, unless it is told otherwise, so that a retry that reaches another
replica would be refused. What it binds a state to (method, name, arguments, expiry) stays its own; who
called is what the mesh vouches for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState

from longreach.actor.context import current_context
from longreach.policy.sealing import StateRefused
from longreach_bridge._sdk import state_policies

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server as LowLevel
    from mcp.server.request_state import RequestStateCodec

_PURPOSE = b"longreach mounted "

Binding = Callable[["ServerRequestContext[Any, Any]"], str | None]


class RingCodec:
    """The SDK's codec over the ring of the node that runs the present call.

    Args:
        name: the server's; states of another are refused.
        before: opens what was sealed elsewhere, with keys that the server's author has given.
    """

    def __init__(self, name: str, before: RequestStateCodec) -> None:
        self._purpose = _PURPOSE + name.encode()
        self._before = before

    def seal(self, payload: bytes) -> str:
        """`payload`, for the nodes of this server to open."""
        return current_context().sealer.seal(payload, self._purpose)

    def unseal(self, token: str) -> bytes:
        """What was sealed.

        Raises:
            InvalidRequestState: it was altered, or sealed with another key.
        """
        try:
            return current_context().sealer.unseal(token, self._purpose)
        except StateRefused as error:
            refusal = str(error.reason)
        try:
            return self._before.unseal(token)
        except InvalidRequestState:
            raise InvalidRequestState(refusal) from None


def share_request_state(low: LowLevel[Any]) -> None:
    """Seal the server's requestState with the ring of its nodes; a codec that is not the SDK's own stays."""
    for policy in state_policies(low):
        if isinstance(policy.codec, AESGCMRequestStateCodec):
            policy.codec = RingCodec(low.name, policy.codec)
        policy.bind_principal = _bound_to_caller(policy.bind_principal)


def _bound_to_caller(before: Binding | None) -> Binding:
    def principal(request: ServerRequestContext[Any, Any]) -> str | None:
        told = before(request) if before is not None else None
        if told is not None:
            return told
        context = current_context()
        if context.via is None:
            return context.caller
        return f"by gateway/{context.caller or ''}"  # the next round may come through another gateway

    return principal
