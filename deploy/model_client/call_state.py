"""The sequences of one call and their answers so far; both outlast the attempts at the call."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.deploy.model_client.call_limits import max_sequences
from labelstream.workers.classifier import Progress, RecordError
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, select, split

Rows = NDArray[np.intp]


class Part(NamedTuple):
    """Sequences of a call that are asked for together: their `rows` in the call, and their number of `tokens`.

    `is_last`: whether the sequences are the last ones of the call without an answer.
    """

    rows: Rows
    packed: RaggedSequences
    tokens: int
    is_last: bool = False


class CallState:
    """The sequences of one call, prepared for one `revision` of the model. Rows are ascending positions in `packed`.

    - `top_k`: labels in the answer to each sequence.
    - `ranked`: whether the model ranks labels, from its description.
    - `progress`: is told about new answers.
    """

    def __init__(
        self, packed: RaggedSequences, top_k: int, revision: str, ranked: bool, progress: Progress | None = None
    ) -> None:
        self.packed, self.top_k, self.revision = packed, top_k, revision
        self._progress = progress or Progress()
        count = len(packed.lengths)
        self._label_ids = np.zeros((count, top_k), np.int32) if ranked else None
        self._scores = np.full((count, top_k), np.nan, np.float32)
        self._errors: dict[int, RecordError] = {}
        self._done = np.zeros(count, np.bool_)

    @cached_property
    def _contents(self) -> list[bytes]:
        return [_content(row, self.revision) for row in split(self.packed, 1, 1)]

    def parts(self, max_tokens: Callable[[], int]) -> Iterator[Part]:
        """Cut the sequences without an answer into parts that fit into one Serve call each, in order.

        `max_tokens`: asked before each part for the part's limit. A longer sequence is a part of its own.
        """
        left, max_rows = np.flatnonzero(~self._done), max_sequences(self.top_k)
        while len(left):
            ends = np.cumsum(self.packed.lengths[left[:max_rows]], dtype=np.int64)
            count = max(1, int(np.searchsorted(ends, max_tokens(), side="right")))
            rows, left = left[:count], left[count:]
            yield Part(rows, select(self.packed, rows), int(ends[count - 1]), is_last=not len(left))

    def part(self, rows: Rows) -> Part:
        """`rows`, of which there is at least one, as a part."""
        return Part(rows, select(self.packed, rows), int(self.packed.lengths[rows].sum()))

    def left(self, rows: Rows) -> Rows:
        """The rows of `rows` without an answer."""
        return rows[~self._done[rows]]

    def contents(self, rows: Rows) -> list[bytes]:
        """Bytes that are equal for sequences that are equal to the model."""
        return [self._contents[row] for row in rows]

    def put(self, rows: Rows, scored: ScoredSequences) -> None:
        """Store the answers to `rows`. Raises ValueError unless there is one answer of `top_k` labels a row."""
        shape = len(rows), self.top_k
        ids = scored.label_ids
        if scored.scores.shape != shape or (ids is None) is not (self._label_ids is None):
            raise ValueError(f"{scored.scores.shape} answers for {len(rows)} sequences and {self.top_k} labels")
        if ids is not None and self._label_ids is not None:
            if ids.shape != shape:
                raise ValueError(f"label ids of shape {ids.shape} for {len(rows)} sequences")
            self._label_ids[rows] = ids
        self._scores[rows] = scored.scores
        self._errors.update({int(rows[row]): error for row, error in scored.errors.items()})
        self._done[rows] = True
        self._progress.at = time.monotonic()

    def refuse(self, row: int, error: RecordError) -> None:
        self._errors[row] = error
        self._done[row] = True

    def answer(self) -> ScoredSequences:
        """All answers, in order. Raises ValueError if some are missing."""
        if not self._done.all():
            raise ValueError(f"{int((~self._done).sum())} of {len(self._done)} sequences have no answer")
        return ScoredSequences(self._label_ids, self._scores, self._errors)


def _content(row: RaggedSequences, revision: str) -> bytes:
    type_ids = b"" if row.type_ids is None else row.type_ids.tobytes()
    target = b"" if row.targets is None else row.targets.tobytes()
    return blake2b(row.ids.tobytes() + type_ids + target, digest_size=16, key=revision.encode()[:64]).digest()


def rows_of(numbers: Sequence[int]) -> Rows:
    """`numbers` as an array of rows."""
    return np.array(numbers, np.intp)
