"""Every error a user of longreach can meet, by what it means for the call.

One root, `LongreachError`; each class also is the builtin error a reader would expect. Code decides on
fields, never on class names or texts: `delivered` says whether the tool may have run, `retryable`
whether asking again can help, `code` is the JSON-RPC code where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Delivered = Literal["no", "yes", "unknown"]
"""Whether the handler may have begun: `no` it did not, `yes` it did, `unknown` nobody can tell."""


class LongreachError(Exception):
    """The root of all errors of longreach.

    Args:
        message: one line that says what is wrong and what to do.
        delivered: whether the tool may have run.
        retryable: whether the same call can succeed if it is made again.
        code: JSON-RPC error code, where the other side sent one.
        data: machine-readable detail, as the other side sent it.
        reason: the closed word for the cause, e.g. ``"busy"`` (docs/binding.md, Endings).
        region: where the last attempt went.
        node: ``identity.instance`` of the node that had the call, if known.
    """

    delivered: Delivered = "no"
    retryable: bool = False
    code: int | None = None

    def __init__(
        self,
        message: str,
        *,
        delivered: Delivered | None = None,
        retryable: bool | None = None,
        code: int | None = None,
        data: Any = None,
        reason: str | None = None,
        region: str | None = None,
        node: str | None = None,
    ) -> None:
        super().__init__(message)
        if delivered is not None:
            self.delivered = delivered
        if retryable is not None:
            self.retryable = retryable
        if code is not None:
            self.code = code
        self.data = data
        self.reason = reason
        self.region = region
        self.node = node


class ConfigError(LongreachError, ValueError):
    """A setting is missing, malformed or contradicts another."""


class DeclarationError(LongreachError, TypeError):
    """A handler cannot be what its decorator says; raised when the module is loaded, never at call time."""


class BrokerUnavailable(LongreachError, ConnectionError):
    """No connection to a broker; nothing was sent."""

    retryable = True


class CredentialsRejected(LongreachError, PermissionError):
    """The broker does not accept these credentials; asking again with them is useless."""


class PermissionDenied(LongreachError, PermissionError):
    """The broker's permissions forbid this subject, or the server refuses this caller; nothing ran."""


class ResidencyRefused(LongreachError, PermissionError):
    """No region that this call may use can take it, and it may use no other."""


class NotFound(LongreachError, LookupError):
    """No live node offers a server, tool or node of that name."""


class NotStarted(LongreachError, RuntimeError):
    """Whoever was asked refused before the tool began; `reason` and `retry_after_s` say why and when.

    `limit` names the kind of limit that the caller is beyond (``"rate"``, ``"concurrency"``,
    ``"fleet_rate"``); None: it is not the caller's own doing.
    """

    retryable = True

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, limit: str | None = None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.retry_after_s = retry_after_s
        self.limit = limit


class TooLarge(LongreachError, ValueError):
    """A message or subject is larger than the broker carries; it was not sent."""


class OutcomeUnknown(LongreachError, ConnectionError):
    """The call was lost with its node or link; the tool may have run, wholly, partly or not at all."""

    delivered = "unknown"


class CallTimeout(LongreachError, TimeoutError):
    """No answer by the deadline."""

    delivered = "unknown"


class RemoteError(LongreachError, RuntimeError):
    """The node answered with a JSON-RPC error: a terminal reply."""

    delivered = "yes"


class ProtocolError(LongreachError, RuntimeError):
    """A JSON-RPC error that a handler answers with, as it is; prefer `ToolError` for what a model can mend.

    Args:
        code: JSON-RPC error code; one that says whether a call ran (-31900, -31910 to -31914) becomes -32603.
        message: for the caller to read.
        data: machine-readable detail, JSON. In its `reason` the words ``cut_off``, ``deadline``,
            ``crashed_actor`` and ``result_too_large`` are the node's own, and are removed.
    """

    delivered = "yes"

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message, code=code, data=data)


class ResourceNotFound(ProtocolError):
    """There is no resource of that URI: what the handler of a template raises."""

    def __init__(self, uri: str) -> None:
        super().__init__(-32602, f"there is no resource {uri}", {"uri": uri})


class InputNeeded(LongreachError, RuntimeError):
    """The server asks for input that nothing here answers: a question to the user, to a model, for folders.

    Give the call what answers it (`on_elicit`, `on_url`, `on_sample`, `on_roots`), or answer `requests` and
    make the same call again with `input_responses` under the same keys, and with `request_state`.

    Args:
        message: what is asked for.
        requests: by the server's keys, `ElicitRequest`, `CreateMessageRequest` or `ListRootsRequest`.
        request_state: to be sent back as it is; None where there is none.
    """

    delivered = "yes"

    def __init__(
        self, message: str, requests: Mapping[str, Any], request_state: str | None, **fields: Any
    ) -> None:
        super().__init__(message, **fields)
        self.requests = dict(requests)
        self.request_state = request_state


class ToolError(LongreachError):
    """The tool says that it failed.

    Raise it in a handler: its text is for the caller to read. A typed `mesh.call(function, ...)` raises
    it where the result has `isError`; then `result` is that result.
    """

    delivered = "yes"

    def __init__(self, message: str, *, result: Any = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.result = result


class Crash(LongreachError, RuntimeError):
    """Crash this actor: its state cannot be trusted any more.

    Raise it in a method of an `Actor`: the call ends with an error (`crashed_actor`), what else runs or waits
    there is ended too, and the supervisor makes a new instance. In a function it ends only its call. Crashes
    in a row lead to quarantine.

    Args:
        message: for the log; callers do not see it.
    """

    delivered = "yes"

    def __init__(self, message: str = "the handler asked for a crash", **fields: Any) -> None:
        super().__init__(message, **fields)


class InvalidResult(LongreachError, ValueError):
    """The result does not have the shape that the function's return annotation promises."""

    delivered = "yes"
