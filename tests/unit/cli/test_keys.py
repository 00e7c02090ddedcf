from __future__ import annotations

from click.testing import CliRunner

from longreach.cli.keys import keys
from longreach.policy.sealing import parse_keys


def test_each_new_key_is_a_line_of_a_key_file():
    lines = [CliRunner().invoke(keys, ["new"]).output for _ in range(2)]

    ring = parse_keys("".join(lines), "test")
    assert len(ring.keys) == 2
    assert ring.keys[0].secret != ring.keys[1].secret
    assert all(line.count("\n") == 1 for line in lines)
