"""What a front offers now."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.fronts import StringMesh, bundle, tool

from longreach.errors import BrokerUnavailable
from longreach.front import book as module
from longreach.front.book import Book
from longreach.front.filters import Filters
from longreach.front.offering import Offering


def names(offering: Offering) -> list[str]:
    return [item.offered for item in offering.lists["tools"]]


@pytest.fixture
def mesh() -> StringMesh:
    return StringMesh()


@pytest.fixture
def book(mesh: StringMesh) -> Book:
    return Book(mesh, Filters(), None)


async def test_what_is_known_is_offered_without_asking(mesh: StringMesh, book: Book) -> None:
    mesh.up(bundle("docs", tools=[tool("a")]))

    assert names(await book.learned()) == ["docs__a"]
    assert mesh.learned == []
    assert await book.learned() is book.current()


async def test_what_is_announced_is_fetched_first(mesh: StringMesh, book: Book) -> None:
    offer = bundle("docs", tools=[tool("a")])
    mesh.up(offer, fetched=False)

    async def learning(_: str | None) -> None:
        mesh.fetch(offer)

    mesh.learning = learning

    assert names(await book.learned()) == ["docs__a"]


async def test_a_server_that_does_not_tell_is_waited_for_once(
    mesh: StringMesh, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEARN_S", 0.01)
    mesh.up(bundle("docs", tools=[tool("a")]))
    mesh.up(bundle("slow", tools=[tool("x")]), server="slow", fetched=False)
    mesh.learning = lambda _: asyncio.Event().wait()

    assert names(await book.learned()) == ["docs__a"]
    assert names(await book.learned()) == ["docs__a"]
    assert mesh.learned == [None]
    mesh.up(bundle("maths", tools=[tool("m")]), server="maths")
    assert names(await book.learned()) == ["docs__a", "maths__m"]
    assert mesh.learned == [None]
    mesh.up(bundle("late", tools=[tool("x")]), server="late", fetched=False)
    assert names(await book.learned()) == ["docs__a", "maths__m"]
    assert mesh.learned == [None, None]


async def test_an_empty_mesh_is_asked_once(mesh: StringMesh, book: Book) -> None:
    for _ in range(3):
        assert names(await book.learned()) == []
    assert mesh.learned == [None]


async def test_without_a_link_what_is_known_is_still_offered(mesh: StringMesh, book: Book) -> None:
    async def learning(_: str | None) -> None:
        raise BrokerUnavailable("down")

    mesh.learning = learning
    with pytest.raises(BrokerUnavailable):
        await book.learned()
    mesh.up(bundle("docs", tools=[tool("a")]))
    mesh.up(bundle("slow", tools=[tool("x")]), server="slow", fetched=False)

    assert names(await book.learned()) == ["docs__a"]


def test_what_was_made_of_an_offering_goes_with_it(mesh: StringMesh, book: Book) -> None:
    mesh.up(bundle("docs", tools=[tool("a")]))
    assert book.kept("page") is None
    book.keep("page", b"1")

    mesh.up(bundle("docs", tools=[tool("a")]), instance="2")  # says nothing new
    assert book.kept("page") == b"1"
    mesh.up(bundle("docs", tools=[tool("b")]))
    assert book.kept("page") is None


def test_no_more_than_so_much_is_kept(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_KEPT", 2)
    for n in range(5):
        book.keep(n, n)

    assert sum(book.kept(n) is not None for n in range(5)) <= 2


def test_whether_anybody_is_there(mesh: StringMesh) -> None:
    one = Book(mesh, Filters.of(regions=["eu"]), "docs")
    assert not one.is_there
    mesh.up(bundle("docs", tools=[]), region="us")
    mesh.up(bundle("maths", tools=[]), server="maths")
    assert not one.is_there
    mesh.up(bundle("docs", tools=[]), instance="2", fetched=False)
    assert one.is_there
