"""`make setup` and CI install from requirements/: all that pyproject.toml asks for, each with its hashes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
GROUPS: dict[str, list[Any]] = PROJECT["dependency-groups"]
RENEW = "pyproject.toml has changed since the lock was made: run `make lock`"
SYSTEMS = (
    ("linux", "Linux", "x86_64", "6.8.0"),
    ("linux", "Linux", "aarch64", "6.8.0"),
    ("darwin", "Darwin", "x86_64", "23.6.0"),
    ("darwin", "Darwin", "arm64", "23.6.0"),
)
ENVIRONMENTS = [
    {
        **default_environment(), "python_version": python, "python_full_version": f"{python}.4",
        "sys_platform": platform, "platform_system": system, "platform_machine": machine,
        "platform_release": release, "os_name": "posix", "extra": "",
    }
    for python, (platform, system, machine, release) in product(("3.11", "3.12", "3.13"), SYSTEMS)
]  # fmt: skip


class Locked(NamedTuple):
    """One entry of a lock: a version for the environments that its marker names, and who asked for it."""

    requirement: Requirement
    hashes: list[str]
    via: list[str]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        (pin,) = self.requirement.specifier
        assert pin.operator == "=="
        return pin.version

    def holds(self, environment: dict[str, str]) -> bool:
        return self.requirement.marker is None or self.requirement.marker.evaluate(environment)


def entries(file: str) -> list[Locked]:
    text = (ROOT / "requirements" / file).read_text()
    found = []
    for block in re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]:
        hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block)
        via = re.findall(r"^    #   (?:via )?(.+)$|^    # via (.+)$", block, flags=re.MULTILINE)
        requirement = Requirement(block.split("\\\n")[0])
        found.append(Locked(requirement, hashes, [one or other for one, other in via]))
    return found


def asked() -> list[Requirement]:
    """What pyproject.toml asks for: dependencies, the extras of `all`, the groups dev and build."""
    lines = [*PROJECT["project"]["dependencies"], *extra("all"), *group("dev"), *group("build")]
    return [Requirement(line) for line in lines]


def named(environment: dict[str, str]) -> str:
    return "-".join(environment[key] for key in ("python_version", "sys_platform", "platform_machine"))


def group(name: str) -> Iterator[str]:
    for line in GROUPS[name]:
        if isinstance(line, str):
            yield line
        else:
            yield from group(line["include-group"])


def extra(name: str) -> Iterator[str]:
    for line in EXTRAS[name]:
        requirement = Requirement(line)
        if requirement.name == "longreach":
            for inner in sorted(requirement.extras):
                yield from extra(inner)
        else:
            yield line


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=named)
def test_all_that_the_project_asks_for_is_locked_in_a_version_that_it_allows(
    environment: dict[str, str],
) -> None:
    locked = {one.name: one.version for one in entries("dev.txt") if one.holds(environment)}
    for requirement in asked():
        if requirement.marker is None or requirement.marker.evaluate(environment):
            version = locked.get(canonicalize_name(requirement.name))
            assert version is not None, f"{requirement.name} is not locked. {RENEW}"
            assert requirement.specifier.contains(version, prereleases=True), (
                f"{requirement} asks for another version than {version}, which is locked. {RENEW}"
            )


def test_nothing_is_locked_for_the_project_that_it_does_not_ask_for() -> None:
    names = {canonicalize_name(requirement.name) for requirement in asked()}
    theirs = {one.name for one in entries("dev.txt") if any("pyproject.toml" in who for who in one.via)}
    assert theirs == names, RENEW


def test_each_extra_is_part_of_all() -> None:
    (everything,) = [Requirement(line) for line in EXTRAS["all"]]
    assert everything.extras == EXTRAS.keys() - {"all"}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=named)
def test_one_environment_has_one_version_of_each(environment: dict[str, str]) -> None:
    names = [one.name for one in entries("dev.txt") if one.holds(environment)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("file", ["dev.txt", "build.txt"])
def test_all_that_is_locked_has_hashes_and_no_address(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    assert "//" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE), "no option of pip stands in it"
    assert all(one.hashes and one.requirement.url is None for one in entries(file))


def test_what_builds_the_project_is_locked_twice_alike() -> None:
    build, dev = entries("build.txt"), entries("dev.txt")
    assert {(one.name, one.version, *one.hashes) for one in build} <= {
        (one.name, one.version, *one.hashes) for one in dev
    }
    names = {one.name for one in build}
    for line in [*PROJECT["build-system"]["requires"], *GROUPS["build"]]:
        assert canonicalize_name(Requirement(line).name) in names, RENEW
    assert set(PROJECT["build-system"]["requires"]) <= set(GROUPS["build"])
