"""The client for asyncio."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import httpx2
from tenacity import AsyncRetrying

from labelstream.workers.classifier import Answer, Request
from labelstream.workers.client.exchange import Gateway, left_s, read
from labelstream.workers.client.messages import (
    LabelScore,
    Order,
    answer_of,
    bodies_of,
    labels_for,
    message_of,
    requests_for,
)
from labelstream.workers.engine.requests import requests_of


class AsyncClient:
    """As `Client`, for one event loop."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_s: float = 60.0,
        ca_file: str | Path | None = None,
    ) -> None:
        self._gateway = Gateway(url, token, timeout_s, ca_file)
        self._http = httpx2.AsyncClient(**self._gateway.options)

    @overload
    async def predict(
        self, model: str | None, data: str, *, order: Order = "model", top_k: int | None = None
    ) -> list[LabelScore]: ...

    @overload
    async def predict(
        self, model: str | None, data: Sequence[str], *, order: Order = "model", top_k: int | None = None
    ) -> list[list[LabelScore]]: ...

    async def predict(
        self, model: str | None, data: str | Sequence[str], *, order: Order = "model", top_k: int | None = None
    ) -> list[LabelScore] | list[list[LabelScore]]:
        """See `Client.predict`."""
        return labels_for(data, await self._results(requests_for(data, top_k), model, order))

    async def classify(self, requests: Iterable[Request | str], model: str | None = None) -> list[Answer]:
        """See `Client.classify`."""
        return [answer_of(result) for result in await self._results(requests_of(requests), model, None)]

    async def aclose(self) -> None:
        """Close the connections; so does the end of an `async with` block."""
        await self._http.aclose()

    async def _results(self, requests: Sequence[Request], model: str | None, order: Order | None) -> list[Any]:
        path, found = self._gateway.path(model, order), []
        for body in bodies_of([message_of(request) for request in requests]):
            found += await AsyncRetrying(**self._gateway.retrying)(self._send, path, body, self._gateway.deadline())
        return found

    async def _send(self, path: str, body: bytes, deadline: float) -> list[Any]:
        try:
            response = await self._http.post(path, content=body, timeout=left_s(deadline))
        except httpx2.TransportError as error:
            raise self._gateway.unreachable(error) from None
        return read(response)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
