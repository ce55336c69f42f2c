"""Errors of requests in the envelope of the dialect that owns the path."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Route, compile_path

from labelstream.deploy.gateway.served import NotJson, RequestRefused, UnknownPath, WrongField, WrongMethod

logger = logging.getLogger(__name__)
BY_MODEL = "/models/{model}"
MAX_PLACE = 100  # characters
MAX_KEYS = 32  # of an object, compared with the name of a missing field
ErrorBody = Callable[[RequestRefused], Mapping[str, Any]]


class DialectRouter(APIRouter):
    """The routes of one dialect.

    - `error_body`: the JSON body of an error response. `error_model`: its type in the OpenAPI description.
    - `by_model`: the routes stand at the root and below /models/NAME; see `path_model`.
    - `name`: the dialect's name in metrics.
    """

    name = "other"

    def __init__(self, error_body: ErrorBody, error_model: type[BaseModel], by_model: bool = True) -> None:
        super().__init__(responses={"4XX": {"model": error_model}, "5XX": {"model": error_model}})
        self.error_body, self.by_model = error_body, by_model


async def path_model(request: Request) -> str | None:
    """The model that the path /models/NAME/.. names; None at the root.

    Asynchronous, because FastAPI calls a plain function in another thread: twice the CPU of a request.
    """
    return request.path_params.get("model")


class PlainError(BaseModel):
    """Why a request gets no answer."""

    error: str


def plain_error(error: RequestRefused) -> dict[str, Any]:
    """The body of an error on a path of no dialect."""
    return {"error": error.message}


class Envelopes:
    """Mounts the routers of dialects in `app`, and answers every error of a request in the router's envelope."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._found: list[tuple[re.Pattern[str], DialectRouter, set[str]]] = []  # of a path; methods of one route
        app.add_exception_handler(RequestRefused, self._refused)
        app.add_exception_handler(RequestValidationError, self._invalid)
        app.add_exception_handler(HTTPException, self._http)
        app.add_exception_handler(Exception, self._failed)

    def mount(self, routers: Iterable[DialectRouter]) -> None:
        for router in routers:
            self._mount(router, "")
            if router.by_model:
                self._mount(router, BY_MODEL, dependencies=[Depends(_declare_model)])

    def _mount(self, router: DialectRouter, prefix: str, **options: Any) -> None:
        self._app.include_router(router, prefix=prefix, **options)
        for route in router.routes:
            if isinstance(route, APIRoute):
                self._found.append((compile_path(prefix + route.path)[0], router, route.methods or set()))

    def dialect(self, path: str) -> str:
        """Name of the dialect that owns `path`; `other` for none."""
        router = self._router(path)
        return DialectRouter.name if router is None else router.name

    def _router(self, path: str) -> DialectRouter | None:
        return next((router for pattern, router, _ in self._found if pattern.match(path)), None)

    def _methods(self, path: str) -> list[str]:
        """Methods of all routes of `path`; Starlette names those of the first route alone."""
        own = [(route.path_regex, route.methods or set()) for route in self._app.routes if isinstance(route, Route)]
        mounted = [(pattern, methods) for pattern, _, methods in self._found]
        found = {method for pattern, methods in (*own, *mounted) if pattern.match(path) for method in methods}
        return sorted(found | ({"HEAD"} if "GET" in found else set()))

    def response(self, path: str, error: RequestRefused) -> JSONResponse:
        """The response to a request of `path` that is refused with `error`."""
        router = self._router(path)
        body = plain_error if router is None else router.error_body
        return JSONResponse(dict(body(error)), error.status, dict(error.headers))

    async def _refused(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestRefused)
        return self.response(request.url.path, error)

    async def _invalid(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return self.response(request.url.path, _wrong_field(error))

    async def _http(self, request: Request, error: Exception) -> JSONResponse:
        """Starlette's own errors: an unknown path or method, or a body that FastAPI cannot parse."""
        assert isinstance(error, HTTPException)
        path = request.url.path
        if error.status_code == 405:
            allowed = {"Allow": ", ".join(self._methods(path))}
            return self.response(path, WrongMethod(f"{request.method} is not for this path; see /docs", allowed))
        return self.response(path, _of_starlette(error))

    async def _failed(self, request: Request, error: Exception) -> JSONResponse:
        logger.error("BUG: a request failed: %s", type(error).__name__)
        return self.response(request.url.path, RequestRefused(f"BUG: {type(error).__name__}; see the gateway's log"))


async def _declare_model(model: Annotated[str, Path(description="Name of a model under `models`.")]) -> None:
    """Shows the path's parameter in the OpenAPI description."""


def _wrong_field(error: RequestValidationError) -> RequestRefused:
    """The first problem of the body, without the value, which may be a text."""
    first, *others = error.errors()
    if first["type"] == "json_invalid":
        return NotJson("the body is not JSON; send a JSON object")
    if first["type"] == "model_attributes_type" and first["loc"] == ("body",):
        return WrongField("body: no JSON object; send one, with the header Content-Type: application/json")
    place = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    if len(place) > MAX_PLACE:  # a key of the body may be long
        place = place[:MAX_PLACE] + ".."
    if misspelt := _misspelt(first):
        return WrongField(misspelt)
    problem = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return WrongField(f"{place}: {problem}" + f" (and {len(others)} more)" * bool(others))


def _misspelt(error: Mapping[str, Any]) -> str:
    """The problem of a key that resembles the missing field; empty for another error."""
    if error["type"] != "missing" or not isinstance(error["input"], dict):
        return ""
    missing = error.get("ctx", {}).get("fields", error["loc"][-1:])
    for key in islice(error["input"], MAX_KEYS):
        if len(key) < MAX_PLACE and (meant := get_close_matches(key, missing, 1)):
            place = ".".join(map(str, error["loc"][1:-1])) or "body"
            return f"{place[:MAX_PLACE]}: unknown field {key}; did you mean {meant[0]}?"
    return ""


def _of_starlette(error: HTTPException) -> RequestRefused:
    if error.status_code == 404:
        return UnknownPath("no such path; see /docs")
    return NotJson(f"the body cannot be read: {error.detail}")
