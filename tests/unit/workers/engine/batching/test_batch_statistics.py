"""Batches add up to calls, sequences, tokens and seconds."""

from labelstream.workers.engine.batching.batch_statistics import BatchStatistics


def test_batches_add_up() -> None:
    statistics = BatchStatistics()
    statistics.count([0.5, 0.25], 3, 40, 0.125, failed=False)
    statistics.count([0.5], 1, 20, 0.5, failed=True)
    counts = statistics.counts()
    histograms = counts.pop("histograms")
    assert counts == {"calls": 3, "batches": 2, "sequences": 4, "tokens": 60, "failed_batches": 1, "busy_s": 0.625}
    assert {name: (sum(found["counts"]), found["sum"]) for name, found in histograms.items()} == {
        "queue_wait_s": (3, 1.25),
        "forward_s": (2, 0.625),
        "batch_tokens": (2, 60),
    }
