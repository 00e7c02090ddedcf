from __future__ import annotations

from typing import Any

import pytest
from tests.support.asgi import FrontDouble

from longreach.errors import ConfigError
from longreach.front.filters import Filters
from longreach_gateway.answers import Refusal
from longreach_gateway.doors import Doors, is_door


class Made:
    def __init__(self, filters: Filters | None = None) -> None:
        self.fronts: list[FrontDouble] = []
        self.there = {None, "docs"}
        self.doors = Doors(self._make, filters or Filters())

    def _make(self, server: str | None, filters: Filters) -> Any:
        if filters.regions == {"mars"}:
            raise ConfigError("this connection is bound to ['eu']")
        front = FrontDouble()
        front.server, front.filters, front.is_there = server, filters, server in self.there
        self.fronts.append(front)
        return front


@pytest.mark.parametrize(
    ("path", "server"), [("/mcp", None), ("/mcp/", None), ("/mcp/docs", "docs"), ("/mcp/docs/", "docs")]
)
def test_a_path_names_the_mesh_or_a_server(path: str, server: str | None):
    made = Made()

    assert made.doors.find(path, b"").server == server
    assert made.doors.find(path, b"") is made.doors.known(path, b"")
    assert len(made.fronts) == 1


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/mcp/nobody", b"", 404),
        ("/mcp/docs/more", b"", 404),
        ("/mcp//docs", b"", 404),
        ("/mcp/docs//", b"", 404),
        ("/mcp", b"sort=up", 400),
        ("/mcp", b"server=", 400),
        ("/mcp", b"server=,", 400),
        ("/mcp", b"\xff", 400),
        ("/mcp", b"&".join(b"tag=x" for _ in range(50)), 400),
        ("/mcp", b"region=mars", 403),
    ],
)
def test_what_is_not_there_is_refused_and_not_kept(path: str, query: bytes, status: int):
    made = Made()

    with pytest.raises(Refusal) as refused:
        made.doors.find(path, query)

    assert refused.value.status == status
    assert made.doors.known(path, query) is None
    assert all(front.closed for front in made.fronts)


@pytest.mark.parametrize(
    ("filters", "query", "narrowed"),
    [
        (Filters(), b"", Filters()),
        (Filters(), b"server=a,b&tag=x&region=eu", Filters.of(["a", "b"], ["x"], ["eu"])),
        (Filters(), b"server=a&server=b", Filters.of(["a", "b"])),
        (Filters(), b"server=a%2Cb", Filters.of(["a", "b"])),
        (Filters.of(["a"]), b"", Filters.of(["a"])),
        (Filters.of(["a", "b"]), b"server=b,c", Filters.of(["b"])),
        (Filters.of(["a"]), b"server=c", Filters(servers=frozenset())),
        (Filters.of((), ["x"]), b"tag=y", Filters(tags=frozenset())),
    ],
)
def test_a_query_narrows_what_is_offered_and_never_widens_it(
    filters: Filters, query: bytes, narrowed: Filters
):
    front: Any = Made(filters).doors.find("/mcp", query)

    assert front.filters == narrowed


def test_a_server_that_is_not_offered_is_not_there():
    made = Made(Filters.of(["other"]))

    with pytest.raises(Refusal):
        made.doors.find("/mcp/docs", b"")


def test_only_so_many_doors_are_kept_and_none_is_closed_that_somebody_listens_at():
    made = Made()
    listened: Any = made.doors.find("/mcp", b"")
    listened.listeners = 1
    for number in range(1000):
        made.doors.find("/mcp", f"tag=t{number}".encode())

    assert sum(not front.closed for front in made.fronts) <= 256
    assert made.doors.known("/mcp", b"") is listened
    assert not listened.closed


def test_closing_ends_what_is_listened_to():
    made = Made()
    made.doors.front_for(None)
    made.doors.front_for("docs")

    made.doors.close()

    assert [front.closed for front in made.fronts] == [True, True]


@pytest.mark.parametrize(
    ("path", "door"), [("/mcp", True), ("/mcp/x", True), ("/mcpx", False), ("/", False), ("/healthz", False)]
)
def test_doors_are_below_one_path(path: str, door: bool):
    assert is_door(path) is door
