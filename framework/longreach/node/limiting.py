"""Limits of callers, in front of the intake; a handler without limits never comes here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longreach.node.intake import Intake, RoutedCall
from longreach.policy.limits import Gate, Limiter
from longreach.wire import jsonrpc

if TYPE_CHECKING:
    from longreach.actor.call import Call, Ending
    from longreach.actor.server import Server
    from longreach.actor.spec import HandlerSpec


class LimitedIntake(Intake):
    """Takes in what a gate lets through, and refuses the rest as busy, with the kind of limit.

    Args:
        intake: takes the calls.
        gate: knows the limits.
    """

    gate: Gate

    def __init__(self, intake: Intake, gate: Gate) -> None:
        self.__dict__.update(intake.__dict__)  # it shares all that the intake knows
        self._intake = intake
        self.gate = gate

    def take(self, call: RoutedCall, keep_running: bool) -> bool:
        """Take a call, if its caller may make it."""
        caller = f"{call.via}.{call.caller}"
        coming = None if self.large is None else self.large.requests.beginning
        limited = self.gate.enter(caller, call.arrived, () if coming is None else coming.paid)
        if limited is not None:
            if self.book.knows(call.key, call.arrived):  # it came twice: the first one is answered
                return False
            after_ms = max(1, round(limited.retry_after_s * 1000))
            self.refuse(call.route, jsonrpc.encode_not_started(call.id, "busy", after_ms, limited.limit))
            return False
        if coming is not None:
            coming.paid = tuple(each for each in coming.paid if each not in self.gate.limiters)
        if not self._intake.take(call, keep_running):
            self.gate.forget(caller)
            return False
        return True

    def note(self, call: Call, notification: bytes) -> None:
        """Pass a notification on."""
        self._intake.note(call, notification)

    def ended(self, call: Call, ending: Ending) -> None:
        """A call that came through here has ended."""
        self.gate.leave(f"{call.via}.{call.caller}")
        self._intake.ended(call, ending)


class Limiting:
    """The limits of one server on one node: the node's, the server's, and each handler's.

    Args:
        server: whose.
        intake: takes calls in.
        of_node: what each caller may do on the node; None: anything.
    """

    def __init__(self, server: Server, intake: Intake, of_node: Limiter | None) -> None:
        self._intake = intake
        self._of_node = of_node
        self._of_server = _limiter(server)
        self._of: dict[HandlerSpec, Limiter] = {}
        self._share = 1.0

    def intake_for_all(self) -> Intake:
        """Who takes the offers of requests that do not say yet which handler they are for."""
        return self._limited(None)

    def intake_for(self, spec: HandlerSpec) -> Intake:
        """Who takes the calls of a handler; what its callers have used up outlives its actor's restarts."""
        limiter = self._of.get(spec)
        if limiter is None:
            limiter = _limiter(spec)
            if limiter is not None:
                limiter.take_share(self._share)
                self._of[spec] = limiter
        return self._limited(limiter)

    def _limited(self, limiter: Limiter | None) -> Intake:
        limiters = [each for each in (self._of_node, self._of_server, limiter) if each is not None]
        return LimitedIntake(self._intake, Gate(limiters)) if limiters else self._intake

    def keep(self, specs: frozenset[HandlerSpec]) -> None:
        """There are no others any more."""
        for gone in self._of.keys() - specs:
            del self._of[gone]

    def take_share(self, share: float) -> None:
        """This node's share of what the fleet may do is `share` from now on."""
        self._share = share
        for limiter in (self._of_server, *self._of.values()):
            if limiter is not None:
                limiter.take_share(share)


def has_fleet_limits(server: Server) -> bool:
    """Whether the server, or a handler of it, is limited over all its nodes."""
    stated = (server.limits, *(spec.limits for spec in tuple(server.handlers.values())))
    return any(limits is not None and limits.fleet_rate_per_s is not None for limits in stated)


def _limiter(of: Server | HandlerSpec) -> Limiter | None:
    return None if of.limits is None or of.limits.limits_nothing else Limiter(of.limits)
