"""A call knows where its sequences start, and how often a refused row was run."""

from dataclasses import replace

import numpy as np
import pytest

from labelstream.workers.engine.inference.predict_call import PredictCall, Rows
from tests.support.fake_backend import DESCRIPTION, failed, pack

SEQUENCES = pack([[5, 6, 7], [8], [9, 10]])


def test_rows_have_the_start_of_each_sequence() -> None:
    rows = Rows(SEQUENCES)
    assert rows.starts.tolist() == [0, 3, 4]
    assert rows.any_in(SEQUENCES.ids == 10).tolist() == [False, False, True]


def test_refused_row_tells_its_forwards() -> None:
    call = PredictCall(SEQUENCES, 2, DESCRIPTION)
    call.refuse(0, "too long")
    call.forwards[np.array([1, 2])] += 3
    call.refuse(2, "no answer")
    assert call.errors == {0: failed("too long"), 2: failed("no answer", attempts=3)}


@pytest.mark.parametrize(("top_k", "ranked", "width"), [(2, True, 2), (9, True, 5), (2, False, 5)])
def test_width_is_the_number_of_scores_of_a_row(top_k: int, ranked: bool, width: int) -> None:
    assert PredictCall(SEQUENCES, top_k, replace(DESCRIPTION, ranked=ranked)).width == width
