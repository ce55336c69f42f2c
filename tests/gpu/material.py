"""Token ids of synthetic texts as a replica's device gets them, without tokenizer and Serve."""

import numpy as np
import torch

from labelstream.workers.engine.ragged import RaggedSequences
from tests.benchmarks.throughput.material import LONGEST, MEAN_TOKENS, SIGMA, VOCABULARY

_FIRST_WORD = 5  # below are the special tokens of `tests.benchmarks.throughput.material`'s vocabulary


def make_ids(count: int, seed: int = 1, vocabulary: int = VOCABULARY, longest: int = LONGEST) -> RaggedSequences:
    """`count` sequences of 32 tokens on average, log-normal, as `make bench` has them."""
    rng = np.random.default_rng(seed)
    drawn = rng.lognormal(np.log(MEAN_TOKENS) - SIGMA**2 / 2, SIGMA, count)
    lengths = np.clip(drawn.round(), 3, longest).astype(np.int32)
    return RaggedSequences(rng.integers(_FIRST_WORD, vocabulary, int(lengths.sum()), dtype=np.int32), lengths)


def first(packed: RaggedSequences, count: int) -> RaggedSequences:
    """The first `count` sequences."""
    lengths = packed.lengths[:count]
    return RaggedSequences(packed.ids[: int(lengths.sum())], lengths)


def up_to(packed: RaggedSequences, tokens: int) -> RaggedSequences:
    """The first sequences, at least one, with at most `tokens` tokens together."""
    return first(packed, max(1, int(np.searchsorted(np.cumsum(packed.lengths), tokens, side="right"))))


class Batch:
    """Sequences one after the other on `device`, with the tensors that the compared kernels need.

    `ids`, `positions`: int64 [T]. `first`, `last`: int32 [T], start and end of each token's sequence. `rows`: int64
    [n], first tokens. `ends`: int32 [n + 1]. `each`: int32 [n + 1], 0 to n.
    """

    def __init__(self, packed: RaggedSequences, device: torch.device) -> None:
        lengths = packed.lengths.astype(np.int64)
        ends = np.cumsum(lengths)
        starts = ends - lengths

        def on_device(values: np.ndarray, kind: type) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(values.astype(kind))).to(device)

        self.n, self.tokens, self.longest = len(lengths), int(ends[-1]), int(lengths.max())
        self.ids = on_device(packed.ids, np.int64)
        self.positions = on_device(np.arange(self.tokens) - np.repeat(starts, lengths), np.int64)
        self.first, self.last = (on_device(np.repeat(one, lengths), np.int32) for one in (starts, ends))
        self.row_first, self.row_last = on_device(starts, np.int32), on_device(ends, np.int32)
        self.rows = on_device(starts, np.int64)
        self.ends = on_device(np.concatenate(([0], ends)), np.int32)
        self.each = on_device(np.arange(self.n + 1), np.int32)
