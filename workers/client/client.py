"""The blocking client."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import httpx2
from tenacity import Retrying

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


class Client:
    """A client of Labelstream's HTTP gateway. Any number of threads may share one.

    - `token`: the gateway's token, if it has one.
    - `timeout_s`: seconds that one request may take. Until then the client repeats requests that meet a busy gateway,
      one that is not ready, or none.
    - `ca_file`: PEM file of the authority that signed the gateway's certificate, if the system does not know it.

    Raises ValueError if `url` is no address.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_s: float = 60.0,
        ca_file: str | Path | None = None,
    ) -> None:
        self._gateway = Gateway(url, token, timeout_s, ca_file)
        self._http = httpx2.Client(**self._gateway.options)

    @overload
    def predict(  # pyright: ignore[reportOverlappingOverload]  # a str is a sequence of str, too
        self, model: str | None, data: str, *, order: Order = "model", top_k: int | None = None
    ) -> list[LabelScore]: ...

    @overload
    def predict(
        self, model: str | None, data: Sequence[str], *, order: Order = "model", top_k: int | None = None
    ) -> list[list[LabelScore]]: ...

    def predict(
        self, model: str | None, data: str | Sequence[str], *, order: Order = "model", top_k: int | None = None
    ) -> list[LabelScore] | list[list[LabelScore]]:
        """Labels with their scores: one list for a text, a list of lists for a list of texts.

        - `model`: its name in the gateway's config; None: the gateway's default model.
        - `order`: the model's own order of its labels, or by score, best first.
        - `top_k`: number of labels, the best ones; None: all.

        Raises GatewayError for a request or a text that is refused, GatewayUnavailable if no gateway answers in time,
        and TypeError if `data` holds anything but texts.
        """
        return labels_for(data, self._results(requests_for(data, top_k), model, order))

    def classify(self, requests: Iterable[Request | str], model: str | None = None) -> list[Answer]:
        """One answer for each request, in order, as `Engine.classify`; for models of any task.

        A text that cannot be answered has a RecordError in its place. Raises as `predict`.
        """
        return [answer_of(result) for result in self._results(requests_of(requests), model, None)]

    def close(self) -> None:
        """Close the connections; so does the end of a `with` block."""
        self._http.close()

    def _results(self, requests: Sequence[Request], model: str | None, order: Order | None) -> list[Any]:
        path, found = self._gateway.path(model, order), []
        for body in bodies_of([message_of(request) for request in requests]):
            found += Retrying(**self._gateway.retrying)(self._send, path, body, self._gateway.deadline())
        return found

    def _send(self, path: str, body: bytes, deadline: float) -> list[Any]:
        try:
            response = self._http.post(path, content=body, timeout=left_s(deadline))
        except httpx2.TransportError as error:
            raise self._gateway.unreachable(error) from None
        return read(response)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
