"""Batches and order, on a backend that records its batches."""

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.inference.predictor import Predictor
from tests.support.fake_backend import DESCRIPTION, NAN, FakeBackend, Unpadded, failed, pack


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


def test_batches_without_padding_are_in_the_order_of_the_input() -> None:
    backend = Unpadded()
    scored = Predictor(DESCRIPTION, backend, 4).predict(pack([[5, 6], [8], [9, 10, 11]]), 1)
    assert backend.shapes == [(2, 1), (3,)]
    assert scored.scores[:, 0].tolist() == [2, 1, 3]
