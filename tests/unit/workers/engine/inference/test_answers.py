"""Answers wait for their own work, and an error of the device or of a row is an error of the answers."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from labelstream.workers.engine.inference.forward_layout import PaddedBatch
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.errors import InferenceError
from tests.support.fake_backend import DESCRIPTION, NAN, FakeBackend, failed, pack


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


def test_logits_that_are_not_finite_are_an_error() -> None:
    scored = Predictor(DESCRIPTION, FakeBackend()).predict(pack([[200], [NAN], [202]]), 2)
    assert scored.errors == {1: failed("the model's logits are not finite")}
    assert np.isnan(scored.scores[1]).all()
    assert scored.scores[:, 0].tolist()[::2] == [200, 202]
