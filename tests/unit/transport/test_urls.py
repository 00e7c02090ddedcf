from __future__ import annotations

import pytest

from longreach.transport._urls import Target, Told, preferred
from longreach.transport.options import NatsOptions


def _urls(told: Told, *urls: str, follow: bool | None = None) -> list[str]:
    return [target.url for target in told.targets(NatsOptions(urls=urls, follow_discovered=follow))]


def test_without_word_of_others_the_order_is_as_given():
    assert _urls(Told(), "nats://b", "nats://a") == ["nats://b", "nats://a"]


def test_those_of_a_cluster_come_behind_the_last_of_it_that_was_given():
    told = Told()
    told.heard("nats://eu1:4222", ["eu1:4222", "eu2:4222", "eu3:4222"])
    assert _urls(told, "nats://eu1:4222", "nats://eu2:4222", "nats://us1:4222") == [
        "nats://eu1:4222",
        "nats://eu2:4222",
        "nats://eu3:4222",
        "nats://us1:4222",
    ]


@pytest.mark.parametrize("follow", [False])
def test_who_must_not_follow_does_not(follow: bool):
    told = Told()
    told.heard("nats://eu1", ["eu1:4222", "eu2:4222"])
    assert _urls(told, "nats://eu1", follow=follow) == ["nats://eu1"]


def test_they_are_reached_as_the_one_that_told():
    told = Told()
    told.heard("tls://me:secret@eu1.example.com", ["10.0.0.2:4222", "eu3.example.com:4222"])
    found = told.targets(NatsOptions(urls=("tls://me:secret@eu1.example.com",)))
    assert sorted(found[1:]) == [
        Target("tls://me:secret@10.0.0.2:4222", "eu1.example.com"),
        Target("tls://me:secret@eu3.example.com:4222", None),
    ]


def test_what_is_no_place_is_left_out():
    told = Told()
    told.heard("nats://a", ["", "b:port", "c:4222"])
    assert _urls(told, "nats://a") == ["nats://a", "nats://c:4222"]


def test_a_broker_of_the_cluster_that_names_nobody_takes_nothing_back():
    told = Told()
    told.heard("nats://a:4222", ["a:4222", "b:4222"])
    told.heard("nats://b:4222", [])
    assert _urls(told, "nats://a:4222") == ["nats://a:4222", "nats://b:4222"]


def test_a_broker_elsewhere_speaks_for_its_own_cluster_only():
    told = Told()
    told.heard("nats://eu1:4222", ["eu1:4222", "eu2:4222"])
    told.heard("nats://us1:4222", [])
    assert _urls(told, "nats://eu1:4222", "nats://us1:4222") == ["nats://eu1:4222", "nats://us1:4222"]


def test_a_broker_that_is_not_given_any_more_is_no_authority():
    told = Told()
    told.heard("nats://old:4222", ["old:4222", "older:4222"])
    assert _urls(told, "nats://new:4222") == ["nats://new:4222"]


def test_preferred_is_what_comes_before():
    options = NatsOptions(urls=("nats://a", "nats://b", "nats://c"))
    assert [target.url for target in preferred(options, "nats://c")] == ["nats://a", "nats://b"]
    assert preferred(options, "nats://a") == []
    assert len(preferred(options, "nats://discovered")) == 3
