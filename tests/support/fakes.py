"""A Classifier without a model, whose answers follow from the text alone, for tests of the stream."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from labelstream.workers.classifier import Answer, Fault, Prediction, Progress, RecordError, Request
from labelstream.workers.errors import InferenceError

REVISION = "fake-1"
# For a Kafka client that never connects. Any: pyright's types of kafka-python belong to an older version.
UNREACHABLE: dict[str, Any] = {"bootstrap_servers": "127.0.0.1:1", "api_version": (2, 5), "bootstrap_timeout_ms": 100}


def predict(request: Request) -> Prediction | RecordError:
    """POSITIVE for texts of even length. Refuses texts with "poison"."""
    if request.candidate_labels is not None:
        return RecordError(Fault.INVALID_LABELS, "takes no candidate_labels")
    if "poison" in request.text:
        return RecordError(Fault.INFERENCE_FAILED, "ValueError", attempts=2)
    share = 0.75 if len(request.text) % 2 == 0 else 0.25
    pairs = sorted([("POSITIVE", share), ("NEGATIVE", 1 - share)], key=lambda pair: -pair[1])[: request.top_k or 2]
    return Prediction(
        tuple(label for label, _ in pairs),
        tuple(score for _, score in pairs),
        len(request.text.split()) + 2,
        len(request.text) > 1000,
        REVISION,
    )


class FakeClassifier:
    """A `labelstream.workers.classifier.Classifier`. `gate`: an event that calls wait for. `fail_next`: number of next
    calls that fail as a whole. `paused`: the text of `trouble` until `resume`.
    """

    def __init__(self, answer: Callable[[Request], Answer] = predict, threads: int = 2) -> None:
        self.calls: list[int] = []
        self.progresses: list[Progress | None] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fail_next = 0
        self.paused = ""
        self._answer = answer
        self._pool = ThreadPoolExecutor(threads)
        self._lock = threading.Lock()

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> Future[list[Answer]]:
        self.calls.append(len(requests))
        self.progresses.append(progress)
        return self._pool.submit(self._classify, list(requests))

    def trouble(self) -> str:
        return self.paused

    def resume(self) -> bool:
        paused, self.paused = self.paused, ""
        return bool(paused)

    def close(self) -> None:
        self.gate.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _classify(self, requests: list[Request]) -> list[Answer]:
        self.gate.wait()
        with self._lock:
            failing = self.fail_next > 0
            self.fail_next -= failing
        if failing:
            raise InferenceError("no replica")
        return [self._answer(request) for request in requests]


class HeldClassifier:
    """A Classifier whose calls the test answers."""

    def __init__(self) -> None:
        self.futures: list[Future[list[Answer]]] = []

    def submit(self, requests: Any, progress: Progress | None = None) -> Future[list[Answer]]:
        self.futures.append(Future())
        return self.futures[-1]

    def trouble(self) -> str:
        return ""

    def resume(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def answer(self) -> None:
        """The latest call."""
        self.futures[-1].set_result([predict(Request("a"))])
