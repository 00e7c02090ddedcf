"""How the calls of a server ended on one node, as numbers: what announcements say of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from longreach.actor.call import Cancelled, Completed, Crashed, Failed, Lost, RawResult
from longreach.wire import codes
from longreach.wire.frames import Stats

if TYPE_CHECKING:
    from longreach.actor.call import Ending

_CALLERS_FAULT = frozenset({codes.INVALID_PARAMS, codes.INVALID_REQUEST, codes.MISSING_CAPABILITY})
_TIMED_OUT = "deadline"
_ERROR = re.compile(rb'"isError"\s*:\s*true')


class Tally:
    """The calls of one server that ended here since the node started, and those that failed."""

    __slots__ = ("calls", "errors")

    def __init__(self) -> None:
        self.calls = 0
        self.errors = 0

    @property
    def stats(self) -> Stats | msgspec.UnsetType:
        """As announced; nothing while there was no call."""
        return Stats(self.calls, self.errors) if self.calls else msgspec.UNSET

    def ended(self, ending: Ending) -> None:
        """Count a call. What did not begin, and what was cut short by others, is not counted."""
        if type(ending) is Completed:  # nearly always
            self.calls += 1
            result = ending.result
            if getattr(result, "is_error", None) is True or (
                type(result) is RawResult and _ERROR.search(result.data)
            ):
                self.errors += 1
        elif isinstance(ending, Crashed | Lost) or (
            isinstance(ending, Cancelled) and ending.why == _TIMED_OUT
        ):
            self.calls += 1
            self.errors += 1
        elif isinstance(ending, Failed):
            self.calls += 1
            self.errors += ending.code not in _CALLERS_FAULT
