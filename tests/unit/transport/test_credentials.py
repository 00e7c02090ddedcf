from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from tests.support.operators import Operator, replace

from longreach.errors import ConfigError
from longreach.transport._credentials import Life, life, stamp
from longreach.transport.options import NatsOptions, connect_arguments, read_creds


def test_a_stamp_changes_with_the_file_and_with_what_is_given(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("one")
    options = NatsOptions(token_file=str(file))
    before = stamp(options)
    assert stamp(options) == before
    replace(file, "two")
    assert stamp(options) != before
    assert stamp(NatsOptions(token="a")) != stamp(NatsOptions(token="b"))


def test_a_stamp_follows_links_as_mounted_secrets_are_made_of(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
    link = tmp_path / "token"
    link.symlink_to(tmp_path / "one")
    options = NatsOptions(token_file=str(link))
    before = stamp(options)
    fresh = tmp_path / "fresh"
    fresh.symlink_to(tmp_path / "two")
    os.replace(fresh, link)
    assert stamp(options) != before


def test_a_file_that_goes_changes_the_stamp_and_raises_nothing(tmp_path: Path):
    file = tmp_path / "creds"
    file.write_text("x")
    options = NatsOptions(creds_file=str(file))
    before = stamp(options)
    file.unlink()
    assert stamp(options) != before
    assert life(options) is None


def test_the_life_of_a_jwt_is_read():
    lasts = life(NatsOptions(creds=Operator().creds(100)))
    assert lasts is not None
    assert 98 <= lasts.left_s() <= 100
    assert not lasts.is_late()
    assert life(NatsOptions(creds=Operator().creds())) is None
    assert life(NatsOptions(token="x")) is None


@pytest.mark.parametrize(("left_s", "late"), [(1.0, True), (3.0, False)])
def test_late_is_near_the_end(left_s: float, late: bool):
    now = time.time()
    assert Life(now + left_s - 10, now + left_s).is_late() is late


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN NATS USER JWT-----\na.b.c\n"])
def test_what_is_no_creds_file_is_refused(text: str, tmp_path: Path):
    file = tmp_path / "creds"
    file.write_text(text)
    options = NatsOptions(urls=("nats://h",), creds_file=str(file))
    with pytest.raises(ConfigError, match="JWT"):
        connect_arguments(options, "nats://h")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    file = tmp_path / "creds"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="creds_file"):
        read_creds(NatsOptions(creds_file=str(file)))
    assert life(NatsOptions(creds_file=str(file))) is None


def test_claims_that_are_none_end_never():
    text = Operator().creds()
    claims = text.splitlines()[1]
    head, _, tail = claims.split(".")
    assert life(NatsOptions(creds=text.replace(claims, f"{head}.bm90anNvbg.{tail}"))) is None
