"""The bootstrap: seeded, in blocks of bounded size, with percentile intervals."""

import numpy as np
import pytest

from labelstream.workers.evaluation.metrics import bootstrap


def test_counts_of_each_resample_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_DRAWN", 25)
    blocks = list(bootstrap.counts(10, 7, seed=1))
    assert [block.shape for block in blocks] == [(2, 10), (2, 10), (2, 10), (1, 10)]
    assert all((block.sum(1) == 10).all() for block in blocks)
    again = np.concatenate(list(bootstrap.counts(10, 7, seed=1)))
    assert (np.concatenate(blocks) == again).all()
    assert (np.concatenate(list(bootstrap.counts(10, 7, seed=2))) != again).any()


def test_means_are_those_of_the_counts() -> None:
    values = np.arange(10.0)
    (counts,) = bootstrap.counts(10, 30, seed=4)
    assert bootstrap.means(values, 30, seed=4) == pytest.approx(counts @ values / 10)


def test_cells_keep_the_number_of_texts() -> None:
    found = bootstrap.cells(np.array([5, 0, 15]), 100, seed=0)
    assert found.shape == (100, 3)
    assert (found.sum(1) == 20).all()
    assert (found[:, 1] == 0).all()


def test_interval_leaves_out_undefined_resamples() -> None:
    values = np.append(np.arange(101.0), np.nan)
    assert bootstrap.intervals({"m": values, "none": np.full(3, np.nan)}) == {"m": (2.5, 97.5)}


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        sample = rng.normal(size=80)
        (low, high) = bootstrap.intervals({"m": bootstrap.means(sample, 400, seed)})["m"]
        hits += low <= 0 <= high
    assert 178 <= hits <= 199
