import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from labelstream.deploy.gateway.served import Busy, Late, NotReady, TooManyTexts, UnknownModel, WrongTask
from labelstream.deploy.gateway.served_models import TEXTS_IN_FLIGHT, ServedModels
from labelstream.workers.classifier import Answer, Prediction, Progress, Request
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.errors import InferenceError, StartError
from labelstream.workers.settings.http import HttpSettings
from labelstream.workers.settings.model import ModelSettings
from labelstream.workers.settings.ranges import RangeFromZero
from tests.support.fake_handle import description

pytestmark = pytest.mark.anyio

CLASSIFY, MASK = TaskName.TEXT_CLASSIFICATION, TaskName.FILL_MASK


class FakeClassifier:
    """Answers at once; `waits`: never; `error`: fails."""

    def __init__(self, waits: bool = False, error: Exception | None = None) -> None:
        self.waits, self.error, self.closed, self.tokens = waits, error, False, 0

    @property
    def description(self) -> ModelDescription:
        return description()

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> "Future[list[Answer]]":
        future: Future[list[Answer]] = Future()
        self.tokens += 3 * len(requests)
        if self.error is not None:
            future.set_exception(self.error)
        elif not self.waits:
            future.set_result([Prediction(("yes",), (1.0,), 3, False, "one") for _ in requests])
        return future

    def trouble(self) -> str:
        return ""

    def resume(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


class Connections:
    """Connects to one fake classifier; `gate`: once it is set."""

    def __init__(self, classifier: FakeClassifier | None = None, error: Exception | None = None) -> None:
        self.classifier, self.error = classifier or FakeClassifier(), error
        self.names: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, name: str, handle: Any, call_timeout_s: float) -> FakeClassifier:
        self.names.append(name)
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return self.classifier


def models_of(connections: Connections, min_replicas: int = 1, **http: Any) -> ServedModels:
    models = {
        "small": ModelSettings(source="a/b", replicas=RangeFromZero(min=min_replicas, max=1)),
        "large": ModelSettings(source="a/c"),
        "mask": ModelSettings(source="a/d", task=MASK),
    }
    return ServedModels(models, HttpSettings(**http), dict.fromkeys(models), connections)


@pytest.mark.parametrize(
    ("name", "task", "default", "found"),
    [
        (None, CLASSIFY, None, "small"),
        (None, CLASSIFY, "large", "large"),
        (None, MASK, "large", "mask"),
        ("large", CLASSIFY, "small", "large"),
    ],
)
async def test_model_is_the_named_or_the_default(
    name: str | None, task: TaskName, default: str | None, found: str
) -> None:
    model = await models_of(Connections(), default_model=default).model(name, (task,))
    assert model.name == found
    assert model.description == description()


@pytest.mark.parametrize(
    ("name", "task", "error", "words"),
    [
        ("nope", CLASSIFY, UnknownModel, "no model 'nope'; the models are small, large, mask"),
        ("mask", CLASSIFY, WrongTask, "model: mask does fill-mask, not text-classification; small, large does"),
        (None, TaskName.EMBEDDING, WrongTask, "model: no model does feature-extraction"),
    ],
)
async def test_wrong_model_is_refused(name: str | None, task: TaskName, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        await models_of(Connections()).model(name, (task,))


async def test_models_are_listed_in_the_order_of_the_file() -> None:
    assert models_of(Connections()).models() == ("small", "large", "mask")


async def test_request_connects_to_a_model_at_zero() -> None:
    connections = Connections()
    models = models_of(connections, min_replicas=0)
    models.start()
    assert await models.ready("small")

    await models.model("small", (CLASSIFY,))

    assert sorted(connections.names) == ["large", "mask", "small"]


async def test_model_without_a_replica_is_not_ready() -> None:
    connections = Connections()
    connections.gate.clear()
    models = models_of(connections, timeout_s=0.01)
    models.start()
    try:
        with pytest.raises(NotReady, match=r"model small: no replica is up after 0\.01 s"):
            await models.model("small", (CLASSIFY,))
        assert not await models.ready()
    finally:
        connections.gate.set()


async def test_request_for_a_model_at_zero_counts_as_waiting() -> None:
    connections = Connections()
    connections.gate.clear()
    models = models_of(connections, min_replicas=0)
    asked = asyncio.create_task(models.model("small", (CLASSIFY,)))
    await asyncio.sleep(0)
    assert models.counts()["small"]["waiting"] == 1

    connections.gate.set()
    await asked
    assert models.counts()["small"]["waiting"] == 0


async def test_failed_connection_is_tried_again() -> None:
    connections = Connections(error=StartError("no replica is up"))
    models = models_of(connections)
    with pytest.raises(NotReady, match="no replica is up"):
        await models.model("small", (CLASSIFY,))
    connections.error = None

    assert (await models.model("small", (CLASSIFY,))).name == "small"
    assert await models.ready("small")


async def test_answers_and_counts() -> None:
    models = models_of(Connections())
    model = await models.model("small", (CLASSIFY,))

    answers = await models.answer(model, [Request("a"), Request("b")])

    assert len(answers) == 2
    assert models.counts()["small"] == {"texts": 2, "tokens": 6, "waiting": 0}
    assert models.counts()["mask"] == {"texts": 0, "tokens": 0, "waiting": 0}


async def test_too_many_texts_are_refused() -> None:
    models = models_of(Connections(), max_texts=2)
    model = await models.model("small", (CLASSIFY,))
    with pytest.raises(TooManyTexts, match="3 texts in one request; send 2 at most"):
        await models.answer(model, [Request("a")] * 3)


async def test_late_answer_is_refused_and_waits_no_more() -> None:
    models = models_of(Connections(FakeClassifier(waits=True)), timeout_s=0.01)
    model = await models.model("small", (CLASSIFY,))
    with pytest.raises(Late, match=r"model small: no answer within 0.01 s"):
        await models.answer(model, [Request("a")])
    assert models.counts()["small"]["waiting"] == 0


async def test_failed_model_is_not_ready() -> None:
    models = models_of(Connections(FakeClassifier(error=InferenceError("model small: away"))))
    model = await models.model("small", (CLASSIFY,))
    with pytest.raises(NotReady, match="model small: away"):
        await models.answer(model, [Request("a")])


async def test_texts_in_flight_are_bounded() -> None:
    models = models_of(Connections(FakeClassifier(waits=True)), max_texts=1)
    model = await models.model("small", (CLASSIFY,))
    running = [asyncio.create_task(models.answer(model, [Request("a")])) for _ in range(TEXTS_IN_FLIGHT)]
    await asyncio.sleep(0)

    with pytest.raises(Busy, match="too many texts are in flight"):
        await models.answer(model, [Request("a")])

    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert models.counts()["small"]["waiting"] == 0


async def test_close_closes_connected_classifiers() -> None:
    connections = Connections()
    models = models_of(connections)
    await models.model("small", (CLASSIFY,))

    models.close()

    assert connections.classifier.closed
