"""The classifier in one process, without Kafka and Ray: the work of the Serve handle and the replica together."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future
from difflib import get_close_matches
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Self

import torch
from pydantic import ValidationError

from labelstream.workers.classifier import Answer, Progress, Request
from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher, full_tokens_for
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.device_thread import DeviceThread
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.inference.warmup import warm_up
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.ragged import ScoredSequences
from labelstream.workers.engine.requests import requests_of
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.engine.tasks.base import Prepared
from labelstream.workers.errors import InferenceError, ModelError
from labelstream.workers.value_errors import fix_of, given, problem_of

logger = logging.getLogger(__name__)
Answers = list[Answer]
MAX_PENDING_REQUESTS = 65_536


class Engine:
    """A `labelstream.workers.classifier.Classifier` in this process. Thread-safe.

    Calls that arrive while the model is busy are batched together. `close()` or a `with` block ends the engine's
    thread.

    >>> from labelstream import Engine
    >>> with Engine.load("deploy/demo/model") as engine:
    ...     (answer,) = engine.classify(["The coffee machine is wonderful"])
    >>> answer.labels
    ('POSITIVE', 'NEGATIVE')
    """

    def __init__(self, description: ModelDescription, backend: Backend, max_batch_tokens: int | None = None) -> None:
        """Warm the model up. Raises ModelError if the model cannot answer a few test texts."""
        self.description, self._backend = description, backend
        self._predictor = Predictor(description, backend, max_batch_tokens)
        warm_up(self._predictor)
        self._device = DeviceThread("labelstream-engine")
        self._batcher = DynamicBatcher(
            self._device,
            lambda packed, width, after_forward: self._predictor.begin(packed, width, after_forward),
            full_tokens_for(self._predictor.max_batch_tokens),
            max_delay_s=0.0,
            overlaps=self._predictor.overlaps,
        )
        self._task, self._tokenizing = task_for(description), Lock()
        self._counting = Lock()
        self._pending = 0  # requests without an answer
        self._closed = False

    @classmethod
    def load(cls, source: str | os.PathLike[str], *, max_batch_tokens: int | None = None, **options: Any) -> Self:
        """Load and warm up a model from a directory or the hub.

        `source`: a directory, or a hub id such as owner/name. `max_batch_tokens`: tokens per forward, padding included;
        None: the device's default. `options`: the fields of `labelstream.workers.engine.options.ModelOptions`.

        Raises ModelError if the model cannot be served or an option is wrong, TypeError if `source` is not a path.
        """
        if not isinstance(source, str | os.PathLike):
            raise TypeError(f"source is a {type(source).__name__}; give a str or a path")
        source = os.fspath(source)
        try:
            chosen = ModelOptions(**options)
        except ValidationError as error:
            raise ModelError(f"{source}: {_first_of(error)}") from None
        description, backend = load(source, chosen)
        return cls(description, backend, max_batch_tokens)

    def submit(self, requests: Sequence[Request | str], progress: Progress | None = None) -> "Future[Answers]":
        """See `Classifier.submit`. A str stands for `Request(text)`.

        Raises TypeError if `requests` is not a list of texts and Requests. The future resolves with InferenceError if
        more than `MAX_PENDING_REQUESTS` requests would be pending.
        """
        del progress  # a call has one part, so no answers are kept between attempts
        requests = requests_of(requests)
        future: Future[Answers] = Future()
        future.set_running_or_notify_cancel()  # from now on callers cannot cancel the future
        if problem := self._admit(len(requests)):
            future.set_exception(InferenceError(problem))
            return future
        future.add_done_callback(lambda _: self._done(len(requests)))
        try:
            with self._tokenizing:
                prepared = self._task.prepare(requests)
            if len(prepared.packed.lengths):
                scored = self._batcher.submit(prepared.packed, prepared.width)
                scored.add_done_callback(partial(_answer, future, prepared, len(requests)))
            else:
                future.set_result(prepared.answers(None))
        except BaseException as error:  # panics of native code are not Exceptions
            future.set_exception(_failure(error))
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        return future

    def _admit(self, requests: int) -> str:
        """Count `requests` as pending, and return an empty text; or return why the engine takes no more."""
        with self._counting:
            if self._closed:
                return "the engine is closed"
            if self._pending and self._pending + requests > MAX_PENDING_REQUESTS:
                return f"{self._pending} requests are pending; wait for some of their futures"
            self._pending += requests
            return ""

    def _done(self, requests: int) -> None:
        with self._counting:
            self._pending -= requests

    def classify(self, requests: Sequence[Request | str]) -> Answers:
        """Submit and wait. Returns one answer per request, in order. Raises TypeError and InferenceError.

        The answer of a request that cannot be classified is a `RecordError`; other requests are not affected.
        """
        return self.submit(requests).result()

    def trouble(self) -> str:
        """See `Classifier.trouble`."""
        return ""

    def resume(self) -> bool:
        """See `Classifier.resume`."""
        return False

    @property
    def device(self) -> torch.device:
        """The device that runs the model."""
        return torch.device(self._backend.device_type)

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the model computes in."""
        return self._backend.dtype

    def stats(self) -> dict[str, int]:
        """Totals since the start: `tokens` without padding, and `slots`, the tokens with padding."""
        predictor = self._predictor
        return {"max_batch_tokens": predictor.max_batch_tokens, "tokens": predictor.tokens, "slots": predictor.slots}

    def close(self) -> None:
        """End the thread after its current batch. Waiting calls resolve with InferenceError."""
        with self._counting:
            self._closed = True
        self._batcher.close(InferenceError("the engine was closed before it ran this call"))
        self._device.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _answer(future: "Future[Answers]", prepared: Prepared, count: int, scored: "Future[ScoredSequences]") -> None:
    """Resolve `future` with the answers to the `count` requests of `prepared`."""
    try:
        answers = prepared.answers(scored.result())
        if len(answers) != count:
            raise InferenceError(f"{len(answers)} answers for {count} requests")
    except BaseException as error:  # panics of native code are not Exceptions
        future.set_exception(_failure(error))
    else:
        future.set_result(answers)


def _failure(error: BaseException) -> InferenceError:
    if isinstance(error, InferenceError):
        return error
    if not isinstance(error, KeyboardInterrupt | SystemExit):
        logger.error("a call failed", exc_info=error)
    return InferenceError(one_line(error))


def _first_of(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][0])
        meant = get_close_matches(name, ModelOptions.model_fields, 1)
        return f"{name}: unknown option" + (f"; did you mean {meant[0]}?" if meant else "")
    described = ModelOptions.model_fields[str(first["loc"][0])].description if len(first["loc"]) == 1 else ""
    fix = fix_of(first, described or "").replace("null", "None")
    return ": ".join((*map(str, first["loc"]), problem_of(first))) + given(first) + f"; {fix}" * bool(fix)
