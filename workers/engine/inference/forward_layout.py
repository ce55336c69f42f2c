"""Lays the sequences of a batch out for the model, with or without padding. numpy only, no torch."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.ragged import RaggedSequences

Arrays = Mapping[str, NDArray[np.int64]]  # a batch's arrays by name


class PaddedBatch(NamedTuple):
    """n sequences, padded on the right to the length L of the longest.

    `ids`: int64 [n, L]. `lengths`: int64 [n]. `type_ids`: int64 [n, L], or None if all are zero. `targets`: int64 [n],
    see `RaggedSequences`.
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    type_ids: NDArray[np.int64] | None
    targets: NDArray[np.int64] | None = None


class UnpaddedBatch(NamedTuple):
    """n sequences one after the other, T tokens in total, without padding.

    `ids`: int64 [T]. `positions`: int64 [T], each token's position in its own sequence. `starts`, `lengths`: int64 [n].
    `type_ids`: int64 [T], or None if all are zero. `targets`: int64 [n], positions in the sequences, see
    `RaggedSequences`.
    """

    ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    type_ids: NDArray[np.int64] | None
    targets: NDArray[np.int64] | None = None


def pad(packed: RaggedSequences, starts: NDArray[np.int64], rows: NDArray[np.intp], pad_id: int) -> PaddedBatch:
    """The sequences `rows` of `packed`, padded with `pad_id`. `starts[i]`: the first token of row i in `packed`."""
    lengths = packed.lengths[rows].astype(np.int64)
    columns = np.arange(lengths.max())
    inside = columns < lengths[:, None]
    positions = np.where(inside, starts[rows][:, None] + columns, 0)
    ids = np.where(inside, packed.ids[positions], pad_id).astype(np.int64, copy=False)
    type_ids = None
    if packed.type_ids is not None:
        type_ids = np.where(inside, packed.type_ids[positions], 0).astype(np.int64)
    targets = None if packed.targets is None else packed.targets[rows].astype(np.int64)
    return PaddedBatch(ids, lengths, type_ids, targets)


def pack(packed: RaggedSequences, starts: NDArray[np.int64], rows: NDArray[np.intp]) -> UnpaddedBatch:
    """The sequences `rows` of `packed`, without padding. `starts[i]`: the first token of row i in `packed`."""
    lengths = packed.lengths[rows].astype(np.int64)
    ends = np.cumsum(lengths)
    positions = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    taken = positions + np.repeat(starts[rows], lengths)
    type_ids = None if packed.type_ids is None else packed.type_ids[taken].astype(np.int64)
    targets = None if packed.targets is None else packed.targets[rows].astype(np.int64)
    return UnpaddedBatch(packed.ids[taken].astype(np.int64), positions, ends - lengths, lengths, type_ids, targets)
