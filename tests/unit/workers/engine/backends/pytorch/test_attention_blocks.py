"""Blocks of queries, each within one sequence."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labelstream.workers.engine.backends.pytorch.attention_blocks import BLOCK, blocks_of, count_blocks

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=300).map(np.array)


@given(lengths=LENGTHS)
def test_blocks_cover_each_query_once_with_its_keys(lengths: np.ndarray) -> None:
    blocks = blocks_of(lengths)
    assert len(blocks.key_counts) == count_blocks(lengths) == len(blocks.query_ends) - 1 == len(blocks.key_starts) - 1
    assert blocks.query_ends[0] == 0
    assert blocks.query_ends[-1] == lengths.sum()
    sizes = np.diff(blocks.query_ends)
    assert sizes.min() >= 1
    assert sizes.max() <= BLOCK
    starts = np.cumsum(lengths) - lengths
    for first, start, count in zip(blocks.query_ends[:-1], blocks.key_starts[:-1], blocks.key_counts, strict=True):
        sequence = int(np.searchsorted(starts, first, side="right")) - 1
        assert (start, count) == (starts[sequence], lengths[sequence])
        assert (first - start) % BLOCK == 0
