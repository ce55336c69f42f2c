"""The models of the config behind Serve handles: connects to each, bounds what is in flight, and joins requests."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from labelstream.deploy.control.reports import ModelCounts
from labelstream.deploy.gateway.served import Busy, Late, Model, NotReady, TooManyTexts, UnknownModel, WrongTask
from labelstream.deploy.gateway.turn_joiner import TurnJoiner
from labelstream.workers.classifier import Answer, Classifier, Request
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.errors import InferenceError, LabelstreamError
from labelstream.workers.settings.http import HttpSettings
from labelstream.workers.settings.model import ModelSettings

TEXTS_IN_FLIGHT = 8  # times http.max_texts


class DescribedClassifier(Classifier, Protocol):
    """The part of `ServeClassifier` that is used here."""

    @property
    def description(self) -> ModelDescription: ...
    @property
    def tokens(self) -> int: ...


Connect = Callable[[str, Any, float], DescribedClassifier]


class _Connected(NamedTuple):
    classifier: DescribedClassifier
    joiner: TurnJoiner


class ServedModels:
    """Implements `Served` over Serve handles. Belongs to the gateway's event loop.

    - `models`: settings by name, in the order of the config file.
    - `handles`: a Serve handle for each model.
    - `connect`: makes a classifier of name, handle and call timeout; blocks until a replica is up.
    """

    def __init__(
        self, models: Mapping[str, ModelSettings], http: HttpSettings, handles: Mapping[str, Any], connect: Connect
    ) -> None:
        self._models, self._http, self._handles, self._connect = models, http, handles, connect
        self.max_texts = http.max_texts
        self._threads = ThreadPoolExecutor(len(models), "connect")
        self._connections: dict[str, asyncio.Task[_Connected]] = {}
        self._texts, self._waiting = dict.fromkeys(models, 0), dict.fromkeys(models, 0)

    def start(self) -> None:
        """Connect to the models that always have a replica. A request connects to the others."""
        for name, model in self._models.items():
            if model.replicas.min > 0:
                self._connection(name)

    def close(self) -> None:
        for name, connection in self._connections.items():
            if self._is_connected(name):
                connection.result().classifier.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def models(self) -> Sequence[str]:
        """See `Served.models`."""
        return tuple(self._models)

    async def model(self, name: str | None, tasks: Collection[TaskName]) -> Model:
        """See `Served.model`."""
        chosen = self._choose(name, tasks)
        return Model(chosen, (await self._connected(chosen)).classifier.description)

    async def answer(self, model: Model, requests: Sequence[Request]) -> list[Answer]:
        """See `Served.answer`."""
        name, count, timeout_s = model.name, len(requests), self._http.timeout_s
        TooManyTexts.check(count, self.max_texts)
        if sum(self._waiting.values()) + count > TEXTS_IN_FLIGHT * self._http.max_texts:
            raise Busy("too many texts are in flight; send the request again later")
        joiner = (await self._connected(name)).joiner
        self._texts[name] += count
        self._waiting[name] += count
        try:
            async with asyncio.timeout(timeout_s):
                return await joiner.answer(requests)
        except TimeoutError:
            raise Late(f"model {name}: no answer within {timeout_s:g} s") from None
        except InferenceError as error:
            raise NotReady(str(error)) from None
        finally:
            self._waiting[name] -= count

    async def ready(self, name: str | None = None) -> bool:
        """See `Served.ready`."""
        names = self._models if name is None else [name] if name in self._models else []
        return bool(names) and all(self._is_ready(known) for known in names)

    def counts(self) -> dict[str, ModelCounts]:
        """Counts of each model."""
        return {
            name: {"texts": self._texts[name], "tokens": self._tokens(name), "waiting": self._waiting[name]}
            for name in self._models
        }

    def _tokens(self, name: str) -> int:
        return self._connections[name].result().classifier.tokens if self._is_connected(name) else 0

    def _is_ready(self, name: str) -> bool:
        return self._is_connected(name) or self._models[name].replicas.min == 0

    def _is_connected(self, name: str) -> bool:
        connection = self._connections.get(name)
        return (
            connection is not None
            and connection.done()
            and not connection.cancelled()
            and connection.exception() is None
        )

    def _choose(self, name: str | None, tasks: Collection[TaskName]) -> str:
        able = [known for known, model in self._models.items() if model.task in tasks]
        wanted, others = ", ".join(tasks), ", ".join(able) or "no model"
        if name is None:
            if not able:
                raise WrongTask(f"model: no model does {wanted}; the config has {self._tasks()}")
            return self._http.default_model if self._http.default_model in able else able[0]
        if name not in self._models:
            raise UnknownModel.of(name, self._models)
        if name not in able:
            raise WrongTask(f"model: {name} does {self._models[name].task}, not {wanted}; {others} does")
        return name

    def _tasks(self) -> str:
        return ", ".join(f"{name} ({model.task})" for name, model in self._models.items())

    def _connection(self, name: str) -> "asyncio.Task[_Connected]":
        found = self._connections.get(name)
        if found is None or (found.done() and not self._is_connected(name)):
            found = self._connections[name] = asyncio.get_running_loop().create_task(self._connect_to(name))
        return found

    async def _connect_to(self, name: str) -> _Connected:
        timeout_s = self._models[name].call_timeout_s
        loop = asyncio.get_running_loop()
        classifier = await loop.run_in_executor(self._threads, self._connect, name, self._handles[name], timeout_s)
        return _Connected(classifier, TurnJoiner(classifier.submit))

    async def _connected(self, name: str) -> _Connected:
        connection, timeout_s = self._connection(name), self._http.timeout_s
        if connection.done():
            return connection.result()
        self._waiting[name] += 1  # else the control plane would stop the replica that Serve starts for this request
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(connection)
        except TimeoutError:
            raise NotReady(f"model {name}: no replica is up after {timeout_s:g} s", timeout_s) from None
        except LabelstreamError as error:
            raise NotReady(str(error)) from None
        finally:
            self._waiting[name] -= 1
