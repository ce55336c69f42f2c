"""Model call: requests to one model and their future answers, over all attempts."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from weakref import ref

from labelstream.workers.classifier import Answer, Classifier, Progress, Request
from labelstream.workers.stream.flow_control.backoff import Backoff

RETRY_FIRST_S, RETRY_MAX_S = 0.5, 15.0


class ModelCall:
    """The requests of a micro-batch to one model, and their future answers. `rows`: of the outcomes, see `MicroBatch`.

    In monotonic seconds: `retry_at` is the time of the next attempt, None unless the call failed. `done_at` is the end
    of the current attempt, set shortly after the future. `wake` is called from any thread when an attempt has ended.
    """

    def __init__(
        self,
        model: str,
        rows: list[int],
        requests: list[Request],
        classifier: Classifier,
        clock: Callable[[], float] = time.monotonic,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.model, self.rows, self.requests, self._classifier = model, rows, requests, classifier
        self._clock, self._wake = clock, wake
        self._context = copy_context()  # retries belong to the same span
        self._progress = Progress()
        self._backoff = Backoff(RETRY_FIRST_S, RETRY_MAX_S)
        self.submit()

    def submit(self) -> None:
        """Start an attempt, without the requests that earlier attempts answered."""
        self.retry_at: float | None = None
        self.done_at: float | None = None
        self.future: Future[list[Answer]] = self._context.run(self._classifier.submit, self.requests, self._progress)
        weak_call = ref(self)  # futures keep their callbacks: a cycle would wait for the garbage collector

        def done(_: object) -> None:
            if (call := weak_call()) is not None:
                call.done_at = call._clock()
                call._wake()

        self.future.add_done_callback(done)

    def answered(self) -> bool:
        """Did the current attempt succeed?"""
        return self.future.done() and self.future.exception() is None

    @property
    def progressed_at(self) -> float:
        """Monotonic seconds of the model's last partial answer; -inf before the first."""
        return self._progress.at

    def fail(self) -> float:
        """Record a failure. Returns the seconds until the next attempt, doubled each time."""
        pause_s = self._backoff.next_s()
        self.retry_at = self._clock() + pause_s
        return pause_s
