"""Token ids of made-up texts and models to run them: what a replica's device gets, without tokenizer and Serve."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

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


def scale_weights(folder: Path, factor: float, names: Sequence[str] = ()) -> Path:
    """Multiply the matrices of these names, or all, of a saved model."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    for name, values in weights.items():
        if values.dim() > 1 and (not names or name in names):
            weights[name] = values * factor
    save_file(weights, path, metadata={"format": "pt"})
    return folder
