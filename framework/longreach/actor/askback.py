"""The ending of a round that asks its caller for something: requests, and a sealed journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from longreach.actor.call import Completed, Failed
from longreach.errors import ConfigError, InvalidResult
from longreach.policy.sealing import StateTooLarge
from longreach.wire import codes
from longreach.wire.capabilities import missing_capability
from longreach.wire.inputs import InputRequest, InputRequiredResult, required_capability
from longreach.wire.values import encode

if TYPE_CHECKING:
    from longreach.actor.asks import InputRequired
    from longreach.actor.call import Call, Ending
    from longreach.actor.states import States
    from longreach.policy.journal import Entry


def ask_back(
    call: Call,
    requests: dict[str, InputRequest],
    entries: list[Entry],
    states: States,
    *,
    explicit: InputRequired | None = None,
) -> Ending:
    """The ending of `call` that asks for `requests`.

    Args:
        call: the call.
        requests: what is asked for, by key.
        entries: the journal so far.
        states: seals it.
        explicit: what the handler returned, if it did not stop at a question.

    Raises:
        ConfigError: a request of this method cannot be answered with questions, or no state can be sealed.
        InvalidResult: the handler's state has no JSON form.
    """
    if not call.spec.can_ask:
        raise ConfigError(f"{call.spec.method} cannot ask its caller for anything")
    problem = missing_capability(call.params.meta, _required(requests))
    if problem is not None:
        return Failed(problem.code, problem.message, problem.data)
    state = None if explicit is None or explicit.state is None else _json(explicit.state)
    sealed: str | msgspec.UnsetType = UNSET
    if entries or state is not None:
        try:
            sealed = states.keep(call, entries, explicit=explicit is not None, state=state)
        except StateTooLarge as error:
            return Failed(codes.INTERNAL_ERROR, str(error), {"reason": "state_too_large"})
    return Completed(InputRequiredResult(requests or UNSET, sealed))


def _required(requests: Mapping[str, InputRequest]) -> dict[str, Any]:
    """The capabilities that all of `requests` need together."""
    required: dict[str, dict[str, Any]] = {}
    for request in requests.values():
        for name, inner in required_capability(request).items():
            required.setdefault(name, {}).update(inner)
    return required


def _json(state: Any) -> bytes:
    try:
        return encode(state)
    except (TypeError, ValueError, NotImplementedError, RecursionError) as error:
        raise InvalidResult(f"the state of InputRequired has no JSON form: {error}") from error
