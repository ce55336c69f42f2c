"""Interface of the two deliveries, and the accounting of finished micro-batches."""

from collections.abc import Callable
from typing import Protocol

from labelstream.workers import tracing
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.stream.delivery.result_sample import result_sample
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch
from labelstream.workers.stream.stats import Stages, Stats


class Delivery(Protocol):
    """Used by the pipeline's thread only. All methods raise `StreamError` if the pipeline cannot continue."""

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Set `wake`, which is called from any thread when `commit_when_due` has work."""
        ...

    def ready_for(self, batch: MicroBatch) -> bool:
        """May `batch` be produced now? Never waits."""
        ...

    def produce(self, batch: MicroBatch) -> ProducedBatch | None:
        """Produce the results of `batch`, or of the head that fits; None if not ready for it. Never waits.

        Report acknowledgements in the same order.
        """
        ...

    def obstacles(self) -> dict[str, str]:
        """Alarm texts about the output, by subject; empty if there is no obstacle."""
        ...

    def acknowledged(self, produced: ProducedBatch) -> None:
        """Report that every record of `produced` is acknowledged."""
        ...

    def refused(self, error: RecordRefused) -> None:
        """Report that the broker refused a record: all produced batches are sent again, see `commit_when_due`.

        May be called several times for one refusal.
        """
        ...

    def failed(self, error: StreamError) -> None:
        """Report that a record failed. Raises `error`, or all produced batches are sent again as after `refused`."""
        ...

    def commit_when_due(self) -> list[MicroBatch] | None:
        """Commit if due. Never waits. Returns None, or micro-batches to produce again after an abort.

        Produce returned micro-batches in their order before any other. Earlier `ProducedBatch`es of them must not be
        reported as acknowledged. `AtLeastOnce` does not send their acknowledged records again.
        """
        ...

    def uncommitted_bytes(self) -> int:
        """Bytes of micro-batches that are acknowledged and not committed."""
        ...

    def flush(self) -> bool:
        """Commit all acknowledged batches soon. False while any is left: run the loop and call again."""
        ...


def account(produced: ProducedBatch, stats: Stats, now: float) -> None:
    """Count `produced` as finished at `now` (monotonic seconds): acknowledged, and committed if transactional."""
    for progress, offset in produced.batch.last_offsets:
        progress.finish(offset)
    waited_ms = (now - produced.sent_at) * 1000
    produced.tally.latencies_ms = [latency + waited_ms for latency in produced.tally.latencies_ms]
    stats.sent(produced.tally, stages(produced, now))
    if stats.recent is not None and stats.recent.is_due():
        stats.recent.add(result_sample(produced.batch, stats.recent.with_texts))
    tracing.end(produced.batch.span)


def stages(produced: ProducedBatch, acknowledged_at: float) -> Stages:
    """Seconds that `produced` spent in each stage; times are monotonic seconds."""
    batch = produced.batch
    return Stages(
        batch.received_at - batch.polled_at,
        batch.answered_at - batch.received_at,
        produced.sent_at - batch.answered_at,
        acknowledged_at - produced.sent_at,
    )
