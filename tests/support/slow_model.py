"""Slow models, slow records and unavailable models behind a ServeClassifier."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from ray.exceptions import RayTaskError

from labelstream.deploy.model_client.failed_attempts import MAX_ALONE
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.workers.classifier import Answer, Fault, Prediction, Progress, RecordError, Request
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.errors import InferenceError
from tests.support.fake_handle import FakeHandle

POISON_ID = 6  # of the word "d"
TIMEOUT_S = 0.2
MAX_ATTEMPTS = 40


@contextmanager
def connected(handle: FakeHandle, call_timeout_s: float = TIMEOUT_S) -> Iterator[ServeClassifier]:
    with closing(ServeClassifier("m", handle, call_timeout_s, is_noted=handle.noted)) as classifier:
        yield classifier


def insist(classifier: ServeClassifier, texts: list[str], max_attempts: int = MAX_ATTEMPTS) -> tuple[list[Answer], int]:
    """The answers of calls as the stream makes them, and the number of failed attempts."""
    requests, progress = [Request(text) for text in texts], Progress()
    for failed in range(max_attempts):
        try:
            return classifier.submit(requests, progress).result(30), failed
        except InferenceError:
            pass
    raise AssertionError(f"no answer after {max_attempts} attempts")


def check(texts: list[str], answers: list[Answer], fault: Fault) -> None:
    for text, answer in zip(texts, answers, strict=True):
        if "d" in text:
            assert isinstance(answer, RecordError)
            assert answer.fault is fault
            assert answer.attempts >= MAX_ALONE
        else:
            assert isinstance(answer, Prediction)
            assert answer.labels[0] == ("yes" if answer.tokens % 2 else "no")
            assert answer.tokens == len(text.split()) + 2


def holds_poison(packed: RaggedSequences) -> bool:
    return bool((packed.ids == POISON_ID).any())


def whole_failure(error: InferenceError) -> BaseException:
    """A replica's error as Ray passes it on."""
    return RayTaskError("classify", "traceback", error).as_instanceof_cause()
