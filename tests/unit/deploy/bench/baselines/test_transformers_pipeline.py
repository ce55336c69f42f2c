"""How much of a padded batch is padding."""

import numpy as np
import pytest

from labelstream.deploy.bench.baselines.transformers_pipeline import padding_waste


def test_padding_is_what_the_order_of_arrival_makes_of_it() -> None:
    assert padding_waste(np.array([1, 3, 2, 2, 4]), 2) == pytest.approx(1 - 12 / (6 + 4 + 4))
    assert padding_waste(np.array([1, 3]), 1) == 0
