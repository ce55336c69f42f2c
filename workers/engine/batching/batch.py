"""One batch: its calls run together. If the batch fails, each call runs alone."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from labelstream.workers.engine.batching.lanes import Call
from labelstream.workers.engine.batching.settlement import Answer, plain
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, concatenate, split_scores
from labelstream.workers.errors import InferenceError

logger = logging.getLogger(__name__)

Wait = Callable[[], None]
# Called on the device's thread after each forward of a batch, with its tokens and a function as `Backend.mark`.
AfterForward = Callable[[int, Callable[[], Wait]], None]
# The signature of `labelstream.workers.engine.inference.predictor.Predictor.begin`.
Begin = Callable[[RaggedSequences, int, AfterForward], Callable[[], ScoredSequences]]


class Span(Protocol):
    """Starts with a batch. The device's thread ends it when the batch's answers are there."""

    def end(self) -> None: ...


def run_on(tokens: int, mark: Callable[[], Wait]) -> None:
    """An `AfterForward` that does nothing."""


class Batch:
    """The calls of a batch: `begin` gives them to the device, `answers` waits for it.

    `begin`: the device's. `started`: seconds of the batcher's clock. `interrupted_s`: seconds that interactive calls
    ran between the batch's forwards. `sequences`, `tokens`: of all calls.
    """

    _scores: Callable[[], ScoredSequences]

    def __init__(self, calls: list[Call], begin: Begin, started: float) -> None:
        self.calls, self.started, self.interrupted_s = calls, started, 0.0
        self.sequences = sum(len(call.packed.lengths) for call in calls)
        self.tokens = sum(len(call.packed.ids) for call in calls)
        self.span: Span | None = None
        self._begin_scores = begin
        self._failure: InferenceError | None = None
        self._answers: list[Answer] | None = None

    def begin(self, after_forward: AfterForward = run_on) -> None:
        """Give the calls to the device. A call with `around` runs to its end, without other calls in between."""
        if (around := self.calls[0].around) is None:
            self._begin(after_forward)
        else:
            self._answers = self._answers_within(around)

    def answers(self) -> list[Answer]:
        """Wait for the device. Returns an answer or error for each call, in order. Raises no Exception."""
        return self._wait() if self._answers is None else self._answers

    def _begin(self, after_forward: AfterForward) -> None:
        try:
            packed = concatenate([call.packed for call in self.calls])
            self._scores = self._begin_scores(packed, max(call.top_k for call in self.calls), after_forward)
        except Exception as error:
            self._failure = plain(error)

    def _wait(self) -> list[Answer]:
        if self._failure is None:
            counts, top_ks = [len(call.packed.lengths) for call in self.calls], [call.top_k for call in self.calls]
            try:
                return list(split_scores(self._scores(), counts, top_ks))
            except Exception as error:
                self._failure = plain(error)
        return self._answers_alone(self._failure)

    def _answers_within(self, around: AbstractContextManager[None]) -> list[Answer]:
        try:
            with around:
                self._begin(run_on)
                return self._wait()
        except Exception as error:
            failure = plain(error)
        return self._answers_alone(failure)

    def _answers_alone(self, failure: InferenceError) -> list[Answer]:
        """The answers of calls that run one by one, after the `failure` of all together."""
        logger.warning("a batch of %d calls failed: %s", len(self.calls), failure)
        if len(self.calls) == 1:
            return [failure]
        answers: list[Answer] = []
        for call in self.calls:
            alone = Batch([call], self._begin_scores, self.started)
            alone.begin()
            answers += alone.answers()
        return answers
