"""The micro-batches between poll and acknowledgement, in the order of their submission."""

from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice

from labelstream.workers.stream.micro_batch import MicroBatch
from labelstream.workers.stream.producer.produced_batch import ProducedBatch


class InFlight:
    """First those that are produced, then those that wait for answers or for their turn.

    Changed by the pipeline's thread alone; iterated over from any.
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
        """The oldest that is not produced yet."""
        return self._batches[len(self._produced)] if len(self._produced) < len(self._batches) else None

    def was_produced(self, produced: ProducedBatch) -> None:
        """`next_to_produce` was, or a head of it; its rest is the next one."""
        self._batches[len(self._produced)] = produced.batch
        self._produced.append(produced)
        if produced.rest is not None:
            self._batches.insert(len(self._produced), produced.rest)

    def take_acknowledged(self) -> ProducedBatch | None:
        """Takes out the oldest one where all of it is acknowledged. Raises as `ProducedBatch.poll_acks`."""
        if not self._produced or not self._produced[0].poll_acks():
            return None
        self._batches.popleft()
        return self._produced.popleft()

    def produce_again(self, aborted: list[MicroBatch]) -> None:
        """All that was produced and not committed is aborted: `aborted`, which go before any other."""
        waiting = list(self._batches)[len(self._produced) :]
        self._batches = deque([*aborted, *waiting])
        self._produced.clear()

    def unanswered(self) -> int:
        """How many wait for answers."""
        return sum(not batch.answered() for batch in islice(self._batches, len(self._produced), None))

    def weight(self) -> int:
        """Of all their records, in bytes."""
        return sum(batch.weight for batch in self._batches)

    def records_by_partition(self) -> Counter[int]:
        found: Counter[int] = Counter()
        for batch in self:
            found.update(batch.records_by_partition)
        return found
