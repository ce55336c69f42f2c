"""Sequences that do not fit the model never reach the device."""

import numpy as np
import pytest

from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.errors import InferenceError
from tests.support.fake_backend import DESCRIPTION, VOCAB, FakeBackend, pack


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
