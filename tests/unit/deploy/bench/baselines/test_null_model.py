"""A null model with answers of the right shape."""

import numpy as np

from labelstream.deploy.bench.baselines.null_model import NullPredictor
from labelstream.workers.engine.ragged import RaggedSequences
from tests.support.fake_handle import description


def test_null_model_answers_in_shape_of_real_model() -> None:
    packed = RaggedSequences(np.zeros(5, np.int32), np.array([2, 3], np.int32))
    scored = NullPredictor(description(labels=("a", "b", "c"))).predict(packed, 2)
    assert scored.label_ids is not None
    assert scored.label_ids.tolist() == [[0, 1], [0, 1]]
    assert scored.scores.shape == (2, 2)
    assert not scored.errors
