"""What of all that comes out of a handler is a crash, and what is only the end of its call.

A handler ends its call in one of four ways. It returns. It answers with an error (`ToolError`,
`ProtocolError`). It fails: any other `Exception`, which says that this call did not work, and nothing about
the next one. Or it crashes: it says itself that it must not go on (`Crash`), or something that no code
expects has gone through it, a `BaseException` such as `SystemExit`, or a `MemoryError`.

What a crash costs is for the cell to say. A method of an `Actor` may have left the state that all its
methods share half done, so the actor begins anew. A function shares nothing: its call ends, and crashes in a
row lead to quarantine.

A `CancelledError` is never a crash. Where somebody asked for it, the call is cancelled already; where nobody
did, it came out of a library that was used wrongly, and fails its call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from longreach.errors import Crash, DeclarationError, InvalidResult, ProtocolError, ToolError

CrashOn = tuple[type[BaseException], ...]
"""The exceptions that crash an actor, besides those that always do."""

_ANSWERS = (ToolError, ProtocolError, InvalidResult)
"""What tells the caller something, or that the value returned is not what was promised: never a crash."""


class HandlerCrashed(Exception):
    """A handler crashed in a process of its own; the text is the traceback there."""


_ALWAYS = (Crash, MemoryError, HandlerCrashed)


def is_crash(error: BaseException, crash_on: CrashOn = ()) -> bool:
    """Return whether `error`, which came out of a handler, is a crash.

    Of an exception group any member counts: `asyncio.TaskGroup` wraps what its tasks raise.
    """
    pending = [error]
    while pending:
        one = pending.pop()
        if isinstance(one, (asyncio.CancelledError, *_ANSWERS)):
            continue
        if isinstance(one, (*_ALWAYS, *crash_on)):
            return True
        if isinstance(one, BaseExceptionGroup):
            pending.extend(one.exceptions)
        elif not isinstance(one, Exception):
            return True
    return False


def check_crash_on(given: Any) -> CrashOn:
    """Return the types that `crash_on=` names: one exception type, or several.

    Raises:
        DeclarationError: something in it is no exception type, or never a crash.
    """
    several: list[Any] = (
        list(given) if isinstance(given, Iterable) and not isinstance(given, type) else [given]
    )
    for kind in several:
        if not isinstance(kind, type) or not issubclass(kind, BaseException):
            raise DeclarationError(
                f"crash_on={kind!r} is no exception type: say crash_on=sqlite3.Error, or several in a tuple"
            )
        if issubclass(kind, (asyncio.CancelledError, *_ANSWERS)):
            raise DeclarationError(
                f"crash_on={kind.__name__} cannot be: a cancel and an error for the caller never crash an "
                "actor; raise longreach.Crash where the state is spoilt"
            )
    return tuple(several)
