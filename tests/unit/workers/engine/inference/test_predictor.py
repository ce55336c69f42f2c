"""Batches, order, and the rows at fault when the model raises, on backends that fail on purpose."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.classifier import Fault, RecordError
from labelstream.workers.engine.inference.batch_layout import PaddedBatch
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.errors import InferenceError
from tests.support.fake_backend import DESCRIPTION, NAN, POISON, VOCAB, FakeBackend, Shifted, pack


def failed(message: str, attempts: int = 1) -> RecordError:
    return RecordError(Fault.INFERENCE_FAILED, message, attempts)


def on_poison(batch: PaddedBatch) -> Exception | None:
    return ValueError("poison\nsecond line") if (batch.ids == POISON).any() else None


@given(
    lengths=st.lists(st.integers(1, 64), min_size=1, max_size=50), budget=st.integers(1, 300), top_k=st.integers(1, 9)
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_answers_are_in_the_order_of_the_input(lengths: list[int], budget: int, top_k: int) -> None:
    packed = pack([200 + i] * n for i, n in enumerate(lengths))
    scored = Predictor(DESCRIPTION, FakeBackend(), budget).predict(packed, top_k)
    assert scored.label_ids is not None
    assert scored.label_ids.shape == scored.scores.shape == (len(lengths), min(top_k, 5))
    assert scored.label_ids.dtype == np.int32
    assert scored.scores.dtype == np.float32
    assert scored.scores[:, 0].tolist() == [200 + i for i in range(len(lengths))]
    assert scored.errors == {}
    if top_k > 1:
        assert scored.scores[:, 1].tolist() == lengths


@given(poisoned=st.sets(st.integers(0, 39), max_size=5), budget=st.sampled_from([8, 64, 1024]))
@settings(deadline=None, derandomize=True, max_examples=30)
def test_bisecting_leaves_only_the_poisoned_rows(poisoned: set[int], budget: int) -> None:
    packed = pack([POISON if i in poisoned else 200 + i, 5] for i in range(40))
    scored = Predictor(DESCRIPTION, FakeBackend(on_poison), budget).predict(packed, 1)
    assert {row: error._replace(attempts=1) for row, error in scored.errors.items()} == dict.fromkeys(
        poisoned, failed("ValueError: poison")
    )
    for i in range(40):
        assert np.isnan(scored.scores[i, 0]) if i in poisoned else scored.scores[i, 0] == 200 + i


def test_lone_poisoned_row_fails_if_the_good_row_passes() -> None:
    scored = Predictor(DESCRIPTION, FakeBackend(on_poison)).predict(pack([[POISON]]), 1)
    assert scored.errors == {0: failed("ValueError: poison")}


def test_overlapping_calls_keep_their_answers() -> None:
    backend = FakeBackend()
    predictor = Predictor(DESCRIPTION, backend, 64)
    first = predictor.begin(pack([[200], [201] * 3]), 1)
    second = predictor.begin(pack([[202, 5], [NAN]]), 2)
    assert backend.shapes == [(2, 3), (2, 2)]  # the device got all batches
    assert first().scores[:, 0].tolist() == [200, 201]
    scored = second()
    assert scored.scores[0].tolist() == [202, 2]
    assert scored.errors == {1: failed("the model's logits are not finite")}


class Device(FakeBackend):
    """Numbers its work. A mark waits only for work that began before the mark."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.waited_for = 0, []

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        self.begun += 1
        return super().logits(batch)

    def mark(self) -> Callable[[], None]:
        return partial(self.waited_for.append, self.begun)


def test_answers_do_not_wait_for_the_next_call() -> None:
    device = Device()
    predictor = Predictor(DESCRIPTION, device, 4)
    first = predictor.begin(pack([[200], [201], [202] * 4]), 1)  # two forwards
    second = predictor.begin(pack([[203]]), 1)
    assert (device.begun, device.waited_for) == (3, [])  # beginning a call waits for nothing
    assert first().scores[:, 0].tolist() == [200, 201, 202]
    assert device.waited_for == [2]  # the first call's own two, though three are under way
    assert second().scores[:, 0].tolist() == [203]
    assert device.waited_for == [2, 3]


def test_late_device_error_is_an_inference_error() -> None:
    class Broken(FakeBackend):
        def mark(self) -> Callable[[], None]:
            def wait() -> None:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

            return wait

    answers = Predictor(DESCRIPTION, Broken(), 64).begin(pack([[200]]), 1)
    with pytest.raises(InferenceError, match="answers were lost: RuntimeError: CUDA error: an illegal memory"):
        answers()


def test_attempts_count_forwards_of_the_row() -> None:
    backend = FakeBackend(on_poison)
    packed = pack([POISON if i == 6 else 200 + i] for i in range(8))
    scored = Predictor(DESCRIPTION, backend, 1024).predict(packed, 1)
    assert [shape[0] for shape in backend.shapes if shape[0] > 1] == [8, 4, 4, 2, 2]  # single rows are probes
    assert scored.errors == {6: failed("ValueError: poison", attempts=4)}
    assert type(scored.errors[6].attempts) is int  # not numpy, whose pickles are large


@pytest.mark.parametrize("count", [1, 7])
def test_model_that_always_fails_is_an_inference_error(count: int) -> None:
    predictor = Predictor(DESCRIPTION, FakeBackend(lambda batch: RuntimeError("CUDA error: device-side assert")))
    with pytest.raises(InferenceError, match="fails on any text: RuntimeError: CUDA error"):
        predictor.predict(pack([[1, 2]] * count), 1)
    with pytest.raises(InferenceError):
        predictor.probe()


def test_logits_that_are_not_finite_are_an_error() -> None:
    scored = Predictor(DESCRIPTION, FakeBackend()).predict(pack([[200], [NAN], [202]]), 2)
    assert scored.errors == {1: failed("the model's logits are not finite")}
    assert np.isnan(scored.scores[1]).all()
    assert scored.scores[:, 0].tolist()[::2] == [200, 202]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: x"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    ],
)
def test_out_of_memory_halves_the_batch_and_stays_smaller(error: Exception) -> None:
    backend = FakeBackend(lambda batch: error if batch.ids.size > 100 else None)
    predictor = Predictor(DESCRIPTION, backend, 640)
    packed = pack([200 + i] * 10 for i in range(64))
    scored = predictor.predict(packed, 1)
    assert scored.errors == {}
    assert scored.scores[:, 0].tolist() == [200 + i for i in range(64)]
    assert backend.freed >= 1
    assert predictor.max_batch_tokens == 80
    backend.shapes.clear()
    predictor.predict(packed, 1)
    assert set(backend.shapes) == {(8, 10)}


def test_single_row_out_of_memory_is_a_record_error() -> None:
    backend = FakeBackend(lambda batch: torch.OutOfMemoryError("x") if batch.ids.shape[1] > 30 else None)
    scored = Predictor(DESCRIPTION, backend, 256).predict(pack([[200], [201] * 40, [202]]), 1)
    assert list(scored.errors) == [1]
    assert scored.errors[1].message.startswith("OutOfMemoryError")


@pytest.mark.parametrize("bad", [[VOCAB], [-1], [5] * 65])
def test_ids_of_another_tokenizer_never_reach_the_device(bad: list[int]) -> None:
    backend = FakeBackend(lambda batch: AssertionError() if batch.ids.max() >= VOCAB or batch.ids.min() < 0 else None)
    scored = Predictor(DESCRIPTION, backend).predict(pack([[200, 1], bad, [202]]), 1)
    assert list(scored.errors) == [1]
    assert "another tokenizer" in scored.errors[1].message
    assert scored.scores[:, 0].tolist()[::2] == [200, 202]


@pytest.mark.parametrize("size", [1, 2, 3, None])
def test_type_ids_outside_of_the_table_never_reach_the_device(size: int | None) -> None:
    backend = FakeBackend(
        lambda batch: None if batch.type_ids is None or batch.type_ids.max() < (size or 256) else AssertionError()
    )
    backend.type_vocab_size = size
    packed = pack([[200], [201, 1, 1], [202, 2], [203, 4], [VOCAB, 3]])._replace(
        type_ids=np.array([0, 0, 1, 0, 2, 0, 0, 0, 0, 3], np.uint8)
    )
    scored = Predictor(DESCRIPTION, backend).predict(packed, 1)
    refused = [row for row, largest in ((1, 1), (2, 2)) if size is not None and largest >= size]
    assert sorted(scored.errors) == [*refused, 4]
    assert "another tokenizer" in scored.errors[4].message
    for row in refused:
        assert f"type_vocab_size in config.json is {size}" in scored.errors[row].message
    for row in {0, 1, 2, 3} - set(refused):
        assert scored.scores[row, 0] == 200 + row


def test_lengths_that_do_not_fill_the_ids_are_refused() -> None:
    for packed in (RaggedSequences(np.zeros(3, np.int32), np.array([2], np.int32)), pack([[1], []])):
        with pytest.raises(InferenceError, match="do not fill"):
            Predictor(DESCRIPTION, FakeBackend()).predict(packed, 1)


def test_answers_of_another_length_are_refused() -> None:
    with pytest.raises(InferenceError, match="shape"):
        Predictor(DESCRIPTION, Shifted()).predict(pack([[1], [2]]), 1)


def test_other_call_runs_after_each_forward() -> None:
    predictor = Predictor(DESCRIPTION, FakeBackend(), 64)
    tokens: list[int] = []
    others: list[float] = []

    def after_forward(count: int, mark: Callable[[], Callable[[], None]]) -> None:
        mark()()
        tokens.append(count)
        others.extend(predictor.predict(pack([[300 + len(tokens)]]), 1).scores[:, 0].tolist())

    scored = predictor.begin(pack([200 + i] * 40 for i in range(3)), 1, after_forward)()
    assert scored.scores[:, 0].tolist() == [200, 201, 202]
    assert (tokens, others) == ([40, 40, 40], [301, 302, 303])
