"""The rows at fault when the model raises, on backends that fail on purpose."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.inference.forward_layout import PaddedBatch
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.errors import InferenceError
from tests.support.fake_backend import DESCRIPTION, POISON, FakeBackend, Shifted, failed, pack


def on_poison(batch: PaddedBatch) -> Exception | None:
    return ValueError("poison\nsecond line") if (batch.ids == POISON).any() else None


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


def test_answers_of_another_length_are_refused() -> None:
    with pytest.raises(InferenceError, match="shape"):
        Predictor(DESCRIPTION, Shifted()).predict(pack([[1], [2]]), 1)
