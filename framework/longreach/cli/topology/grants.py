"""The least that the broker has to permit to each kind of user. Pure. Source: docs/binding.md 10, 14."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longreach.wire.subjects import ANY, ROOT, method_token
from longreach.wire.tokens import NONE, encode_optional, encode_token

EVERY = "*"


class Grants(NamedTuple):
    """What somebody may publish and subscribe; a queue group comes after a space, as NATS writes it."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def __add__(self, other: object) -> Grants:
        """Both, each subject once."""
        assert isinstance(other, Grants)
        return Grants(
            tuple(dict.fromkeys(self.publish + other.publish)),
            tuple(dict.fromkeys(self.subscribe + other.subscribe)),
        )


class Use(NamedTuple):
    """A server, and what of it: the ends of its requests' subjects; ``>`` is everything."""

    server: str
    tails: tuple[str, ...]


class Place(NamedTuple):
    """A namespace in a region, and who serves there.

    Attributes:
        owners: tokens of the identities of nodes, by the name of what they serve; ``*``: whoever it is.
    """

    namespace: str
    region: str
    owners: dict[str, tuple[str, ...]]

    @property
    def prefix(self) -> str:
        """What all subjects there begin with."""
        return f"{ROOT}.{encode_token(self.namespace)}.{encode_token(self.region)}"


class Asker(NamedTuple):
    """Who asks, as tokens."""

    via: str
    caller: str

    def __str__(self) -> str:
        return f"{self.via}.{self.caller}"


def caller(name: str | None) -> Asker:
    """A client that connects by itself."""
    return Asker(NONE, encode_optional(name))


def gateway(name: str) -> Asker:
    """A gateway, for all its callers."""
    return Asker(encode_token(name), EVERY)


def tails(item: str) -> Use:
    """What ``server``, ``server.tool``, ``server/prompts`` or the like stands for.

    Listings and discovery come with any part of a server: they say no more than its manifest does.

    Raises:
        ValueError: it stands for nothing.
    """
    server, slash, part = item.partition("/")
    if slash:
        return Use(server, (*_parts(part), *_LISTINGS))
    server, dot, tool = item.partition(".")
    if dot:
        return Use(server, (f"{_TOOLS}.{encode_token(tool)}", *_LISTINGS))
    return Use(server, (">",))


_TOOLS, _PROMPTS = method_token("tools/call"), method_token("prompts/get")
_COMPLETION = f"{method_token('completion/complete')}.{NONE}"
_LISTINGS = tuple(
    f"{method_token(method)}.{NONE}"
    for method in (
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
    )
)


def _parts(part: str) -> tuple[str, ...]:
    kind, slash, name = part.partition("/")
    match kind, bool(slash):
        case "tools", False:
            return (f"{_TOOLS}.{EVERY}",)
        case "tools", True:
            return (f"{_TOOLS}.{encode_token(name)}",)
        case "prompts", False:
            return (f"{_PROMPTS}.{EVERY}", _COMPLETION)
        case "prompts", True:
            return (f"{_PROMPTS}.{encode_token(name)}", _COMPLETION)
        case "resources", False:
            return (f"{method_token('resources/read')}.{NONE}", _COMPLETION)
        case _:
            raise ValueError(
                f"{part!r} is no part of a server: write server, server.tool, server/prompts/name, "
                "or server/ and one of tools, prompts, resources"
            )


def asker_grants(place: Place, who: Asker, uses: Iterable[Use]) -> Grants:
    """What a caller, or a gateway for its callers, needs in one region, to use what is in `uses`."""
    prefix = place.prefix
    publish: list[str] = []
    subscribe = [f"{prefix}.rep.{who.via}.>" if who.caller == EVERY else f"{prefix}.rep.{who}.>"]
    identities: dict[str, None] = {}
    for use in uses:
        server = encode_token(use.server)
        owners = place.owners.get(use.server, ())
        if owners:  # elsewhere there is nobody to ask
            identities.update(dict.fromkeys(owners))
            publish += [f"{prefix}.req.{server}.*.{who}.{tail}" for tail in use.tails]
            publish.append(f"{prefix}.all.{server}.{who}.*")
        subscribe += [f"{prefix}.adv.{server}.*.*", f"{prefix}.evt.{server}.>"]
    publish += [f"{prefix}.node.{identity}.*.{who}.*" for identity in identities]
    publish.append(f"{prefix}.who.{who}")
    return Grants(tuple(dict.fromkeys(publish)), tuple(dict.fromkeys(subscribe)))


def gateway_grants(place: Place, name: str, others: Sequence[str], *, home: bool) -> Grants:
    """What a gateway needs to hand sessions to, and take them from, `others` (names, itself among them)."""
    heard = (f"{place.prefix}.gw.{encode_token(name)}.>",) if home else ()
    return Grants(tuple(f"{place.prefix}.gw.{encode_token(other)}.>" for other in others), heard)


def node_grants(place: Place, me: str, servers: Iterable[str]) -> Grants:
    """What a node, whose identity's token is `me`, needs to serve `servers` there."""
    prefix = place.prefix
    publish, subscribe, hear = [f"{prefix}.rep.>"], [], []
    for server in map(encode_token, servers):
        publish += [f"{prefix}.adv.{server}.{me}.*", f"{prefix}.evt.{server}.>"]
        subscribe += [f"{prefix}.req.{server}.> {server}", f"{prefix}.all.{server}.>"]
        hear.append(f"{prefix}.adv.{server}.>")
    subscribe += [f"{prefix}.node.{me}.>", f"{prefix}.ops.{me}.>", f"{prefix}.who.*.*", *hear]
    subscribe.append(f"{ROOT}.{encode_token(place.namespace)}.{ANY}.who.*.*")
    return Grants(tuple(publish), tuple(subscribe))


def operator_grants(place: Place, name: str) -> Grants:
    """What an operator needs to see what is up there, and to drain nodes; it calls nothing."""
    prefix, me = place.prefix, caller(name)
    return Grants(
        (
            f"{prefix}.ops.*.*.{me}.*",
            f"{prefix}.node.*.*.{me}.*",
            f"{prefix}.all.*.{me}.*",
            f"{prefix}.who.{me}",
        ),
        (f"{prefix}.rep.{me}.>", f"{prefix}.adv.*.*.*", f"{prefix}.evt.>"),
    )
