"""What a pipeline's worker counts: plain numbers, cheap to keep, safe to read from any thread."""

import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from labelstream.workers.histogram import Histogram
from labelstream.workers.stream.report import Histograms, PartitionCounts, Percentiles, StreamCounts

LATENCY_SAMPLES = 2_000
MAX_LABELS = 200  # of one model: each is a time series
ABSTAINED, OTHER = "(abstained)", "(other)"


class Stages(NamedTuple):
    """Where a micro-batch's time goes, in seconds that add up to all of its way.

    `decode`: from the end of the poll until the last call is submitted, tokenizing included; `classify`: until the last
    answer; `wait`: for its turn in the order of sending, for a transaction or the breaker; `produce`: until the brokers
    have acknowledged everything, or committed it.
    """

    decode: float
    classify: float
    wait: float
    produce: float


@dataclass(slots=True)
class Tally:
    """What a micro-batch became, by input partition; `dead_letters` by reason too; `labels`: by model and first label.

    `latencies_ms`: from each record's Kafka timestamp to now. `retimed`: results without their input's timestamp.
    """

    results: Counter[int] = field(default_factory=Counter)
    dead_letters: Counter[tuple[int, str]] = field(default_factory=Counter)
    skipped: Counter[int] = field(default_factory=Counter)
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    abstained: int = 0
    retimed: int = 0
    latencies_ms: list[float] = field(default_factory=list)


class Stats:
    """Counters since the worker's start. One lock, taken once per micro-batch and not once per message."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._received: Counter[int] = Counter()
        self._retries: Counter[str] = Counter()
        self._sent = Tally()
        self._latencies_ms: deque[float] = deque(maxlen=LATENCY_SAMPLES)
        self._latency_s, self._took = Histogram(), {"commit_s": Histogram(), "transaction_s": Histogram()}
        self._stages = {name: Histogram() for name in Stages._fields}

    def add(self, **counts: int) -> None:
        with self._lock:
            self._counts.update(counts)

    def received(self, by_partition: Counter[int], unknown_fields: int) -> None:
        """One poll's records have come in."""
        with self._lock:
            self._received.update(by_partition)
            self._counts["unknown_fields"] += unknown_fields

    def retried(self, model: str) -> None:
        """A call to `model` got no answer and is made again."""
        with self._lock:
            self._retries[model] += 1

    def sent(self, tally: Tally, stages: Stages) -> None:
        """One micro-batch has gone out for good, after so long."""
        with self._lock:
            sent = self._sent
            sent.results.update(tally.results)
            sent.dead_letters.update(tally.dead_letters)
            sent.skipped.update(tally.skipped)
            sent.abstained += tally.abstained
            sent.retimed += tally.retimed
            self._count_labels(tally.labels)
            self._latencies_ms.extend(tally.latencies_ms)
            self._latency_s.observe([latency / 1000 for latency in tally.latencies_ms])
            for name, seconds in stages._asdict().items():
                self._stages[name].observe(seconds)

    def took(self, what: Literal["commit_s", "transaction_s"], seconds: float) -> None:
        """A commit, or a transaction from its first record to the end of its commit."""
        with self._lock:
            self._took[what].observe(seconds)

    def delivered(self) -> int:
        """Results and dead letters that have gone out."""
        results, dead_letters = self.outcomes()
        return results + dead_letters.total()

    def outcomes(self) -> tuple[int, Counter[str]]:
        """Results that have gone out, and dead letters by reason."""
        with self._lock:
            return self._sent.results.total(), _by_reason(self._sent.dead_letters)

    def snapshot(self) -> StreamCounts:
        """Everything that is counted, of one moment."""
        with self._lock:
            sent, counts = self._sent, self._counts
            return {
                "messages_in": self._received.total(),
                "results_out": sent.results.total(),
                "skipped": sent.skipped.total(),
                "abstained": sent.abstained,
                "results_retimed": sent.retimed,
                "retries": self._retries.total(),
                "unknown_fields": counts["unknown_fields"],
                "restarts": counts["restarts"],
                "transactions": counts["transactions"],
                "transactions_aborted": counts["transactions_aborted"],
                "alarms_raised": counts["alarms_raised"],
                "offset_jumps": counts["offset_jumps"],
                "dead_letters": dict(_by_reason(sent.dead_letters)),
                "latency_ms": self._percentiles(),
                "retries_by_model": dict(self._retries),
                "by_partition": {partition: self._of(partition) for partition in self._received},
                "labels": self._labels(),
                "histograms": self._histograms(),
                "stages": {name: histogram.buckets() for name, histogram in self._stages.items()},
            }

    def _percentiles(self) -> Percentiles:
        latencies = sorted(self._latencies_ms)
        if not latencies:
            return {}
        p50, p99 = (round(latencies[int(share * (len(latencies) - 1))], 1) for share in (0.5, 0.99))
        return {"p50": p50, "p99": p99}

    def _histograms(self) -> Histograms:
        commit_s, transaction_s = self._took["commit_s"].buckets(), self._took["transaction_s"].buckets()
        return {"latency_s": self._latency_s.buckets(), "commit_s": commit_s, "transaction_s": transaction_s}

    def _count_labels(self, labels: Counter[tuple[str, str]]) -> None:
        known = self._sent.labels
        for (model, label), count in labels.items():
            new = (model, label) not in known and sum(of == model for of, _ in known) >= MAX_LABELS
            known[model, OTHER if new else label] += count

    def _of(self, partition: int) -> PartitionCounts:
        sent = self._sent
        dead = Counter({key: count for key, count in sent.dead_letters.items() if key[0] == partition})
        return {
            "in": self._received[partition],
            "results": sent.results[partition],
            "skipped": sent.skipped[partition],
            "dead_letters": dict(_by_reason(dead)),
        }

    def _labels(self) -> dict[str, dict[str, int]]:
        models: dict[str, dict[str, int]] = {}
        for (model, label), count in self._sent.labels.items():
            models.setdefault(model, {})[label] = count
        return models


def _by_reason(dead_letters: Counter[tuple[int, str]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, reason), count in dead_letters.items():
        found[reason] += count
    return found
