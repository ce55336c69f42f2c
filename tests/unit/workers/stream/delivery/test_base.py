"""What counts once a micro-batch is done: its offsets, its latencies, and where its time went."""

from collections import Counter
from typing import Any

from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.delivery.base import account
from labelstream.workers.stream.delivery.recent_results import RecentResults
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch
from labelstream.workers.stream.stats import Stages, Stats, Tally
from tests.support.pipeline_bench import A


def produced(progress: PartitionProgress, offset: int) -> ProducedBatch:
    batch = MicroBatch([], [], [(progress, offset)], Counter(), 0.0)
    batch.resolve()
    return ProducedBatch(batch)


def test_acknowledged_batch_finishes_its_partitions() -> None:
    progress = PartitionProgress(A)
    progress.receive(0, 9)
    account(produced(progress, 4), Stats(), 1.0)
    assert progress.done == 5


def test_page_gets_a_sample_only_if_there_is_one() -> None:
    account(produced(PartitionProgress(A), 4), Stats(), 1.0)
    recent = RecentResults(True)
    account(produced(PartitionProgress(A), 4), Stats(recent=recent), 1.0)
    assert not recent.is_due()  # a sample was taken


def test_latency_counts_until_the_acknowledgement() -> None:
    told: list[tuple[Tally, Stages]] = []
    stats: Any = Stats()
    stats.sent = lambda tally, stages: told.append((tally, stages))
    progress = PartitionProgress(A)
    progress.receive(0, 9)
    batch = produced(progress, 4)
    batch.sent_at, batch.tally.latencies_ms = 10.0, [5.0, 7.0]
    account(batch, stats, 10.25)
    [(tally, stages)] = told
    assert (tally.latencies_ms, stages.produce) == ([255.0, 257.0], 0.25)
