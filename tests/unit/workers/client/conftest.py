"""A gateway with small models, and one with scripted responses."""

from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI, Request, Response

from labelstream.deploy.gateway.dialects.own import router
from labelstream.deploy.gateway.envelopes import Envelopes
from tests.support.gateway import EngineServed, serving, small_models


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServed]:
    with small_models(tmp_path_factory.mktemp("models")) as served:
        yield served


@pytest.fixture(scope="session")
def url(small: EngineServed) -> Iterator[str]:
    """The address of a gateway with the small models."""
    app = FastAPI()
    Envelopes(app).mount([router(small)])
    with serving(app) as found:
        yield found


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[str, list[Request]]]]:
    """A function of responses, which are given in order, the last again and again; and the requests that came."""
    opened = []

    def start(*responses: Response) -> tuple[str, list[Request]]:
        waiting, came, app = list(responses), [], FastAPI()

        @app.post("/{path:path}")
        async def answer(request: Request) -> Response:
            await request.body()  # kept by the request for its reader
            came.append(request)
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

        opened.append(serving(app))
        return opened[-1].__enter__(), came

    yield start
    for context in opened:
        context.__exit__(None, None, None)
