"""How texts are batched for the pipeline, and how much of a padded batch is padding."""

import numpy as np
import pytest

from labelstream.deploy.bench.baselines.transformers_pipeline import Batches, padding_waste


def test_padding_is_what_the_order_of_arrival_makes_of_it() -> None:
    assert padding_waste(np.array([1, 3, 2, 2, 4]), 2) == pytest.approx(1 - 12 / (6 + 4 + 4))
    assert padding_waste(np.array([1, 3]), 1) == 0


def test_sorted_batches_are_padded_less() -> None:
    lengths = np.array([1, 3, 2, 2, 4])
    assert padding_waste(lengths, 2, by_length=True) == pytest.approx(1 - 12 / (4 + 6 + 4))


def test_batches_say_what_they_are_made_of() -> None:
    assert [str(batches) for batches in (Batches(8), Batches(8, by_length=True))] == ["8 texts", "8 by length"]
    assert Batches(8).ordered(["bbb", "a"]) == ["bbb", "a"]
    assert Batches(8, by_length=True).ordered(["bbb", "a"]) == ["a", "bbb"]
