from __future__ import annotations

import pytest

from longreach.errors import ConfigError
from longreach.policy.versions import parse_range, read_version


@pytest.mark.parametrize(
    ("text", "fitting", "others"),
    [
        (">=2,<3", ["2", "2.0", "2.0.0", "2.9.9", "v2.1"], ["1.9", "3.0.0", "2.0.0-rc1", "3.0.0-rc1", "3"]),
        ("2", ["2", "2.0.0", "2.1", "2.0.0-rc1", "2.0.0+build.7"], ["1.2", "20.0.0", "3"]),
        ("2.1.*", ["2.1", "2.1.0", "2.1.7"], ["2.10.0", "2.2", "2"]),
        ("2.0.*", ["2", "2.0.5"], ["2.1"]),
        ("2.1.0", ["2.1", "2.1.0"], ["2.1.1", "2.1.10"]),
        ("==2.1.0", ["2.1", "2.1.0"], ["2.1.1", "2.1.0-rc1"]),
        ("!=2.1.3", ["2.1.2", "1"], ["2.1.3"]),
        ("!=2.1.*", ["2.2"], ["2.1.3", "2.1"]),
        (">1.9, <=2.10", ["1.10", "2.10", "2.9.1"], ["1.9", "2.11"]),
        ("=2.0.0-rc1", ["2.0.0-rc1"], ["2.0.0"]),
        ("2.0.0-rc1", ["2.0.0-rc1"], ["2.0.0"]),
        (">=2.0.0-rc2", ["2.0.0-rc2", "2.0.0-rc3", "2.0.0"], ["2.0.0-rc1", "1.9"]),
        (">=2026.01.05", ["2026.1.5", "2026.2"], ["2025.12.31"]),
        (">=0", ["0", "0.0.1"], ["next", ""]),
    ],
)
def test_a_range_says_which_versions_fit(text, fitting, others):
    wanted = parse_range(text)
    assert [version for version in fitting if not wanted.fits(version)] == []
    assert [version for version in others if wanted.fits(version)] == []
    assert str(wanted) == text


@pytest.mark.parametrize(
    "text", ["", ",", ">=", "x", ">=2.*", "2,,3", "2 3", "~=2", "<2.*", "**", "2.0-rc1.*"]
)
def test_what_is_no_range_is_refused_with_what_to_write(text):
    with pytest.raises(ConfigError, match="write conditions such as"):
        parse_range(text)


def test_versions_are_ordered_as_people_do():
    written = ["1.9.9", "1.10", "2.0.0-rc.1", "2.0.0-rc.2", "2.0.0-rc.10", "2.0.0", "2.0.1", "10"]
    assert sorted({*written}, key=read_version) == written
    assert read_version("next") is None


def test_a_version_that_nobody_can_mean_breaks_nothing():
    assert read_version("1.0-" + "9" * 5000) is not None
    assert read_version("9" * 5000) is None
    assert not parse_range("2").fits("9" * 5000)
