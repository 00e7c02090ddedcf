"""Which URLs are tried, and in which order."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable
from typing import NamedTuple

from longreach.errors import ConfigError
from longreach.transport.options import NatsOptions, parse_url


class Target(NamedTuple):
    """One URL to try.

    Attributes:
        url: with credentials, if it has some.
        tls_name: the name to verify in place of the URL's host, which the broker gave as a bare address.
    """

    url: str
    tls_name: str | None = None


class Told:
    """What the broker that a link was connected to last told of the brokers beside it."""

    def __init__(self) -> None:
        self._by: str | None = None
        self._places: tuple[str, ...] = ()

    def heard(self, by: str, places: Iterable[str]) -> None:
        """The broker at the URL `by` names `places` (``host:port``): its cluster, itself included.

        A broker that names nobody leaves what another of its cluster said; one outside of it does not.
        """
        fresh = tuple(places)
        if fresh or (by != self._by and parse_url(by).netloc.rpartition("@")[2] not in self._places):
            self._by, self._places = by, fresh

    def targets(self, options: NatsOptions) -> list[Target]:
        """Those of `options` in their order; behind those of its cluster, what a broker told of, shuffled."""
        targets = [Target(url) for url in options.urls]
        if self._by is None or options.follow_discovered is False:
            return targets
        teller = parse_url(self._by)
        configured = [parse_url(target.url) for target in targets]
        places = [parts.netloc.rpartition("@")[2] for parts in configured]
        kin = [at for at, place in enumerate(places) if place in self._places or configured[at] == teller]
        if not kin:  # the teller is not among the URLs any more, and so is no authority
            return targets
        by = self._by
        new = [_beside(by, place) for place in self._places if place and place not in places]
        found = [target for target in new if target is not None]
        random.shuffle(found)
        behind = max(kin) + 1
        return targets[:behind] + found + targets[behind:]


def _beside(teller: str, place: str) -> Target | None:
    """The target at `place`, reached and authenticated as the one that told of it was."""
    parts = parse_url(teller)
    user, at, own = parts.netloc.rpartition("@")
    try:
        url = parse_url(parts._replace(netloc=f"{user}{at}{place}").geturl()).geturl()
    except ConfigError:
        return None
    host = parse_url(url).hostname or ""
    named = parts.hostname if _is_address(host) and host != parse_url(f"nats://{own}").hostname else None
    return Target(url, named)


def preferred(options: NatsOptions, url: str) -> list[Target]:
    """The configured URLs that come before `url`, all of them where it is none of them."""
    before = options.urls[: options.urls.index(url)] if url in options.urls else options.urls
    return [Target(each) for each in before]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
