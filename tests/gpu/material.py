"""Token ids of made-up texts and models to run them: what a replica's device gets, without tokenizer and Serve."""

import numpy as np

from tests.bench.material import LONGEST, MEAN_TOKENS, SIGMA, VOCABULARY
from workers.engine.packed import PackedSequences

_FIRST_WORD = 5  # below are the special tokens of `tests.bench.material`'s vocabulary


def make_ids(count: int, seed: int = 1, vocabulary: int = VOCABULARY, longest: int = LONGEST) -> PackedSequences:
    """`count` sequences of 32 tokens on average, log-normal, as `tests.bench.material.make_texts` has them."""
    rng = np.random.default_rng(seed)
    drawn = rng.lognormal(np.log(MEAN_TOKENS) - SIGMA**2 / 2, SIGMA, count)
    lengths = np.clip(drawn.round(), 3, longest).astype(np.int32)
    return PackedSequences(rng.integers(_FIRST_WORD, vocabulary, int(lengths.sum()), dtype=np.int32), lengths)


def first(packed: PackedSequences, count: int) -> PackedSequences:
    """The first `count` sequences."""
    lengths = packed.lengths[:count]
    return PackedSequences(packed.ids[: int(lengths.sum())], lengths)
