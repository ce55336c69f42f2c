"""The gateway as a Serve replica, which Serve's HTTP proxies send all requests to."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from ray.exceptions import RayError
from ray.serve._private.http_util import ASGIAppReplicaWrapper

from labelstream.deploy.cluster import network
from labelstream.deploy.control.live_replicas import live_replicas
from labelstream.deploy.control.reporter import Reporter, replica_id
from labelstream.deploy.control.reports import GatewayReport, PageStatus
from labelstream.deploy.gateway.http_token import token_of
from labelstream.deploy.gateway.page.feed import Feed
from labelstream.deploy.gateway.page.page import Page
from labelstream.deploy.gateway.served_models import ServedModels
from labelstream.deploy.gateway.server.http_app import build_app
from labelstream.deploy.gateway.server.ongoing import Requests
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.deploy.observability import telemetry
from labelstream.deploy.observability.metrics.samples import of_gateway
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.http import HttpSettings

STATUS_S = 5.0


class HttpGateway(ASGIAppReplicaWrapper):
    """One replica of the gateway.

    - `config`: the settings without secrets, with the section http. The token comes from this process's environment or
      from a file.
    - `models`: a Serve handle for each model.
    - `board`: the handle of the control plane, held so that one Serve application contains everything.

    Does not wait for the models. Raises ConfigError if the token cannot be read.
    """

    def __init__(self, config: dict[str, Any], models: Mapping[str, Any], board: Any) -> None:
        network.set_up_replica()
        settings = load_settings(config)
        http = settings.http
        if http is None:
            raise ConfigError("http", "is missing", "BUG: the gateway was deployed without it")
        telemetry.set_up(settings.telemetry)
        self._board, self._timeout_s = board, http.timeout_s
        self._requests = Requests(http.max_ongoing_requests)
        self._models = ServedModels(settings.models, http, models, partial(ServeClassifier, interactive=True))
        token = token_of(http)
        page = self._page(settings, http, token is not None) if http.page else None
        super().__init__(build_app(self._models, http, token, self._requests, self._close, page))
        self._models.start()
        self._reporter = Reporter("gateway", self.stats, lambda _, stats: of_gateway(stats, replica_id()))

    def stats(self) -> GatewayReport:
        """Counts since the start, as plain data."""
        return {**self._requests.counts(), "models": self._models.counts()}

    async def drain(self) -> bool:
        """Refuse new requests, and wait for those in flight. True if all were answered."""
        return await self._requests.drain(self._timeout_s)

    def _page(self, settings: Settings, http: HttpSettings, needs_token: bool) -> Page:
        models = [{"name": name, "task": model.task} for name, model in settings.models.items()]
        about = {"models": models, "texts": http.page_texts}
        feed = Feed(self._status, about, http.max_ongoing_requests)
        return Page(feed, needs_token, lambda: self._requests.draining)

    async def _status(self) -> PageStatus:
        """What the page shows. Raises an error of Ray, or TimeoutError."""
        async with asyncio.timeout(STATUS_S):
            status: PageStatus = await self._board.options(method_name="page_status").remote()
        with suppress(RayError, KeyError):
            status["replicas"] = await asyncio.to_thread(live_replicas)
        return status

    def _close(self) -> None:
        self._reporter.stop()
        self._models.close()
