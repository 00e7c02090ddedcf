"""What holds for all tests: none changes the process for those after it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _logging_is_as_before() -> Iterator[None]:
    """Commands decide where events go, for the whole process."""
    loggers = [logging.getLogger(), logging.getLogger("longreach")]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
