"""Circuit breaker: holds answered micro-batches back while the model fails too many messages.

Only failures of the model count, because they may end. Invalid messages stay invalid and must not delay others.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping

from labelstream.workers.classifier import MODEL_FAULTS, Classifier, RecordError
from labelstream.workers.errors import InferenceError
from labelstream.workers.settings.pipeline import BreakerSettings
from labelstream.workers.stream.codec.rejection import Rejection
from labelstream.workers.stream.codec.text_list import texts_of
from labelstream.workers.stream.flow_control.failure_window import FailureRateWindow
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.model_call import ModelCall


class CircuitBreaker:
    """One breaker for each run of a pipeline. Any thread may read `held`, `is_open` and `alarm`.

    `held`: the micro-batch that opened the breaker; later micro-batches wait for it. `closed_at`: monotonic seconds of
    the last close, from which the latency of the waiting micro-batches counts. `failures`: counts of all runs.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        failures: FailureRateWindow,
        classifiers: Mapping[str, Classifier],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._failures, self._classifiers, self._clock = settings, failures, classifiers, clock
        self.held: MicroBatch | None = None
        self.alarm = ""
        self.closed_at = 0.0
        self._first_calls: list[ModelCall] = []
        self._probe: list[ModelCall] = []
        self._probe_at = 0.0

    def passes(self, batch: MicroBatch) -> bool:
        """May the answered `batch` be produced? Never waits."""
        if batch.passed_breaker:
            return True
        if batch is self.held:
            if not self._is_repaired(batch):
                return False
            self._close(grace=0)
        messages, failed = model_failures(batch)
        batch.passed_breaker = self._failures.admits(messages, failed.total())
        if not batch.passed_breaker:
            self._open(batch, messages, failed)
        return batch.passed_breaker

    @property
    def is_open(self) -> bool:
        """Is a micro-batch held back?"""
        return self.held is not None

    def resume(self) -> int | None:
        """Close the breaker at an operator's command: the held micro-batch and `min_messages` more messages pass.

        The number of messages held; None if the breaker is closed.
        """
        if self.held is None:
            return None
        self.held.passed_breaker = True
        messages = len(self.held.items)
        self._close(grace=self._settings.min_messages)
        return messages

    def _open(self, batch: MicroBatch, messages: int, failed: Counter[str]) -> None:
        reasons = ", ".join(f"{reason} {count}" for reason, count in failed.most_common())
        self.alarm = (
            f"paused: the model fails {failed.total()} of the next {messages} messages ({reasons}), and the "
            f"failures of the last {self._settings.window_s:g} s are above breaker.max_share "
            f"({self._settings.max_share:g})"
        )
        self.held, self._first_calls = batch, batch.calls
        self._probe_at = self._clock() + self._settings.probe_s

    def _close(self, grace: int) -> None:
        self._failures.reset(grace)
        self.held, self._first_calls, self._probe = None, [], []
        self.closed_at = self._clock()

    def _is_repaired(self, batch: MicroBatch) -> bool:
        """Would `batch` pass now? Repeats the failed requests every `probe_s`."""
        if self._probe:
            if not all(call.future.done() for call in self._probe):
                return False
            probe, self._probe = self._probe, []
            self._probe_at = self._clock() + self._settings.probe_s
            errors = [error for call in probe if (error := call.future.exception()) is not None]
            if unexpected := [error for error in errors if not isinstance(error, InferenceError)]:
                raise unexpected[0]
            if not errors:
                batch.repair([*self._first_calls, *probe])
        elif self._clock() >= self._probe_at:
            self._probe = [probe for call in self._first_calls if (probe := self._repeat_failed(call)) is not None]
        messages, failed = model_failures(batch)  # also changes when partitions are revoked
        return not self._failures.over(messages, failed.total())

    def _repeat_failed(self, call: ModelCall) -> ModelCall | None:
        """A new call with the requests that the model failed; None if there are none."""
        answers = enumerate(call.future.result())
        failed = [at for at, answer in answers if isinstance(answer, RecordError) and answer.fault in MODEL_FAULTS]
        if not failed:
            return None
        rows, requests = [call.rows[at] for at in failed], [call.requests[at] for at in failed]
        return ModelCall(call.model, rows, requests, self._classifiers[call.model], self._clock)


def model_failures(batch: MicroBatch) -> tuple[int, Counter[str]]:
    """Texts that the models had to answer, and their failures by reason. Most messages have one text.

    Refusals of invalid messages and messages of revoked partitions do not count.
    """
    answers = [
        answer
        for item, answer in zip(batch.items, batch.outcomes, strict=True)
        if item.message is not None and not item.progress.revoked
    ]
    if batch.text_rows:
        answers = [text for answer in answers for text in texts_of(answer) if not isinstance(text, Rejection)]
    refused = Counter(answer.fault for answer in answers if isinstance(answer, RecordError))
    failed = Counter({fault.value: count for fault, count in refused.items() if fault in MODEL_FAULTS})
    return len(answers) - refused.total() + failed.total(), failed
