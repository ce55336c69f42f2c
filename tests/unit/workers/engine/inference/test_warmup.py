"""The warm-up runs a full batch and measures its speed."""

import pytest

from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.inference.warmup import measure, warm_up
from labelstream.workers.errors import InferenceError
from tests.support.fake_backend import DESCRIPTION, FakeBackend


def test_warming_up_runs_the_longest_sequence_and_a_full_batch() -> None:
    backend = FakeBackend()
    warm_up(Predictor(DESCRIPTION, backend, 512))
    assert max(width for _, width in backend.shapes) == 64
    assert max(count * width for count, width in backend.shapes) > 256


def test_measure_runs_one_full_forward_of_short_texts() -> None:
    backend = FakeBackend()
    assert measure(Predictor(DESCRIPTION, backend, 330)) > 0
    [(count, width)] = backend.shapes
    assert count * width <= 330 < (count + 1) * (width + 1)


def test_measure_of_a_model_that_fails_raises() -> None:
    predictor = Predictor(DESCRIPTION, FakeBackend(lambda batch: RuntimeError("no device")))
    with pytest.raises(InferenceError, match="no device"):
        measure(predictor)
