"""The shapes of forwards that are recorded. Pure numpy, no torch.

A recorded forward (a CUDA graph) runs on one shape alone: a number of tokens, and a number of blocks of attention. A
batch runs in the smallest shape that it fits in; the rest of the shape is filled up.
"""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelstream.workers.engine.backends.pytorch.attention_blocks import BLOCK, blocks_of
from labelstream.workers.engine.inference.batch_plan import Arrays

_SMALL = (64, 128, 256, 512)
_STEP = 1_024
# A shape has a block for every 24 tokens, every 10 or every 4. Texts of 32 tokens on average have one for every 29. An
# empty block costs little, but more than nothing. Small shapes have the last density alone.
_TOKENS_PER_BLOCK = (24, 10, 4)
_FILLING_BLOCKS = _STEP // BLOCK  # beside the usual texts, what is left between two sizes
_MAX_GROWTH = 4
MAX_TOKENS = 32_768  # the device takes longer for such a forward than Python for its launches


class ShapeBucket(NamedTuple):
    """`sequences`: also the number of blocks."""

    tokens: int
    sequences: int


class ShapeBuckets:
    """Those for forwards of at most `max_tokens`."""

    def __init__(self, max_tokens: int) -> None:
        most = min(max_tokens, MAX_TOKENS)
        self._tokens = sorted({most, *(size for size in (*_SMALL, *range(_STEP, most, _STEP)) if size < most)})

    def all(self) -> list[ShapeBucket]:
        """Largest first, so that the others find room in the memory of the first one."""
        return [
            _shape(tokens, per_block) for tokens in reversed(self._tokens) for per_block in reversed(_densities(tokens))
        ]

    def fitting(self, tokens: int, blocks: int) -> ShapeBucket | None:
        """The smallest one for `tokens` tokens in `blocks` blocks; None where none is large enough.

        One of more than four times the tokens would cost more than it saves.
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
    """A batch's `ids`, `positions`, `rows`, `lengths` and perhaps `type_ids` in a shape for them, with the layout.

    Spare tokens are `pad_id` at `position`, in sequences of at most a block. Spare sequences have no tokens.
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
    """What attention is told of sequences of these lengths, one behind the other; see `varlen_attention.Layout`."""
    starts = np.concatenate((np.cumsum(lengths) - lengths, [0]))
    return {**blocks_of(lengths)._asdict(), "starts": starts, "lengths": lengths}


def _densities(tokens: int) -> tuple[int, ...]:
    return _TOKENS_PER_BLOCK if tokens >= _STEP else _TOKENS_PER_BLOCK[-1:]


def _shape(tokens: int, per_block: int) -> ShapeBucket:
    return ShapeBucket(tokens, tokens // per_block + _FILLING_BLOCKS)


def _lengthened(values: NDArray[np.int64], size: int, value: int) -> NDArray[np.int64]:
    return np.pad(values, (0, size - len(values)), constant_values=value)
