"""The FastAPI application: the routes of all dialects behind access control and bounds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.middleware.cors import CORSMiddleware

from labelstream.deploy.gateway.dialects import azure, own
from labelstream.deploy.gateway.dialects.huggingface import router as huggingface
from labelstream.deploy.gateway.dialects.tei import router as tei
from labelstream.deploy.gateway.dialects.tei.info import Limits
from labelstream.deploy.gateway.dialects.v2 import router as v2
from labelstream.deploy.gateway.envelopes import DialectRouter, Envelopes, PlainError
from labelstream.deploy.gateway.page.page import Page
from labelstream.deploy.gateway.served import Served
from labelstream.deploy.gateway.server import api_page
from labelstream.deploy.gateway.server.access import OPEN, Access, hosts_of
from labelstream.deploy.gateway.server.head import HeadAsGet
from labelstream.deploy.gateway.server.ongoing import Ongoing, Requests
from labelstream.deploy.gateway.server.openapi import with_token
from labelstream.deploy.gateway.server.request_body import RequestBody
from labelstream.workers.settings.http import HttpSettings

_ERRORS: dict[int | str, dict[str, Any]] = {"4XX": {"model": PlainError}, "5XX": {"model": PlainError}}


class Status(BaseModel):
    """What a health check reads."""

    status: Literal["ready", "starting"]


def build_app(
    served: Served,
    http: HttpSettings,
    token: str | None,
    requests: Requests,
    close: Callable[[], None] = lambda: None,
    page: Page | None = None,
) -> FastAPI:
    """The application of one gateway replica.

    - `token`: what each request but health checks must send; None: nothing.
    - `close`: called at the end.
    - `page`: for browsers at /; None: no page.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        feeding = None if page is None else asyncio.create_task(page.feed.run())
        yield
        if feeding is not None:
            feeding.cancel()
        close()

    app = FastAPI(title="Labelstream", docs_url=None, redoc_url=None, lifespan=lifespan)
    envelopes = Envelopes(app)
    envelopes.mount(routers(served, http))
    if page is not None:
        envelopes.mount([page.router()])
    _add_own_routes(app, served, page)
    open_paths = OPEN if page is None else OPEN | page.paths
    if token is not None:
        app.openapi = with_token(app.openapi, open_paths)
    limits: dict[str, Any] = {"max_bytes": http.max_request_bytes, "timeout_s": http.timeout_s}
    app.add_middleware(RequestBody, envelopes=envelopes, **limits)
    hosts = hosts_of(http.host, http.allowed_hosts, token is not None)
    access: dict[str, Any] = {"token": token, "hosts": hosts, "origins": http.cors_origins}
    app.add_middleware(Access, envelopes=envelopes, open_paths=open_paths, **access)
    app.add_middleware(Ongoing, envelopes=envelopes, requests=requests)
    app.add_middleware(HeadAsGet)
    if http.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=http.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return app


def routers(served: Served, http: HttpSettings) -> Sequence[DialectRouter]:
    """The routers of all dialects, with their names in metrics."""
    found = {
        "own": own.router(served),
        "azure": azure.router(served),
        "huggingface": huggingface.router(served),
        "tei": tei.router(served, Limits(http.max_ongoing_requests, http.max_texts)),
        "v2": v2.router(served),
    }
    for name, router in found.items():
        router.name = name
    return tuple(found.values())


def _add_own_routes(app: FastAPI, served: Served, page: Page | None) -> None:
    @app.get("/", response_model=dict[str, str], responses=_ERRORS)
    async def alive(request: Request) -> Any:
        """Tell that the gateway answers."""
        if page is not None and "text/html" in request.headers.get("accept", ""):
            return await page.index()
        return {"status": "alive"}

    @app.get("/ping", response_model=Status, responses={**_ERRORS, 503: {"model": Status}})
    async def health() -> JSONResponse:
        """Tell whether all models answer: 200 or 503."""
        ready = await served.ready()
        return JSONResponse({"status": "ready" if ready else "starting"}, 200 if ready else 503)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(api_page.render(app.openapi()))
