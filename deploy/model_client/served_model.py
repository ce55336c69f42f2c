"""The revision of a model that its replicas serve now, as callers see the model."""

import asyncio
import logging
from typing import NamedTuple

from tenacity import AsyncRetrying

from labelstream.deploy.model_client.serve_client import ServeClient
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.tasks import Task, task_for
from labelstream.workers.errors import StartError

logger = logging.getLogger(__name__)


class Model(NamedTuple):
    """Replaced as a whole when the replicas serve another revision."""

    description: ModelDescription
    task: Task


class ServedModel:
    """Keeps the model's current revision. Await `first` before `current`. `max_tokens`: see `task_for`. Belongs to one
    event loop.
    """

    current: Model

    def __init__(self, name: str, client: ServeClient, retrying: AsyncRetrying, max_tokens: int) -> None:
        self._name, self._client, self._retrying, self._max_tokens = name, client, retrying, max_tokens
        self._describing = asyncio.Lock()

    async def first(self, timeout_s: float) -> None:
        """Wait for the first replica. Raises StartError if none is up in time."""
        try:
            async with asyncio.timeout(timeout_s):
                self.current = await self._described()
        except TimeoutError:
            raise StartError(
                f"model {self._name}: no replica is up after {timeout_s:g} s; see `labelstream status`"
            ) from None

    async def after(self, old: Model) -> Model:
        """The model that the replicas serve instead of `old`. Concurrent calls share one question."""
        async with self._describing:
            if self.current is old:
                self.current = await self._described()
                found = self.current.description
                logger.warning(
                    "model %s: changed to revision %s from %s", self._name, found.revision, old.description.revision
                )
            return self.current

    async def _described(self) -> Model:
        description: ModelDescription = await self._retrying(self._client.describe)
        return Model(description, task_for(description, self._max_tokens))
