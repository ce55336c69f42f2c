"""The batches of the pipeline, and their padding."""

import numpy as np
import pytest

from labelstream.deploy.bench.baselines.transformers_pipeline import Batches, padding_waste


def test_padding_depends_on_order_of_arrival() -> None:
    assert padding_waste(np.array([1, 3, 2, 2, 4]), 2) == pytest.approx(1 - 12 / (6 + 4 + 4))
    assert padding_waste(np.array([1, 3]), 1) == 0


def test_sorted_batches_are_padded_less() -> None:
    lengths = np.array([1, 3, 2, 2, 4])
    assert padding_waste(lengths, 2, by_length=True) == pytest.approx(1 - 12 / (4 + 6 + 4))


def test_batches_have_a_readable_name() -> None:
    assert [str(batches) for batches in (Batches(8), Batches(8, by_length=True))] == ["8 texts", "8 by length"]
    assert Batches(8).ordered(["bbb", "a"]) == ["bbb", "a"]
    assert Batches(8, by_length=True).ordered(["bbb", "a"]) == ["a", "bbb"]
