"""Mistakes that a type checker finds, each with what it is to say; checked by mypy, and never run."""

from __future__ import annotations

from tests.typing.samples.calls import Extract, add, extract

from longreach import Mesh
from longreach.client.sync import SyncMesh


async def arguments(mesh: Mesh) -> None:
    await mesh.call(extract)  # error: [call-overload]
    await mesh.call(extract, 7)  # error: [call-overload]
    await mesh.call(extract, "u", page=1)  # error: [call-arg]
    await mesh.call(extract, "u", timeout_s=1)  # error: [call-arg]
    await mesh.call(add, 1, "2")  # error: [call-overload]
    await mesh.call(add, 1, 2, 3)  # error: [call-overload]
    await mesh.call("docs.add", ["u"])  # error: [call-overload]
    await mesh.call("docs.add", {"a": 1}, timeout=1)  # error: [call-overload]
    await mesh.call(7)  # error: [call-overload]


async def results(mesh: Mesh) -> None:
    number: str = await mesh.call(add, 1, 2)  # error: [call-overload]
    extracted: Extract = await mesh.call("docs.extract", {})  # error: [assignment]
    print(number, extracted)


async def forgotten(mesh: Mesh) -> None:
    mesh.call(add, 1, 2)  # error: [unused-coroutine]
    mesh.options(timeout=1)  # error: [call-arg]


def blocking(mesh: SyncMesh) -> None:
    mesh.call(add, 1, "2")  # error: [call-overload]
    number: str = mesh.call(add, 1, 2)  # error: [assignment]
    print(number)
