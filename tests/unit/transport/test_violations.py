from __future__ import annotations

import pytest

from longreach.transport._violations import read_violation
from longreach.transport.link import Denied, Subscription


def _subscriptions() -> list[Subscription]:
    return [
        Subscription(1, "Tool.A", "", lambda *_: None),
        Subscription(2, "Tool.A", "Crew", lambda *_: None),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('permissions violation for publish to "a.b"', Denied("publish", "a.b")),
        ('permissions violation for subscription to "tool.a"', Denied("subscribe", "Tool.A")),
        (
            'permissions violation for subscription to "tool.a" using queue "crew"',
            Denied("subscribe", "Tool.A", "Crew"),
        ),
        ('permissions violation for subscription to "tool.b"', Denied("subscribe", "tool.b")),
        ("maximum subscriptions exceeded", None),
        ("", None),
    ],
)
def test_violations(text: str, expected: Denied | None):
    assert read_violation(text, _subscriptions()) == expected
