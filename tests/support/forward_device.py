"""A device that runs forward by forward on a fake clock, and an executor whose jobs the test runs."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import numpy as np

from labelstream.workers.engine.batching.batch import AfterForward
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError
from tests.support.clock import Clock
from tests.support.fake_handle import by_length

FAILS, RAISES = 13, 14  # lengths of sequences
SECONDS_PER_TOKEN = 0.001


class Jobs(Executor):
    """Keeps jobs until `run`."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], Any]] = deque()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self._jobs.append(lambda: fn(*args, **kwargs))
        return Future()

    def run(self) -> None:
        while self._jobs:
            self._jobs.popleft()()


class ForwardDevice:
    """Runs sequences in forwards of up to `forward_tokens`, one after the other, `SECONDS_PER_TOKEN` each.

    - `forwards`: the lengths of each forward.
    - `during`: called with the number of a forward while this forward runs: calls arrive then.
    - `overlaps`: forwards end only when the batcher waits for them; `ahead` has how many had not ended when the next
      began.
    """

    def __init__(self, clock: Clock, forward_tokens: int, overlaps: bool = False) -> None:
        self.clock, self.overlaps = clock, overlaps
        self.forwards: list[list[int]] = []
        self.ahead: list[int] = []
        self.during: Callable[[int], None] = lambda number: None
        self._forward_tokens = forward_tokens
        self._ended = 0

    def begin(self, packed: RaggedSequences, top_k: int, after_forward: AfterForward) -> Callable[[], ScoredSequences]:
        lengths = packed.lengths.tolist()
        if RAISES in lengths:
            raise KeyError("a bug")
        for forward in self._cut(lengths):
            self._run(forward)
            after_forward(sum(forward), self.mark)
        wait = self.mark()

        def answers() -> ScoredSequences:
            wait()
            if FAILS in lengths:
                raise InferenceError("unlucky")
            return by_length(packed, top_k, "")

        return answers

    def mark(self) -> Callable[[], None]:
        until = len(self.forwards)

        def wait() -> None:
            for forward in self.forwards[self._ended : until]:
                self._end(forward)

        return wait

    def _run(self, forward: list[int]) -> None:
        self.ahead.append(len(self.forwards) - self._ended)
        self.forwards.append(forward)
        if not self.overlaps:
            self._end(forward)
        self.during(len(self.forwards))

    def _end(self, forward: list[int]) -> None:
        self.clock.now += sum(forward) * SECONDS_PER_TOKEN
        self._ended += 1

    def _cut(self, lengths: Sequence[int]) -> list[list[int]]:
        cut: list[list[int]] = [[]]
        for length in lengths:
            if cut[-1] and sum(cut[-1]) + length > self._forward_tokens:
                cut.append([])
            cut[-1].append(length)
        return cut


def packed(*lengths: int) -> RaggedSequences:
    return RaggedSequences(np.zeros(sum(lengths), np.int32), np.array(lengths, np.int32))


def labels_of(answer: ScoredSequences) -> list[list[int]]:
    assert answer.label_ids is not None
    return answer.label_ids.tolist()
