"""Splits the queries of sequences in a row into blocks for the attention kernel. numpy only, no torch.

The kernel launches as many blocks per sequence as the longest sequence needs. The engine therefore passes each `BLOCK`
queries as a sequence of its own, with the keys of the whole sequence. The kernel's grid then depends only on the number
of blocks, so a recorded forward works for any lengths. Both forms take the same time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 64  # queries per block of torch's memory-efficient kernel, for head sizes up to 128


class Blocks(NamedTuple):
    """m blocks of queries, each within one sequence. All int64.

    `query_ends` [m + 1]: 0, then the end of each block's queries. `key_starts` [m + 1]: the start of each block's
    sequence; the last value is not read. `key_counts` [m]: the number of tokens of each block's sequence.
    """

    query_ends: NDArray[np.int64]
    key_starts: NDArray[np.int64]
    key_counts: NDArray[np.int64]


def count_blocks(lengths: NDArray[np.int64]) -> int:
    """Number of blocks of sequences of these lengths."""
    return int((-(-lengths // BLOCK)).sum())


def blocks_of(lengths: NDArray[np.int64]) -> Blocks:
    """The blocks of sequences of these lengths, int64 [n], one after the other."""
    counts = -(-lengths // BLOCK)
    sequence = np.repeat(np.arange(len(lengths)), counts)
    turn = np.arange(len(sequence)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = (np.cumsum(lengths) - lengths)[sequence]
    ends = starts + np.minimum((turn + 1) * BLOCK, lengths[sequence])
    return Blocks(np.concatenate(([0], ends)), np.concatenate((starts, [0])), lengths[sequence])
