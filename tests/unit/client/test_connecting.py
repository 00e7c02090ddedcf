"""What `connect()` says where it is used as if it were connected."""

from __future__ import annotations

import pytest

from longreach import connect
from longreach.transport.memory import MemoryBroker


def test_a_connection_that_was_not_entered_says_how() -> None:
    connecting = connect(link=MemoryBroker().link())
    with pytest.raises(AttributeError, match=r"async with connect\(\.\.\.\) as mesh.*`mesh\.call`"):
        connecting.call  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no attribute 'cal'$"):
        connecting.cal  # noqa: B018
    assert not hasattr(connecting, "__enter__")
