"""What a poll reads, what it leaves alone, and what ends the stream: on a consumer that a test plays."""

from typing import Any

import pytest
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from kafka.structs import TopicPartition

from labelstream.workers.errors import OffsetOutOfRange, StreamError
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.consumer.fetching import CorruptBatch
from labelstream.workers.stream.consumer.source import JOIN_MS, RecordSource
from labelstream.workers.stream.stats import Stats
from tests.support.fake_consumer import Consumer
from tests.support.pipeline_bench import record

A, B = TopicPartition("in", 0), TopicPartition("in", 1)


class Bench:
    def __init__(self, **more: Any) -> None:
        fixed = {"input": "in", "output": "out", "dead_letter": "dead", "model": "m"}
        self.stats, self.consumer = Stats(), Consumer()
        consumer: Any = self.consumer
        self.source = RecordSource(consumer, PipelineSettings.model_validate(fixed | more), self.stats)


def records(first: int, last: int) -> list[ConsumerRecord]:
    return [record(offset, b"{}") for offset in range(first, last + 1)]


def test_poll_brings_records_with_the_progress_of_their_partition() -> None:
    bench = Bench()
    bench.consumer.hold(bench.source, A)
    bench.consumer.polled = {A: records(40, 42)}
    [(progress, found)] = bench.source.poll(10, paused=False)
    assert [record.offset for record in found] == [40, 41, 42]
    assert (progress.partition, progress.done, progress.received) == (A, 40, 43)


def test_poll_drops_records_of_a_partition_taken_away_meanwhile() -> None:
    bench = Bench()
    bench.consumer.hold(bench.source, A, B)
    bench.source.assignment.on_partitions_lost({B})
    bench.consumer.polled = {A: records(40, 40), B: records(40, 41)}
    assert [progress.partition for progress, _ in bench.source.poll(0, paused=False)] == [A]


def test_paused_poll_reads_nothing_and_goes_on_after_it() -> None:
    bench = Bench()
    bench.consumer.hold(bench.source, A, B)
    bench.source.poll(0, paused=True)
    assert bench.consumer.stopped == {A, B}
    bench.source.poll(0, paused=False)
    assert bench.consumer.stopped == set()


def test_partition_with_a_corrupt_batch_is_halted_alone() -> None:
    bench = Bench()
    bench.consumer.hold(bench.source, A, B)
    corrupt = CorruptBatch(40, 50, "CorruptRecordError")
    bench.source._fetching.corrupt[A] = corrupt
    bench.source.poll(0, paused=False)
    assert bench.source.halted() == {A: corrupt}
    bench.source.poll(0, paused=False)
    assert bench.consumer.stopped == {A}


def test_poll_while_joining_gives_the_join_time() -> None:
    bench = Bench()
    bench.consumer.hold(bench.source, A)
    bench.consumer.joining = True
    assert bench.source.joining()
    bench.source.poll(0, paused=False)
    assert bench.consumer.timeouts_ms[-1] == JOIN_MS


def test_partition_without_an_offset_begins_and_is_committed() -> None:
    bench = Bench()
    bench.consumer.polled = NoOffsetForPartitionError([A])
    assert bench.source.poll(0, paused=False) == []
    assert (bench.consumer.committed, bench.consumer.sought) == ({A: 40}, {A: 40})


def test_offset_out_of_range_ends_the_stream_by_default() -> None:
    bench = Bench()
    bench.consumer.hold(bench.source, A)
    bench.consumer.polled = OffsetOutOfRangeError({A: 10})
    with pytest.raises(OffsetOutOfRange, match="in:0:10 is no longer in the log"):
        bench.source.poll(0, paused=False)
    assert bench.consumer.committed.get(A) != 10


def test_offset_of_deleted_topic_is_not_out_of_range() -> None:
    bench = Bench()
    bench.consumer.hold(bench.source, A)
    bench.consumer._cluster.update()
    bench.consumer.polled = OffsetOutOfRangeError({A: 10})
    assert bench.source.poll(0, paused=False) == []
    assert bench.stats.snapshot()["offset_jumps"] == 0


@pytest.mark.parametrize(("policy", "offset"), [("earliest", 40), ("latest", 100)])
def test_offset_out_of_range_goes_on_by_policy_and_counts(policy: str, offset: int) -> None:
    bench = Bench(on_offset_out_of_range=policy)
    bench.consumer.hold(bench.source, A)
    bench.consumer.polled = OffsetOutOfRangeError({A: 10})
    assert bench.source.poll(0, paused=False) == []
    assert (bench.consumer.committed, bench.consumer.sought) == ({A: offset}, {A: offset})
    assert bench.stats.snapshot()["offset_jumps"] == 1


def test_poll_that_fails_ends_the_stream() -> None:
    bench = Bench()
    bench.consumer.polled = KafkaError("whatever it is")
    with pytest.raises(StreamError, match=r"poll failed \(KafkaError: .*whatever it is"):
        bench.source.poll(0, paused=False)


def test_start_offset_that_cannot_be_committed_ends_the_stream() -> None:
    bench = Bench()

    def refuse(*_: Any, **__: Any) -> None:
        raise KafkaError("not allowed")

    bench.consumer.commit = refuse  # type: ignore[method-assign]
    bench.consumer.polled = NoOffsetForPartitionError([A])
    with pytest.raises(StreamError, match=r"no start offset \(KafkaError: .*not allowed"):
        bench.source.poll(0, paused=False)
