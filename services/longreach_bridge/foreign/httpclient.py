"""The HTTP client under the SDK's transport: what goes wrong with one request ends that request only.

In the SDK's transport an exception of one request ends the connection with all others. So exceptions of the
network become answers here, with codes of our own that `http` reads; credentials are put in as late as
possible, read again whenever they may have changed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import httpx2

from longreach.observe import event

_log = logging.getLogger("longreach.bridge")

NOT_SENT: Final = -31901
"""Nothing of the request has reached the server."""
CUT: Final = -31902
"""The request may have reached the server; its answer did not come."""
REJECTED: Final = -31903
"""The server does not accept the credentials."""

_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
_UNAUTHORIZED, _FORBIDDEN = 401, 403
_CUTTING = frozenset({502, 503, 504})
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""So much of a response that is no stream is read; events have a limit of their own."""
_CONNECT_TIMEOUT_S = 10.0
_WRITE_TIMEOUT_S = 60.0

Secrets = Callable[[], Mapping[str, str]]
"""The headers that hold credentials, as they are now."""


def _answer(request: httpx2.Request, code: int, message: str) -> httpx2.Response:
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return httpx2.Response(
        502, headers={"content-type": "application/json"}, content=json.dumps(body).encode(), request=request
    )


class _Quiet(httpx2.AsyncByteStream):
    """A body that ends where the network fails, or at its limit: whoever reads it finds it incomplete."""

    def __init__(self, inner: httpx2.AsyncByteStream, max_bytes: int | None) -> None:
        self._inner = inner
        self._left = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                if self._left is not None:
                    self._left -= len(chunk)
                    if self._left < 0:
                        event(_log, "foreign.answer_too_large", logging.WARNING, limit=MAX_BODY_BYTES)
                        return
                yield chunk
        except httpx2.TransportError as error:
            event(_log, "foreign.answer_cut", logging.DEBUG, reason=type(error).__name__)

    async def aclose(self) -> None:
        await self._inner.aclose()


class PatientClient(httpx2.AsyncClient):
    """Answers with an error of ours instead of raising; otherwise httpx2's client.

    Args:
        secrets: headers that hold credentials.
        transport: carries requests; None: the network.
    """

    def __init__(self, secrets: Secrets, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        super().__init__(
            transport=transport,
            timeout=httpx2.Timeout(
                connect=_CONNECT_TIMEOUT_S, read=None, write=_WRITE_TIMEOUT_S, pool=_CONNECT_TIMEOUT_S
            ),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
        )
        self._secrets = secrets

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request; a response comes back in every case."""
        request.headers.update(self._secrets())
        try:
            response = await super().send(request, **options)
        except httpx2.TransportError as error:
            code = NOT_SENT if isinstance(error, _NOTHING_SENT) else CUT
            return _answer(request, code, f"no answer: {type(error).__name__}")
        status = response.status_code
        if status == _UNAUTHORIZED or (status == _FORBIDDEN and not _speaks_json(response)):
            await response.aclose()
            return _answer(request, REJECTED, f"it does not accept the credentials: HTTP {status}")
        if status in _CUTTING and not _speaks_json(response):
            await response.aclose()
            return _answer(request, CUT, f"no answer: HTTP {status}")
        limit = MAX_BODY_BYTES if _speaks_json(response) else None
        response.stream = _Quiet(response.stream, limit)  # type: ignore[arg-type]
        return response


def _speaks_json(response: httpx2.Response) -> bool:
    return bool(response.headers.get("content-type", "").lower().startswith("application/json"))
