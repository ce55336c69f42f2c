"""The share of requests that two backends give the same labels."""

from dataclasses import replace

import pytest
import torch

from labelstream.workers.classifier import Request
from labelstream.workers.engine.backends.openvino.label_agreement import agreement
from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.inference.forward_layout import PaddedBatch
from tests.support.fake_backend import DESCRIPTION, FakeBackend

SOFTMAX = replace(DESCRIPTION, activation=Activation.SOFTMAX)
REQUESTS = [Request(text) for text in ("good", "bad bad", "not so bad at all", "good good good")]


class Other(FakeBackend):
    """Another best label for texts of more than `longest` tokens."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.longest = longest

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        logits = super().logits(batch)
        logits[torch.from_numpy(batch.lengths > self.longest), 4] = 1e6
        return logits


@pytest.mark.parametrize(("longest", "share"), [(64, 1.0), (4, 0.5), (2, 0.0)])
def test_agreement_is_the_share_of_the_same_labels(longest: int, share: float) -> None:
    assert agreement(SOFTMAX, FakeBackend(), Other(longest), REQUESTS) == share


def test_agreement_compares_all_accepted_labels() -> None:
    several = replace(DESCRIPTION, activation=Activation.SIGMOID, threshold=0.6)
    assert agreement(several, FakeBackend(), Other(64), REQUESTS) == 1.0
    assert agreement(several, FakeBackend(), Other(2), REQUESTS) == 0.0


def test_agreement_without_answers_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of the texts can be answered"):
        agreement(SOFTMAX, FakeBackend(), FakeBackend(), [Request("good", candidate_labels=("a",))])
