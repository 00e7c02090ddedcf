"""Each test here runs under asyncio's loop and under uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca.pem) and a certificate for 127.0.0.1 (cert.pem, key.pem), for both ends."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    end = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    end.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    end.private_key_pem.write_to_path(folder / "key.pem")
    return folder
