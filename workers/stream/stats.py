"""What a pipeline's worker counts: plain numbers, cheap to keep, safe to read from any thread."""

import threading
from collections import Counter, deque
from typing import Any

LATENCY_SAMPLES = 2_000


class Stats:
    """Counters since the worker's start. One lock, taken once per micro-batch and not once per message."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._dead_letters: Counter[str] = Counter()
        self._latencies_ms: deque[float] = deque(maxlen=LATENCY_SAMPLES)

    def add(self, **counts: int) -> None:
        with self._lock:
            self._counts.update(counts)

    def sent(
        self, results: int, dead_letters: Counter[str], skipped: int, abstained: int, latencies_ms: list[float]
    ) -> None:
        """One micro-batch has gone out; latencies are from the record's Kafka timestamp to the send."""
        with self._lock:
            self._counts.update(results_out=results, skipped=skipped, abstained=abstained)
            self._dead_letters.update(dead_letters)
            self._latencies_ms.extend(latencies_ms)

    def delivered(self) -> int:
        """Results and dead letters that have gone out."""
        with self._lock:
            return self._counts["results_out"] + self._dead_letters.total()

    def snapshot(self) -> dict[str, Any]:
        """Plain data: numbers by name, `dead_letters` by reason, `latency_ms` p50 and p99 of the last messages."""
        with self._lock:
            counts, dead = dict(self._counts), dict(self._dead_letters)
            latencies = sorted(self._latencies_ms)
        names = ("messages_in", "results_out", "skipped", "abstained", "unknown_fields", "retries", "restarts",
                 "transactions", "transactions_aborted", "alarms_raised", "offset_jumps")
        at = lambda share: round(latencies[int(share * (len(latencies) - 1))], 1)  # noqa: E731
        return {
            **{name: counts.get(name, 0) for name in names},
            "dead_letters": dead,
            "latency_ms": {"p50": at(0.5), "p99": at(0.99)} if latencies else {},
        }
