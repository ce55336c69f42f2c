import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.backends.pytorch.attention_blocks import BLOCK, count_blocks
from labelstream.workers.engine.backends.pytorch.buckets import MAX_TOKENS, ShapeBuckets, fill_up, layout_of

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=300).map(np.array)


@given(lengths=LENGTHS, budget=st.sampled_from([16, 500, 4_096, 16_384, 100_000]))
@settings(deadline=None)
def test_fitting_shape_is_recorded_and_little_larger(lengths: np.ndarray, budget: int) -> None:
    shapes, tokens, blocks = ShapeBuckets(budget), int(lengths.sum()), count_blocks(lengths)
    shape = shapes.fitting(tokens, blocks)
    if shape is None:
        assert tokens > min(budget, MAX_TOKENS) or 16 * tokens > budget
        return
    assert shape in shapes.all()
    assert tokens <= shape.tokens <= max(64, 4 * tokens)
    if blocks <= tokens / 4:
        assert shape.tokens <= max(64, min(2 * tokens, tokens + 1_023))
    filling = -(-(shape.tokens - tokens) // BLOCK)
    assert len(lengths) + filling <= blocks + filling <= shape.sequences


def test_shapes_are_few_and_largest_first() -> None:
    every = ShapeBuckets(16_384).all()
    assert len(every) == len(set(every)) == 4 + 3 * 16
    assert every[0] == (16_384, 16_384 // 4 + 16)
    assert every == sorted(every, reverse=True)
    assert ShapeBuckets(1_000_000).all()[0].tokens == MAX_TOKENS


def test_usual_texts_get_the_shape_with_the_fewest_blocks() -> None:
    assert ShapeBuckets(16_384).fitting(16_300, 580) == (16_384, 16_384 // 24 + 16)
    assert ShapeBuckets(16_384).fitting(16_300, 1_200) == (16_384, 16_384 // 10 + 16)
    assert ShapeBuckets(16_384).fitting(16_385, 580) is None
    assert ShapeBuckets(16_384).fitting(16_000, 5_000) is None  # texts of three tokens
    assert ShapeBuckets(16_384).fitting(3_000, 1_000) == (4_096, 4_096 // 4 + 16)
    assert ShapeBuckets(16_384).fitting(51, 17) == (64, 64 // 4 + 16)
    assert ShapeBuckets(16_384).fitting(300, 250) == (1_024, 1_024 // 4 + 16)
    assert ShapeBuckets(16_384).fitting(300, 300) is None  # 300 sequences of one token each


@pytest.mark.parametrize("typed", [False, True])
def test_spare_tokens_belong_to_no_sequence_of_the_batch(typed: bool) -> None:
    lengths = np.array([70, 1, 29])
    arrays = {"ids": np.arange(5, 105), "positions": np.arange(100), "rows": np.array([3, 70, 99]), "lengths": lengths}
    if typed:
        arrays["type_ids"] = np.ones(100, np.int64)
    shape = ShapeBuckets(4_096).fitting(100, 4)
    assert shape is not None
    filled = fill_up(arrays, shape, 1, 2)
    laid = layout_of(lengths)
    for name, values in {**arrays, **laid}.items():
        part = values if name not in ("key_starts", "starts") else values[:-1]
        assert np.array_equal(filled[name][: len(part)], part), name
    assert (filled["ids"][100:] == 1).all()
    assert (filled["positions"][100:] == 2).all()
    assert [len(filled[name]) for name in ("ids", "positions")] == [shape.tokens] * 2
    assert [len(filled[name]) for name in ("rows", "lengths", "key_counts")] == [shape.sequences] * 3
    assert [len(filled[name]) for name in ("starts", "query_ends", "key_starts")] == [shape.sequences + 1] * 3
    assert filled["lengths"].sum() == shape.tokens  # each token belongs to a sequence
    assert filled["query_ends"].max() == filled["query_ends"][-1] == shape.tokens
    assert ("type_ids" in filled) is typed


@given(lengths=LENGTHS)
@settings(deadline=None)
def test_keys_end_at_the_last_token(lengths: np.ndarray) -> None:
    """Also of sequences without tokens, for which the kernel gets one key."""
    tokens = int(lengths.sum())
    arrays = {name: np.zeros(tokens, np.int64) for name in ("ids", "positions")}
    shape = ShapeBuckets(MAX_TOKENS).fitting(tokens, count_blocks(lengths))
    if shape is None:
        return
    filled = fill_up({**arrays, "rows": np.zeros(len(lengths), np.int64), "lengths": lengths}, shape, 0, 0)
    for laid, size in ((filled, shape.tokens), (layout_of(lengths), tokens)):
        assert (laid["starts"][:-1] + np.maximum(laid["lengths"], 1)).max() <= size
        assert (laid["key_starts"][:-1] + laid["key_counts"]).max() <= size
        assert laid["query_ends"].max() <= size
