"""Error codes, and the closed words that go with ours.

Source: JSON-RPC 2.0; MCP 2026-07-28 basic; docs/binding.md 5.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

PROTOCOL_VERSION: Final = "2026-07-28"

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

NOT_STARTED: Final = -31900
"""The first code of ours: the handler did not begin, and never will for this request."""

FORBIDDEN: Final = -31913
"""The second one of ours: the caller may not have this; the handler did not begin, nor would it elsewhere."""

UNAVAILABLE: Final = -31910
"""At a gateway: it did not begin, nobody could take it just now. The same request may succeed later."""
OUTCOME_UNKNOWN: Final = -31911
"""At a gateway: it was lost on the way; it may have run, wholly, partly or not at all."""
TIMED_OUT: Final = -31912
"""At a gateway: no answer in time; `data.delivered` says whether it may have run."""
TOO_LARGE: Final = -31914
"""At a gateway: the request is larger than the mesh carries; nothing ran."""

CUT_OFF: Final = "cut_off"
DEADLINE: Final = "deadline"
CRASHED_ACTOR: Final = "crashed_actor"
RESULT_TOO_LARGE: Final = "result_too_large"

RESERVED_CODES: Final = frozenset(
    {NOT_STARTED, UNAVAILABLE, OUTCOME_UNKNOWN, TIMED_OUT, FORBIDDEN, TOO_LARGE}
)
"""Codes that say whether a call ran. Nodes and gateways alone may say that, never a handler."""
RESERVED_REASONS: Final = frozenset({CUT_OFF, DEADLINE, CRASHED_ACTOR, RESULT_TOO_LARGE})
"""Words in `data.reason` of an error that a node alone may say: with -32603 they decide about `delivered`."""

NotStartedReason = Literal["busy", "expired", "draining", "not_here", "crashed"]
"""Why it did not begin."""
NOT_STARTED_REASONS: Final[frozenset[NotStartedReason]] = frozenset(get_args(NotStartedReason))
"""The closed list of them."""
