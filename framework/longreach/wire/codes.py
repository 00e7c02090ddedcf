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

NotStartedReason = Literal["busy", "expired", "draining", "not_here", "crashed"]
"""Why it did not begin."""
NOT_STARTED_REASONS: Final[frozenset[NotStartedReason]] = frozenset(get_args(NotStartedReason))
"""The closed list of them."""
