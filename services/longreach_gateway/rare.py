"""What is not MCP: health, readiness, and the metadata that tell clients where to get a token."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from longreach_gateway.auth.metadata import WELL_KNOWN
from longreach_gateway.doors import is_door

if TYPE_CHECKING:
    from starlette.requests import Request

    from longreach_gateway.auth.metadata import Resources


def build_rare(is_ready: Callable[[], bool], resources: Resources | None) -> Starlette:
    """The application behind the paths that are seldom asked for.

    Args:
        is_ready: whether requests can be answered now.
        resources: what JWTs are for; None where there are none.
    """

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        ready = is_ready()
        return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)

    async def metadata(request: Request) -> Response:
        assert resources is not None, "the route is there only with it"
        path = resources.path_of(request.scope["path"])
        if path and not is_door(path):
            return PlainTextResponse("there is nothing here\n", 404)
        return Response(
            resources.metadata(path),
            media_type="application/json",
            headers={"access-control-allow-origin": "*"},
        )

    routes = [Route("/healthz", healthz), Route("/readyz", readyz)]
    if resources is not None:
        routes += [Route(WELL_KNOWN, metadata), Route(WELL_KNOWN + "/{path:path}", metadata)]
    return Starlette(routes=routes)
