"""A part is asked for as it was cut while nothing fails; after a failure the isolation divides it."""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labelstream.deploy.model_client.call_state import CallState, Part, Rows, rows_of
from labelstream.deploy.model_client.deadlines import Deadlines, SentPart
from labelstream.deploy.model_client.failed_attempts import Suspicion
from labelstream.deploy.model_client.part_sender import PartSender
from labelstream.deploy.model_client.retries import retrying
from labelstream.deploy.model_client.serve_client import ServeClient
from labelstream.workers.classifier import Fault, RecordError
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences
from tests.support.fake_handle import FakeHandle, by_length, hanging, raising

REFUSED = RecordError(Fault.CRASHES_MODEL, "a test refuses it")
NO_ISOLATION = SimpleNamespace(suspects={})  # no method of it may be called


class Isolation:
    """Refuses row 0, runs row 1 apart and asks for the others together."""

    def __init__(self, suspects: Mapping[bytes, Suspicion]) -> None:
        self.suspects = suspects
        self.failures: list[tuple[list[int], str]] = []
        self.apart: list[list[int]] = []
        self.passed_rows: list[list[int]] = []
        self.late_rows: list[list[int]] = []

    def divide(self, work: CallState, left: Rows) -> tuple[Rows, list[Rows]]:
        if 0 in left:
            work.refuse(0, REFUSED)
        return left[left > 1], [rows_of([1])] if 1 in left else []

    async def run_apart(self, work: CallState, _: SentPart, group: Part) -> None:
        self.apart.append(group.rows.tolist())
        work.put(group.rows, by_length(group.packed, work.top_k, work.revision))

    def failed(self, _: CallState, part: Part, error: Exception) -> None:
        self.failures.append((part.rows.tolist(), type(error).__name__))

    def passed(self, _: CallState, part: Part, scored: ScoredSequences) -> None:
        assert len(scored.scores) == len(part.rows)
        self.passed_rows.append(part.rows.tolist())

    async def late(self, _: CallState, sent: SentPart) -> None:
        assert sent.asked is not None
        self.late_rows.append(sent.asked.rows.tolist())


@pytest.fixture
def work() -> CallState:
    lengths = np.array([1, 2, 3, 4], np.int32)
    return CallState(RaggedSequences(np.arange(10, dtype=np.int32), lengths), 2, "one", ranked=True)


def send(handle: FakeHandle, isolation: Any, work: CallState, call_timeout_s: float = 10.0) -> None:
    async def noted(_: str) -> float | None:
        raise AssertionError("nothing runs apart")

    async def scene() -> None:
        deadlines = Deadlines(asyncio.get_running_loop(), call_timeout_s, noted)
        sender = PartSender(ServeClient("m", handle), retrying("m"), deadlines, isolation)
        for part in work.parts(deadlines.part_tokens):
            await sender.send(work, part)

    asyncio.run(scene())


def asked_lengths(handle: FakeHandle) -> list[list[int]]:
    return [packed.lengths.tolist() for packed, _, _ in handle.calls]


def test_healthy_part_is_asked_once_without_the_isolation(work: CallState) -> None:
    handle = FakeHandle()
    send(handle, NO_ISOLATION, work)
    assert asked_lengths(handle) == [[1, 2, 3, 4]]
    assert handle.calls[0][0] is work.packed
    assert work.answer().label_ids[:, 0].tolist() == [1, 0, 1, 0]  # type: ignore[index]


@pytest.mark.usefixtures("fast")
def test_failed_part_is_divided_although_nobody_is_a_suspect(work: CallState) -> None:
    handle, isolation = FakeHandle(raising(ConnectionResetError()), by_length), Isolation({})
    send(handle, isolation, work)
    assert isolation.failures == [([0, 1, 2, 3], "ConnectionResetError")]
    assert (asked_lengths(handle), isolation.apart) == ([[1, 2, 3, 4], [3, 4]], [[1]])
    assert work.answer().errors == {0: REFUSED}
    assert isolation.passed_rows == []


def test_part_is_divided_while_there_are_suspects(work: CallState) -> None:
    handle, isolation = FakeHandle(), Isolation({b"": Suspicion(1)})
    send(handle, isolation, work)
    assert (asked_lengths(handle), isolation.apart) == ([[3, 4]], [[1]])
    assert isolation.passed_rows == [[2, 3]]
    assert work.answer().errors == {0: REFUSED}


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("apart_first", [True, False])
def test_retry_asks_only_for_what_has_no_answer(work: CallState, apart_first: bool) -> None:
    if apart_first:
        work.put(rows_of([1]), ScoredSequences(np.zeros((1, 2), np.int32), np.zeros((1, 2), np.float32), {}))
    handle, isolation = FakeHandle(raising(ConnectionResetError()), by_length), Isolation({})
    send(handle, isolation, work)
    assert asked_lengths(handle) == [[1, 3, 4] if apart_first else [1, 2, 3, 4], [3, 4]]
    assert isolation.apart == ([] if apart_first else [[1]])


@pytest.mark.parametrize("error", [TypeError("a bug"), ValueError("a bug")])
def test_failure_that_stays_is_raised_after_one_try(work: CallState, error: Exception) -> None:
    handle, isolation = FakeHandle(raising(error)), Isolation({})
    with pytest.raises(type(error), match="a bug"):
        send(handle, isolation, work)
    assert len(handle.calls) == len(isolation.failures) == 1


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("answer", [hanging, raising(ConnectionResetError())], ids=["silence", "failures"])
def test_isolation_hears_of_a_late_part(work: CallState, answer: Callable[..., Any]) -> None:
    isolation = Isolation({})
    with pytest.raises(TimeoutError):
        send(FakeHandle(answer), isolation, work, call_timeout_s=0.1)
    assert isolation.late_rows == [[0, 1, 2, 3] if answer is hanging else [2, 3]]
