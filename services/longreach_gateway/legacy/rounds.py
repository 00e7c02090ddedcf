"""One request of a legacy client from its coming to its answer, the questions to the client between them.

What the mesh answers with `input_required`, the client is asked over the stream of its own call; then the
call is sent again, with the answers and the state. There is one deadline for all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import msgspec
from mcp.shared.exceptions import MCPError

from longreach.errors import Delivered
from longreach.front.personal import Claims
from longreach.wire import codes, jsonrpc
from longreach.wire.incoming import decode_incoming
from longreach_gateway.audit import delivered_of
from longreach_gateway.legacy import eras
from longreach_gateway.legacy.face import Face
from longreach_gateway.legacy.limits import Limits
from longreach_gateway.legacy.notes import Notes

_log = logging.getLogger("longreach.gateway.legacy")

Ask = Callable[[str, dict[str, Any] | None], Awaitable[dict[str, Any]]]
"""Sends a request to the client and returns its result; raises MCPError where it answers with an error."""


class MeshError(MCPError):
    """An error that is not a handler's word alone: the mesh, or this gateway, knows whether anything ran.

    The code that says so is not one that the older versions know, so it is lost in what the client is told.
    """

    def __init__(self, code: int, message: str, data: Any, delivered: Delivered | None) -> None:
        super().__init__(code, message, data)
        self.delivered = delivered


class Rounds:
    """Asks the mesh for one client, and the client for the mesh.

    Args:
        face: the mesh.
        client: who asks.
        caller: its principal, or None.
        limits: of the client.
        next_id: makes the ids of requests to the mesh; each of them is new.
    """

    def __init__(
        self, face: Face, client: eras.Client, caller: str | None, limits: Limits, next_id: Callable[[], int]
    ) -> None:
        self._face = face
        self._client = client
        self._caller = caller
        self._limits = limits
        self._next_id = next_id

    async def answer(
        self, method: str, params: Mapping[str, Any] | None, log_level: str, ask: Ask, notes: Notes,
        claims: Claims | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """The result for the client; `claims` are what nodes are told of it.

        Raises:
            MCPError: the error for it.
        """
        try:
            with anyio.fail_after(self._limits.exchange_s):
                return await self._answer(method, params, log_level, ask, notes, claims)
        except TimeoutError:
            text = f"not answered within {self._limits.exchange_s:g} s, questions to the user included"
            raise MCPError(codes.INTERNAL_ERROR, text, {"reason": "deadline"}) from None

    async def _answer(
        self, method: str, params: Mapping[str, Any] | None, log_level: str, ask: Ask, notes: Notes,
        claims: Claims | None,
    ) -> dict[str, Any]:  # fmt: skip
        answers: dict[str, Any] | None = None
        state: str | None = None
        for _ in range(self._limits.rounds + 1):
            request = eras.modern_request(
                self._next_id(), method, params, self._client, log_level=log_level,
                input_responses=answers, request_state=state,
            )  # fmt: skip
            result = await self._ask_mesh(method, request, notes, claims)
            kind = result.get("resultType", "complete")
            if kind == "complete":
                return eras.legacy_result(method, result)
            if kind != eras.INPUT_REQUIRED or method not in eras.MAY_ASK:
                text = f"the server's result is of the kind {kind!r}, which this version of MCP does not have"
                raise MCPError(codes.INTERNAL_ERROR, text)
            answers, state = await self._ask_client(result, ask)
            notes.next_round()
        text = f"the server has asked {self._limits.rounds} times for more and is still not done"
        raise MCPError(codes.INTERNAL_ERROR, text, {"reason": "too_many_rounds"})

    async def _ask_mesh(
        self, method: str, request: bytes, notes: Notes, claims: Claims | None
    ) -> dict[str, Any]:
        try:
            incoming = decode_incoming(request)
        except jsonrpc.Malformed as malformed:  # what the client put into params
            raise MCPError(malformed.code, str(malformed)) from None
        answer = await self._face.handle(
            incoming,
            caller=self._caller,
            on_note=notes.put,
            timeout_s=self._limits.call_timeout_s,
            claims=claims,
        )
        response = jsonrpc.decode_response(answer.data)
        if response.error is not msgspec.UNSET:
            error = eras.legacy_error(method, response.error)
            data = None if error.data is msgspec.UNSET else error.data
            raise MeshError(error.code, error.message, data, delivered_of(answer.data))
        assert response.result is not msgspec.UNSET, "a response has a result or an error"
        return msgspec.json.decode(response.result, type=dict[str, Any])

    async def _ask_client(
        self, result: Mapping[str, Any], ask: Ask
    ) -> tuple[dict[str, Any] | None, str | None]:
        """The answers to what a result asks for, and the state to send back with them."""
        asked, state = result.get("inputRequests"), result.get("requestState")
        if not (asked is None or isinstance(asked, dict)) or not (state is None or isinstance(state, str)):
            raise MCPError(codes.INTERNAL_ERROR, "the server asks for input in a form that is not MCP's")
        if not asked:
            return None, state
        if len(asked) > self._limits.questions:
            text = f"the server asks for {len(asked)} things at once; {self._limits.questions} are allowed"
            raise MCPError(codes.INTERNAL_ERROR, text, {"reason": "too_many_questions"})
        for request in asked.values():
            if (ability := eras.lacking(self._client, request)) is not None:
                text = (
                    f"the server needs a client with the capability {ability}, which this one does not have"
                )
                raise MCPError(codes.MISSING_CAPABILITY, text)
        return await self._ask_all(asked, ask), state

    async def _ask_all(self, asked: Mapping[str, Any], ask: Ask) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        refused: list[tuple[str, MCPError]] = []

        async def one(key: str, request: Mapping[str, Any]) -> None:
            method, params = eras.legacy_question(self._client, request)
            try:
                answers[key] = await ask(method, params)
            except MCPError as error:
                refused.append((method, error))

        async with anyio.create_task_group() as group:
            for key, request in asked.items():
                group.start_soon(one, key, request)
        if refused:
            method, error = refused[0]
            data = {"reason": "input_refused", "method": method, "code": error.code}
            raise MCPError(codes.INTERNAL_ERROR, f"the client refused {method}: {error.message}", data)
        return answers
