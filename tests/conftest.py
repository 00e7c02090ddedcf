"""What holds for all tests: none changes the process for those after it, and none fails for being slow."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import hypothesis
import pytest

# An example that takes long on a busy machine is no failure, nor is data that takes long to make.
hypothesis.settings.register_profile(
    "longreach", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("longreach")


def pytest_configure() -> None:
    """A shell's background job ignores SIGINT, and so would the commands that tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)  # runs before xdist reads the groups, whose plugin is registered later
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Keep tests that share a module's fixture in one process, which makes it once (`--dist loadgroup`)."""
    for item in items:
        if any(True for _ in item.iter_markers("xdist_group")) or not isinstance(item, pytest.Function):
            continue
        # pytest has no public word for the fixtures of an item.
        made = item._fixtureinfo.name2fixturedefs
        shared = sorted(name for name, kinds in made.items() if kinds[-1].scope == "module")
        if shared:
            params = getattr(getattr(item, "callspec", None), "params", {})
            case = "-".join(str(params[name]) for name in shared if name in params)
            item.add_marker(pytest.mark.xdist_group(f"{item.path.name}-{case}"))
    yield


@pytest.fixture(autouse=True)
def _logging_is_as_before() -> Iterator[None]:
    """Commands decide where events go, for the whole process."""
    loggers = [logging.getLogger(), logging.getLogger("longreach")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
