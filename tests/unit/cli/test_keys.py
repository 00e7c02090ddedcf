from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from longreach.cli.keys import keys
from longreach.cli.run import _share_a_key
from longreach.errors import ConfigError
from longreach.node.settings import NodeSettings
from longreach.policy import claims
from longreach.policy.sealing import is_ephemeral, parse_keys
from longreach.transport.options import NatsOptions


def test_each_new_key_is_a_line_of_a_key_file():
    lines = [CliRunner().invoke(keys, ["new"]).output for _ in range(2)]

    ring = parse_keys("".join(lines), "test")
    assert len(ring.keys) == 2
    assert ring.keys[0].secret != ring.keys[1].secret
    assert all(line.count("\n") == 1 for line in lines)


@pytest.mark.parametrize(
    ("urls", "keys", "shared"),
    [(("nats://x",), (), True), (("nats://x",), ("a:b",), False), ((), (), False)],
)
def test_workers_without_keys_get_one_in_common(
    monkeypatch: pytest.MonkeyPatch, urls: tuple[str, ...], keys: tuple[str, ...], shared: bool
):
    monkeypatch.setitem(os.environ, "LONGREACH_STATE_KEYS", "")

    _share_a_key(NodeSettings(connection=NatsOptions(urls=urls), state_keys=keys))

    said = os.environ["LONGREACH_STATE_KEYS"]
    assert bool(said) == shared
    if shared:
        assert is_ephemeral(parse_keys(said, "test").keys[0])


def test_a_pair_for_claims_is_a_line_for_gateways_and_one_for_nodes():
    output = CliRunner().invoke(keys, ["new", "--claims"]).output

    private, public = output.splitlines()[1::2]
    [signs] = claims.parse_keys(private, "private", "test")
    [checks] = claims.parse_keys(public, "public", "test")
    assert signs.id == checks.id
    with pytest.raises(ConfigError):
        claims.parse_keys(output, "public", "test")  # both in one file would give the secret away
