"""A batch's calls get their own answers, also after a failure of all together."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from labelstream.workers.engine.batching.batch import Batch
from labelstream.workers.engine.batching.lanes import Call
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from labelstream.workers.errors import InferenceError
from tests.support.fake_handle import by_length
from tests.support.forward_device import labels_of, packed


class Device:
    """Answers by length. Fails at once on a sequence of 13 tokens, and late on one of 14."""

    def __init__(self) -> None:
        self.begun: list[list[int]] = []

    def begin(self, given: RaggedSequences, top_k: int, after_forward: object) -> Callable[[], ScoredSequences]:
        self.begun.append(given.lengths.tolist())
        if 13 in given.lengths:
            raise InferenceError("at once")

        def answers() -> ScoredSequences:
            if 14 in given.lengths:
                raise KeyError("late")
            return by_length(given, top_k, "")

        return answers


def call(*lengths: int, top_k: int = 1, around: AbstractContextManager[None] | None = None) -> Call:
    return Call(packed(*lengths), top_k, 0.0, Future(), around=around)


def run(device: Device, *calls: Call) -> list[Any]:
    batch = Batch(list(calls), device.begin, 0.0)
    batch.begin()
    return [str(answer) if isinstance(answer, Exception) else labels_of(answer) for answer in batch.answers()]


def test_calls_run_together_and_get_their_own_answers() -> None:
    device = Device()
    assert run(device, call(2, 3), call(4, top_k=2)) == [[[0], [1]], [[0, 1]]]
    assert device.begun == [[2, 3, 4]]
    batch = Batch([call(2, 3), call(4)], device.begin, 7.0)
    assert (batch.sequences, batch.tokens, batch.started, batch.interrupted_s) == (3, 9, 7.0, 0.0)


def test_calls_run_alone_after_a_failure_of_all() -> None:
    device = Device()
    assert run(device, call(2), call(13), call(14), call(5)) == [[[0]], "at once", "BUG: KeyError('late')", [[1]]]
    assert device.begun == [[2, 13, 14, 5], [2], [13], [14], [5]]


def test_call_with_a_context_runs_to_its_end_inside_of_it() -> None:
    device = Device()
    seen: list[list[list[int]]] = []

    @contextmanager
    def around(fails_at: int | None = None) -> Iterator[None]:
        for step in range(2):
            seen.append(device.begun[:])
            if step == fails_at:
                raise InferenceError("the context fails")
            if step == 0:
                yield

    assert run(device, call(3, around=around())) == [[[1]]]
    assert seen == [[], [[3]]]
    assert run(device, call(14, around=around())) == ["BUG: KeyError('late')"]
    assert run(device, call(3, around=around(0))) == ["the context fails"]
    assert device.begun == [[3], [14]]
    assert run(device, call(3, around=around(1))) == ["the context fails"]
