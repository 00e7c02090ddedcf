"""Slips in a description are told where they are, with what to do."""

from __future__ import annotations

import pytest

# ruff: noqa: E501
from longreach.cli.topology import checking, reading
from longreach.errors import ConfigError

GOOD = """\
[regions.eu]
[brokers.b1]
at = "eu"
host = "127.0.0.1"
listen = "127.0.0.1"
[servers.docs]
nodes = ["n1"]
tools = ["echo"]
[nodes.n1]
at = "eu"
[callers.alice]
at = "eu"
may = ["docs.echo"]
"""


def check(text: str) -> None:
    made, where = reading.read(text, "t.toml")
    checking.check(made, where)


def test_a_good_one_is_taken():
    check(GOOD)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[regions.eu]", "[regoins.eu]", "t.toml:1: regoins: is an unknown key; did you mean regions?"),
        ("may =", "my =", "t.toml:13: callers.alice.my: is an unknown key; did you mean may?"),
        ('may = ["docs.echo"]', "", "t.toml:11: callers.alice: the key 'may' is missing"),
        ('["docs.echo"]', '"docs.echo"', "t.toml:13: callers.alice.may: expected 'array', got 'str'"),
        ('"docs.echo"', '"docs.ecko"', "t.toml:13: callers.alice.may: 'ecko' is no one of the tools that the server "
         "declares; did you mean echo?"),
        ('"docs.echo"', '"doc"', "t.toml:13: callers.alice.may: 'doc' is no server of namespace 'default'; did you "
         "mean docs?"),
        ('"docs.echo"', '"docs/tool"', "t.toml:13: callers.alice.may: 'tool' is no part of a server: write server, "
         "server.tool, server/prompts/name, or server/ and one of tools, prompts, resources"),
        ('at = "eu"\nhost', 'at = "us"\nhost', "t.toml:1: regions.eu: has no broker"),
        ("[regions.eu]", "[regions.eu]\n[regions.us]", 't.toml:2: regions.us: has no broker: write [brokers.NAME] '
         'with at = "us"'),
        ('nodes = ["n1"]', "nodes = []", "t.toml:7: servers.docs.nodes: nobody owns the name: list its nodes"),
        ('nodes = ["n1"]', 'nodes = ["n2"]', "t.toml:7: servers.docs.nodes: 'n2' is no node; there are: n1"),
        ("listen", 'host_ = "x"\nlisten', "t.toml:5: brokers.b1.host_: is an unknown key; did you mean host?"),
        ("[servers.docs]", '[servers."do.cs"]', "t.toml:6: servers.do.cs: a name is 1 to 64 of letters, digits, '_' "
         "and '-'; name = sets another"),
        ("[regions.eu]", '[tls]\nmode = "files"\n[regions.eu]', "t.toml:1: tls.ca: the file is missing: mode files "
         "needs ca, cert and key"),
        ("[regions.eu]", "[regions.eu", "t.toml is no TOML: "),
        ("[regions.eu]", 'credentials = "pw"\n[regions.eu]', "t.toml:1: credentials: takes nkeys or jwt, not 'pw'"),
        ("[nodes.n1]", '[nodes.n1]\nnamespace = "other"', "t.toml:7: servers.docs.nodes: node 'n1' is of another "
         "namespace"),
        ("[callers.alice]", '[operators.ops]\nat = "eu"\nname = "alice"\n[callers.alice]', "t.toml:11: operators.ops: "
         "has the same name in the same namespace as callers.alice"),
        ("[callers.alice]", "[namespaces.SYS]\n[callers.alice]", "t.toml:11: namespaces.SYS: is a name of the broker's "
         "own; take another"),
    ],
)  # fmt: skip
def test_a_slip_is_told_with_its_place(old: str, new: str, message: str):
    with pytest.raises(ConfigError) as refused:
        check(GOOD.replace(old, new, 1))
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize("name", ["../x", "a b", "", "_", "..", "x" * 65])
def test_a_tenant_has_a_name(name: str):
    with pytest.raises(ConfigError, match="cannot be a namespace"):
        check(GOOD.replace("[callers.alice]", f'[callers.alice]\nnamespace = "{name}"'))


def test_a_host_is_a_host():
    with pytest.raises(ConfigError, match=r"b1.host: is no host: a name or an address, without a port"):
        check(GOOD.replace('host = "127.0.0.1"', 'host = "nats://x"'))
    check('[tls]\nmode = "test"\n' + GOOD.replace('host = "127.0.0.1"', 'host = "fd00::1"'))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('host = "0.0.0.0"', "is not a loopback address"),
        ('host = "::"', "is not a loopback address"),
        ('host = "0.0.0.0"\nanonymous = false', "no token is valid"),
        ('bearer_tokens = "t"\nanonymous = true', "leave one out"),
    ],
)
def test_a_gateway_that_would_not_start_is_refused(line: str, message: str):
    head = '[gateways.web]\nat = "eu"\nmay = ["docs"]\n[gateways.web.settings]\n'
    with pytest.raises(ConfigError, match=r"gateways.web.settings: ") as refused:
        check(f"{GOOD}{head}{line}\n")
    assert message in str(refused.value)
    for fine in ("port = 1", 'host = "0.0.0.0"\nanonymous = true', 'host = "0.0.0.0"\nissuer = "https://i"'):
        check(f"{GOOD}{head}{fine}\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("regions = []", "t.toml:14: callers.alice.regions: is empty: name a region, or leave it out"),
        ('regions = ["eu", "eu"]', "t.toml:14: callers.alice.regions: names something twice"),
        ('connect = ["us"]', "t.toml:14: callers.alice.connect: 'us' is no region or edge; there are: eu"),
    ],
)
def test_places_of_a_caller(line: str, message: str):
    with pytest.raises(ConfigError) as refused:
        check(f"{GOOD}{line}\n")
    assert str(refused.value) == message


def test_plain_text_is_for_loopback_only():
    with pytest.raises(ConfigError, match="plain text is for loopback addresses only"):
        check(GOOD.replace('host = "127.0.0.1"', 'host = "nats.example"'))
    check('[tls]\nmode = "test"\n' + GOOD.replace('host = "127.0.0.1"', 'host = "nats.example"'))


def test_one_port_of_a_host_is_one_brokers():
    second = '[brokers.b2]\nat = "eu"\nhost = "127.0.0.1"\nlisten = "127.0.0.1"\n'
    with pytest.raises(ConfigError, match=r"brokers.b2.port: port 4222 of 127.0.0.1 is b1.port already"):
        check(GOOD + second)


def test_a_call_that_nobody_could_answer_is_a_slip():
    text = GOOD + '[regions.us]\n[brokers.b2]\nat = "us"\nhost = "127.0.0.2"\nlisten = "127.0.0.2"\n'
    with pytest.raises(ConfigError, match=r"no node of 'docs' is in us: see regions of callers.alice"):
        check(text.replace('[callers.alice]\nat = "eu"', '[callers.alice]\nat = "eu"\nregions = ["us"]'))


def test_a_tenant_that_is_not_there_calls_nothing_there():
    text = GOOD + '[regions.us]\n[brokers.b2]\nat = "us"\nhost = "127.0.0.2"\nlisten = "127.0.0.2"\n'
    with pytest.raises(ConfigError, match=r"namespace 'default' is not in 'us': see namespaces.default"):
        check(
            text.replace(
                '[callers.alice]\nat = "eu"',
                '[namespaces.default]\nregions = ["eu"]\n[callers.alice]\nat = "us"',
            )
        )


def test_what_is_probably_not_meant_is_a_note():
    made, where = reading.read(GOOD.replace('may = ["docs.echo"]', "may = []") + '[nodes.n2]\nat = "eu"\n')
    checking.check(made, where)
    assert checking.loose_ends(made) == ["servers.docs: nobody may use it", "nodes.n2: it owns no server"]
