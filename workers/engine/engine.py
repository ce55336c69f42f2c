"""The classifier in one process: no Kafka, no Ray. What the Serve handle and replica do apart, done on one thread."""

import logging
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from types import TracebackType
from typing import Any, NamedTuple, Self

import torch

from labelstream.workers.classifier import Answer, Progress, Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.errors import InferenceError

logger = logging.getLogger(__name__)

Answers = list[Answer]
MAX_PENDING_REQUESTS = 65_536
_JOINED_REQUESTS = 4_096


class _Call(NamedTuple):
    requests: Sequence[Request]
    future: "Future[Answers]"


class Engine:
    """Satisfies `labelstream.workers.classifier.Classifier`. Calls that wait while the model is busy go through it
    together.

    Owns a thread; `close()` ends it, and so does leaving a `with` block.
    """

    def __init__(self, description: ModelDescription, backend: Backend, max_batch_tokens: int | None = None) -> None:
        """Warms the model up. Raises ModelError when it cannot answer."""
        self.description, self._backend = description, backend
        self._predictor = Predictor(description, backend, max_batch_tokens)
        self._predictor.warm_up()
        self._task = task_for(description)
        self._changed = Condition()
        self._waiting: deque[_Call] = deque()
        self._pending = 0  # requests waiting or being answered
        self._closed = False
        self._thread = Thread(target=self._work, name="labelstream-engine", daemon=True)
        self._thread.start()

    @classmethod
    def load(cls, source: str, *, max_batch_tokens: int | None = None, **options: Any) -> Self:
        """Load and warm up; `options` are the fields of `ModelOptions`. Raises ModelError."""
        description, backend = load(source, ModelOptions(**options))
        return cls(description, backend, max_batch_tokens)

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> "Future[Answers]":
        """See `Classifier.submit`. Resolves with InferenceError also when too many requests are pending."""
        del progress  # there are no parts whose answers could be kept
        future: Future[Answers] = Future()
        future.set_running_or_notify_cancel()  # a call that is under way cannot be cancelled
        with self._changed:
            if self._closed:
                problem = "the engine is closed"
            elif self._pending and self._pending + len(requests) > MAX_PENDING_REQUESTS:
                problem = f"{self._pending} requests are pending; wait for some of their futures"
            else:
                self._pending += len(requests)
                self._waiting.append(_Call(requests, future))
                self._changed.notify()
                return future
        future.set_exception(InferenceError(problem))
        return future

    def classify(self, requests: Sequence[Request]) -> Answers:
        """Submit and wait. Raises InferenceError."""
        return self.submit(requests).result()

    def trouble(self) -> str:
        """See `Classifier.trouble`."""
        return ""

    def resume(self) -> bool:
        """See `Classifier.resume`."""
        return False

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return torch.device(self._backend.device_type)

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self._backend.dtype

    def stats(self) -> dict[str, int]:
        """Plain numbers since the start: tokens run, and slots for them, which is tokens and padding."""
        predictor = self._predictor
        return {"max_batch_tokens": predictor.max_batch_tokens, "tokens": predictor.tokens, "slots": predictor.slots}

    def close(self) -> None:
        """End the thread after what it is computing; calls still waiting resolve with InferenceError."""
        with self._changed:
            self._closed = True
            dropped = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for call in dropped:
            call.future.set_exception(InferenceError("the engine was closed before it came to this call"))
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _work(self) -> None:
        while calls := self._take():
            count = sum(len(call.requests) for call in calls)
            try:
                self._answer(calls)
            except BaseException as error:  # whatever it is: nobody may wait for ever, and the thread goes on
                if not isinstance(error, InferenceError):
                    logger.exception("a call failed")
                _fail(calls, error)
            with self._changed:
                self._pending -= count

    def _take(self) -> list[_Call]:
        """Wait for calls and take as many as go together; none when the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            calls: list[_Call] = []
            count = 0
            while self._waiting and (not calls or count + len(self._waiting[0].requests) <= _JOINED_REQUESTS):
                calls.append(self._waiting.popleft())
                count += len(calls[-1].requests)
            return calls

    def _answer(self, calls: list[_Call]) -> None:
        requests = [request for call in calls for request in call.requests]
        prepared = self._task.prepare(requests)
        asked = len(prepared.packed.lengths) > 0
        answers = prepared.answers(self._predictor.predict(prepared.packed, prepared.width) if asked else None)
        if len(answers) != len(requests):
            raise InferenceError(f"{len(answers)} answers for {len(requests)} requests")
        first = 0
        for call in calls:
            last = first + len(call.requests)
            call.future.set_result(answers[first:last])
            first = last


def _fail(calls: list[_Call], error: BaseException) -> None:
    failure = error if isinstance(error, InferenceError) else InferenceError(one_line(error))
    for call in calls:
        if not call.future.done():
            call.future.set_exception(failure)
