"""Reads what a broker says when its permissions refuse a subject."""

from __future__ import annotations

import re
from collections.abc import Iterable

from longreach.transport.link import Denied, Subscription

_VIOLATION = re.compile(
    r'permissions violation for (?P<kind>publish|subscription) to "(?P<subject>[^"]*)"'
    r'(?: using queue "(?P<queue>[^"]*)")?'
)


def read_violation(text: str, subscriptions: Iterable[Subscription]) -> Denied | None:
    """What `text`, in lower case, says is refused; None if it is about something else.

    nats-py lowers the case of the broker's errors, so a subscription's own spelling is looked up.
    """
    found = _VIOLATION.search(text)
    if found is None:
        return None
    subject, queue = found["subject"], found["queue"] or ""
    if found["kind"] == "publish":
        return Denied("publish", subject)
    for known in subscriptions:
        if (known.subject.lower(), known.queue.lower()) == (subject, queue):
            return Denied("subscribe", known.subject, known.queue)
    return Denied("subscribe", subject, queue)
