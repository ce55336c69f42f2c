"""Counters of a worker: cheap to update, readable from any thread."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from labelstream.workers.histogram import Histogram
from labelstream.workers.stream.delivery.recent_results import RecentResults
from labelstream.workers.stream.report import Histograms, PartitionCounts, Percentiles, StreamCounts

LATENCY_SAMPLES, LATENCIES_KEPT_S = 2_000, 60.0
MAX_LABELS = 200  # of one model, because each label is a time series
ABSTAINED, OTHER = "(abstained)", "(other)"
ROUTE = "route"  # why a record is skipped: a rule drops the result
DROPPED = "(dropped)"  # in place of a topic: a rule drops the result


class Stages(NamedTuple):
    """Seconds of each stage of a micro-batch; their sum is the whole time from poll to acknowledgement.

    `decode`: from the poll to the last submitted call, with tokenizing; `classify`: to the last answer; `wait`: to its
    turn to be produced, including transaction and breaker; `produce`: to the last acknowledgement, or the commit.
    """

    decode: float
    classify: float
    wait: float
    produce: float


@dataclass(slots=True)
class Tally:
    """Outcomes of a micro-batch by input partition. `dead_letters`, `skipped`: also by reason; `labels`: by model and
    first label.

    `latencies_ms`: from each record's timestamp to now. `retimed`: results without their input's timestamp. `routed`:
    results by the topic of the rule that applies to them. `failed_texts`: texts named as failed in a result, by reason.
    """

    results: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[tuple[str, str]] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    abstained: int = 0
    retimed: int = 0
    routed: Counter[str] = field(default_factory=Counter)
    failed_texts: Counter[str] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)


class Stats:
    """Counts since the worker's start. Takes its lock once a micro-batch, not once a message.

    `recent`: samples of results; None: no page shows them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, recent: RecentResults | None = None) -> None:
        self._clock, self._sent_at, self.recent = clock, 0.0, recent
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._received: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()
        self._sent = Tally()
        self._latencies_ms: deque[float] = deque(maxlen=LATENCY_SAMPLES)
        self._latency_s, self._took = Histogram(), {"commit_s": Histogram(), "transaction_s": Histogram()}
        self._stages = {name: Histogram() for name in Stages._fields}

    def add(self, **counts: int) -> None:
        with self._lock:
            self._counts.update(counts)

    def received(self, by_partition: Counter[str], unknown_fields: int) -> None:
        """Count the records of one poll."""
        with self._lock:
            self._received.update(by_partition)
            self._counts["unknown_fields"] += unknown_fields

    def retried(self, model: str) -> None:
        """Count a retried call to `model`."""
        with self._lock:
            self._retries[model] += 1

    def sent(self, tally: Tally, stages: Stages) -> None:
        """Count a micro-batch that is acknowledged, or committed, with the seconds of its stages."""
        with self._lock:
            sent = self._sent
            sent.results.update(tally.results)
            sent.dead_letters.update(tally.dead_letters)
            sent.skipped.update(tally.skipped)
            sent.abstained += tally.abstained
            sent.retimed += tally.retimed
            sent.routed.update(tally.routed)
            sent.failed_texts.update(tally.failed_texts)
            self._count_labels(tally.labels)
            self._latencies_ms.extend(tally.latencies_ms)
            self._sent_at = self._clock()
            self._latency_s.observe([latency / 1000 for latency in tally.latencies_ms])
            for name, seconds in stages._asdict().items():
                self._stages[name].observe(seconds)

    def took(self, what: Literal["commit_s", "transaction_s"], seconds: float) -> None:
        """Observe the seconds of a commit, or of a transaction from its first record to the end of its commit."""
        with self._lock:
            self._took[what].observe(seconds)

    def delivered(self) -> int:
        """Number of results and dead letters sent."""
        results, dead_letters = self.outcomes()
        return results + dead_letters.total()

    def outcomes(self) -> tuple[int, Counter[str]]:
        """Number of results sent, and dead letters by reason."""
        with self._lock:
            return self._sent.results.total(), by_reason(self._sent.dead_letters)

    def snapshot(self) -> StreamCounts:
        """All counts at one moment."""
        with self._lock:
            sent, counts = self._sent, self._counts
            return {
                "messages_in": self._received.total(),
                "results_out": sent.results.total(),
                "skipped": sent.skipped.total(),
                "skipped_by_reason": dict(by_reason(sent.skipped)),
                "abstained": sent.abstained,
                "results_retimed": sent.retimed,
                "results_routed": dict(sent.routed),
                "failed_texts": dict(sent.failed_texts),
                "retries": self._retries.total(),
                "unknown_fields": counts["unknown_fields"],
                "restarts": counts["restarts"],
                "transactions": counts["transactions"],
                "transactions_aborted": counts["transactions_aborted"],
                "alarms_raised": counts["alarms_raised"],
                "offset_jumps": counts["offset_jumps"],
                "dead_letters": dict(by_reason(sent.dead_letters)),
                "latency_ms": self._percentiles(),
                "retries_by_model": dict(self._retries),
                "by_partition": {partition: self._of(partition) for partition in self._received},
                "labels": self._labels(),
                "histograms": self._histograms(),
                "stages": {name: histogram.buckets() for name, histogram in self._stages.items()},
            }

    def _percentiles(self) -> Percentiles:
        latencies = sorted(self._latencies_ms)
        if not latencies or self._clock() > self._sent_at + LATENCIES_KEPT_S:
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

    def _of(self, partition: str) -> PartitionCounts:
        sent = self._sent
        dead = Counter({key: count for key, count in sent.dead_letters.items() if key[0] == partition})
        skipped = sum(count for key, count in sent.skipped.items() if key[0] == partition)
        return {
            "in": self._received[partition],
            "results": sent.results[partition],
            "skipped": skipped,
            "dead_letters": dict(by_reason(dead)),
        }

    def _labels(self) -> dict[str, dict[str, int]]:
        models: dict[str, dict[str, int]] = {}
        for (model, label), count in self._sent.labels.items():
            models.setdefault(model, {})[label] = count
        return models


def by_reason(counts: Counter[tuple[str, str]]) -> Counter[str]:
    """The counts of all partitions."""
    totals: Counter[str] = Counter()
    for (_, reason), count in counts.items():
        totals[reason] += count
    return totals
