"""A model that takes no time, with answers of the right shape."""

import numpy as np

from labelstream.deploy.bench.baselines.null_model import NullPredictor
from labelstream.workers.engine.ragged import RaggedSequences
from tests.support.fake_handle import description


def test_a_model_that_takes_no_time_answers_as_the_real_one_would() -> None:
    packed = RaggedSequences(np.zeros(5, np.int32), np.array([2, 3], np.int32))
    scored = NullPredictor(description(labels=("a", "b", "c"))).predict(packed, 2)
    assert scored.label_ids is not None
    assert scored.label_ids.tolist() == [[0, 1], [0, 1]]
    assert scored.scores.shape == (2, 2)
    assert not scored.errors
