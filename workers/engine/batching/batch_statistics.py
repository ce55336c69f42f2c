"""Counts the batches that ran."""

import threading
from typing import Any

from labelstream.workers.histogram import Histogram

TOKENS = tuple(4.0**power for power in range(2, 11))  # 16 to a million


class BatchStatistics:
    """Totals since the start. Thread-safe."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._counts = {"calls": 0, "batches": 0, "sequences": 0, "tokens": 0, "failed_batches": 0}
        self._busy_s = 0.0
        self._histograms = {"queue_wait_s": Histogram(), "forward_s": Histogram(), "batch_tokens": Histogram(TOKENS)}

    def count(self, waited_s: list[float], sequences: int, tokens: int, taken_s: float, failed: bool) -> None:
        """Add a batch. `waited_s`: of each call, until the device came to the batch. `taken_s`: the device's time."""
        with self._counting:
            counts, histograms = self._counts, self._histograms
            counts["calls"] += len(waited_s)
            counts["batches"] += 1
            counts["sequences"] += sequences
            counts["tokens"] += tokens
            counts["failed_batches"] += failed
            self._busy_s += taken_s
            histograms["queue_wait_s"].observe(waited_s)
            histograms["forward_s"].observe(taken_s)
            histograms["batch_tokens"].observe(tokens)

    def counts(self) -> dict[str, Any]:
        """See `DynamicBatcher.counts`."""
        with self._counting:
            return {
                **self._counts,
                "busy_s": round(self._busy_s, 6),
                "histograms": {name: histogram.buckets() for name, histogram in self._histograms.items()},
            }
