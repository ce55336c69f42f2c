"""What the two deliveries have in common: their methods, and what counts when something is done."""

from collections.abc import Callable
from typing import Protocol

from labelstream.workers import tracing
from labelstream.workers.errors import RecordRefused, StreamError
from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch
from labelstream.workers.stream.stats import Stats


class Delivery(Protocol):
    """Used by the pipeline's thread alone. Its methods raise `StreamError` when the stream cannot go on."""

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Call `wake`, from whatever thread, when `commit_when_due` has something to do."""
        ...

    def ready_for(self, batch: MicroBatch) -> bool:
        """May this one be produced now? Never waits."""
        ...

    def produce(self, batch: MicroBatch) -> ProducedBatch:
        """Send what `batch` became, or the head of it that there is room for. Acknowledgements count in this order."""
        ...

    def obstacles(self) -> dict[str, str]:
        """What keeps the output from taking all that it could: texts for a person, by what they are about."""
        ...

    def acknowledged(self, produced: ProducedBatch) -> None:
        """Every record of it is acknowledged."""
        ...

    def refused(self, error: RecordRefused) -> None:
        """The broker refused a record for itself: all that was produced is sent again, see `commit_when_due`.

        May be called again for the same refusal.
        """
        ...

    def failed(self, error: StreamError) -> None:
        """A record failed with `error`: raises it, or all that was produced is sent again, see `commit_when_due`."""
        ...

    def commit_when_due(self) -> list[MicroBatch] | None:
        """Commit when it is time. Never waits.

        Where all that was sent since the last commit is aborted: its micro-batches, to be produced again in this order
        before any other. No `ProducedBatch` that was handed out before may be acknowledged then. None otherwise.
        `AtLeastOnce` does not send a second time what the broker has taken of them.
        """
        ...

    def uncommitted_bytes(self) -> int:
        """Of the micro-batches that are acknowledged and wait for their commit."""
        ...

    def flush(self) -> bool:
        """Commit all that is acknowledged, soon. False as long as something is left: turn and call again."""
        ...


def account(produced: ProducedBatch, stats: Stats, now: float) -> None:
    """What was sent counts: at `now` it is acknowledged, and where it is part of a transaction, committed."""
    for progress, offset in produced.batch.last_offsets:
        progress.finish(offset)
    waited_ms = (now - produced.sent_at) * 1000
    produced.tally.latencies_ms = [latency + waited_ms for latency in produced.tally.latencies_ms]
    stats.sent(produced.tally, produced.batch.stages(produced.sent_at, now))
    tracing.end(produced.batch.span)
