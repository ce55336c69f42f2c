"""Where the sequences of a row lie, cut for attention. Pure numpy, no torch.

The kernel runs as many blocks for each sequence as the longest sequence needs. The engine hands each `BLOCK` queries
over as a sequence of their own, with the keys of the whole sequence. The kernel's grid then depends on the number of
blocks alone, not on the longest sequence, so that a recorded forward holds for any. Both forms take the same time.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 64  # queries that one block of torch's memory-efficient kernel computes, for heads of up to 128 numbers


class Blocks(NamedTuple):
    """m blocks of queries, each within one sequence. int64.

    `query_ends` [m + 1]: 0, and where each block's queries end. `key_starts` [m + 1]: where each block's sequence
    starts; the last value is not read. `key_counts` [m]: the tokens of each block's sequence.
    """

    query_ends: NDArray[np.int64]
    key_starts: NDArray[np.int64]
    key_counts: NDArray[np.int64]


def count_blocks(lengths: NDArray[np.int64]) -> int:
    """How many blocks sequences of these lengths have."""
    return int((-(-lengths // BLOCK)).sum())


def blocks_of(lengths: NDArray[np.int64]) -> Blocks:
    """The blocks of sequences of these lengths, int64 [n], which lie one behind the other."""
    counts = -(-lengths // BLOCK)
    sequence = np.repeat(np.arange(len(lengths)), counts)
    turn = np.arange(len(sequence)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = (np.cumsum(lengths) - lengths)[sequence]
    ends = starts + np.minimum((turn + 1) * BLOCK, lengths[sequence])
    return Blocks(np.concatenate(([0], ends)), np.concatenate((starts, [0])), lengths[sequence])
