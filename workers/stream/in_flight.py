"""Queue of micro-batches between poll and acknowledgement, in the order of submission."""

from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice

from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch


class InFlight:
    """Produced micro-batches first, then those that wait for answers or their turn.

    The pipeline's thread changes the queue; any thread may iterate over it.
    """

    def __init__(self) -> None:
        self._batches: deque[MicroBatch] = deque()
        self._produced: deque[ProducedBatch] = deque()

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[MicroBatch]:
        return iter(tuple(self._batches))

    def submitted(self, batch: MicroBatch) -> None:
        self._batches.append(batch)

    def oldest_produced(self) -> ProducedBatch | None:
        return self._produced[0] if self._produced else None

    def produced(self) -> list[MicroBatch]:
        return list(islice(self._batches, len(self._produced)))

    def next_to_produce(self) -> MicroBatch | None:
        """The oldest micro-batch that is not produced; None if there is none."""
        return self._batches[len(self._produced)] if len(self._produced) < len(self._batches) else None

    def was_produced(self, produced: ProducedBatch) -> None:
        """Mark `next_to_produce`, or its head, as produced. The rest is next."""
        self._batches[len(self._produced)] = produced.batch
        self._produced.append(produced)
        if produced.rest is not None:
            self._batches.insert(len(self._produced), produced.rest)

    def acknowledged(self) -> Iterator[ProducedBatch]:
        """Remove the oldest batches that are fully acknowledged, one by one. Raises as `ProducedBatch.poll_acks`."""
        while self._produced and self._produced[0].poll_acks():
            self._batches.popleft()
            yield self._produced.popleft()

    def produce_again(self, aborted: list[MicroBatch]) -> None:
        """Put `aborted` in front again: all batches that were produced and not committed."""
        waiting = list(self._batches)[len(self._produced) :]
        self._batches = deque([*aborted, *waiting])
        self._produced.clear()

    def unanswered(self) -> int:
        """Number of micro-batches that wait for answers."""
        return sum(not batch.answered() for batch in islice(self._batches, len(self._produced), None))

    def weight(self) -> int:
        """Bytes of all records."""
        return sum(batch.weight for batch in self._batches)

    def records_by_partition(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for batch in self:
            counts.update(batch.records_by_partition)
        return counts
