"""The shapes of recorded forwards (CUDA graphs). numpy only, no torch.

A recorded forward has a fixed shape: a number of tokens, and a number of attention blocks. A batch runs in the smallest
shape that it fits, filled up with spare tokens.
"""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.backends.pytorch.attention_blocks import BLOCK, blocks_of
from labelstream.workers.engine.inference.forward_layout import Arrays

_SMALL = (64, 128, 256, 512)
_STEP = 1_024
# A shape has one block per 24, 10 or 4 tokens. Texts of 32 tokens on average need one block per 29 tokens. An empty
# block costs little time. Small shapes have one block per 4 tokens only.
_TOKENS_PER_BLOCK = (24, 10, 4)
_FILLING_BLOCKS = _STEP // BLOCK  # blocks of the spare tokens between two sizes
_MAX_GROWTH = 4
MAX_TOKENS = 32_768  # a larger forward takes the GPU longer than its launches take Python


class ShapeBucket(NamedTuple):
    """The shape of a recorded forward. `sequences`: the number of sequences, and of attention blocks."""

    tokens: int
    sequences: int


class ShapeBuckets:
    """The shapes of forwards of at most `max_tokens`."""

    def __init__(self, max_tokens: int) -> None:
        limit = min(max_tokens, MAX_TOKENS)
        self._tokens = sorted({limit, *(size for size in (*_SMALL, *range(_STEP, limit, _STEP)) if size < limit)})

    def all(self) -> list[ShapeBucket]:
        """All shapes, the largest first, so that the later ones fit into the memory of the first."""
        return [
            _shape(tokens, per_block) for tokens in reversed(self._tokens) for per_block in reversed(_densities(tokens))
        ]

    def fitting(self, tokens: int, blocks: int) -> ShapeBucket | None:
        """The smallest shape for `tokens` tokens in `blocks` blocks; None if there is none.

        Never a shape of more than `_MAX_GROWTH` times the tokens, which would cost more time than it saves.
        """
        for size in self._tokens[bisect_left(self._tokens, tokens) :]:
            if size > max(self._tokens[0], _MAX_GROWTH * tokens):
                return None
            filling = -(-(size - tokens) // BLOCK)
            for shape in (_shape(size, per_block) for per_block in _densities(size)):
                if blocks + filling <= shape.sequences:
                    return shape
        return None


def fill_up(arrays: Arrays, shape: ShapeBucket, pad_id: int, position: int) -> dict[str, NDArray[np.int64]]:
    """A batch's `ids`, `positions`, `rows`, `lengths` and optional `type_ids`, filled up to `shape`, with the layout.

    Spare tokens have the id `pad_id` and the position `position`, in sequences of at most one block. Spare sequences
    have no tokens.
    """
    lengths, spare = arrays["lengths"], shape.tokens - len(arrays["ids"])
    pieces = np.minimum(BLOCK, spare - np.arange(0, spare, BLOCK))
    whole = {**arrays, **layout_of(np.concatenate((lengths, pieces)))}
    spare_tokens = {"ids": pad_id, "positions": position, "type_ids": 0}
    filled = {}
    for name, values in whole.items():
        if name in spare_tokens:
            filled[name] = _lengthened(values, shape.tokens, spare_tokens[name])
        else:
            size = shape.sequences + (name in ("query_ends", "key_starts", "starts"))
            filled[name] = _lengthened(values, size, shape.tokens if name == "query_ends" else 0)
    return filled


def layout_of(lengths: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """The attention layout of sequences of these lengths, one after the other; see `varlen_attention.Layout`."""
    starts = np.concatenate((np.cumsum(lengths) - lengths, [0]))
    return {**blocks_of(lengths)._asdict(), "starts": starts, "lengths": lengths}


def _densities(tokens: int) -> tuple[int, ...]:
    return _TOKENS_PER_BLOCK if tokens >= _STEP else _TOKENS_PER_BLOCK[-1:]


def _shape(tokens: int, per_block: int) -> ShapeBucket:
    return ShapeBucket(tokens, tokens // per_block + _FILLING_BLOCKS)


def _lengthened(values: NDArray[np.int64], size: int, value: int) -> NDArray[np.int64]:
    return np.pad(values, (0, size - len(values)), constant_values=value)
