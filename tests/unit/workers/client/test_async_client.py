import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.responses import JSONResponse

from labelstream import AsyncClient, Client, GatewayError, GatewayUnavailable
from tests.support.gateway import CLASSIFIER, EMBEDDER

TEXTS = ["good", "not bad"]


def test_answers_are_those_of_the_blocking_client(url: str) -> None:
    async def ask() -> Any:
        async with AsyncClient(url) as client:
            return await asyncio.gather(
                client.predict(CLASSIFIER, "good"),
                client.predict(CLASSIFIER, TEXTS, order="score", top_k=1),
                client.classify(TEXTS, EMBEDDER),
            )

    with Client(url) as client:
        one, several, embeddings = asyncio.run(ask())
        assert [score["label"] for score in one] == ["a", "b", "c"]
        best = client.predict(CLASSIFIER, TEXTS, order="score", top_k=1)
        assert [[score["label"] for score in scores] for scores in several] == [[scores[0]["label"]] for scores in best]
        assert [len(embedding.vector) for embedding in embeddings] == [32, 32]


def test_busy_gateway_is_asked_again(scripted: Callable[..., tuple[str, list[Any]]]) -> None:
    url, came = scripted(JSONResponse({}, 429, {"retry-after": "0"}), JSONResponse([{"scores": []}]))

    async def ask() -> Any:
        async with AsyncClient(url, token="secret") as client:
            return await client.predict("m", "good")

    assert asyncio.run(ask()) == []
    assert [request.headers["authorization"] for request in came] == ["Bearer secret"] * 2


def test_errors_are_those_of_the_blocking_client(url: str) -> None:
    async def ask(address: str) -> None:
        async with AsyncClient(address, timeout_s=0.5 if address != url else 60) as client:
            await client.predict("other", "good")

    with pytest.raises(GatewayError, match=r"^404: no model other"):
        asyncio.run(ask(url))
    with pytest.raises(GatewayUnavailable, match="ConnectError"):
        asyncio.run(ask("http://127.0.0.1:1"))
