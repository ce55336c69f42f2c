import pickle
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.classifier import Fault, RecordError
from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.ragged import (
    RaggedSequences,
    ScoredSequences,
    Scoring,
    concatenate,
    select,
    split,
    split_scores,
)


def failed(row: int) -> RecordError:
    return RecordError(Fault.INFERENCE_FAILED, f"e{row}", 1 + row)


def packed_of(lengths: list[int], typed: bool, first: int = 0) -> RaggedSequences:
    total = sum(lengths)
    ids = np.arange(first, first + total, dtype=np.int32)
    return RaggedSequences(ids, np.array(lengths, np.int32), (ids % 2).astype(np.uint8) if typed else None)


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    max_sequences=st.integers(1, 12),
    max_tokens=st.integers(1, 120),
    typed=st.booleans(),
)
@settings(deadline=None, derandomize=True)
def test_split_and_concatenate_undo_each_other(
    lengths: list[int], max_sequences: int, max_tokens: int, typed: bool
) -> None:
    packed = packed_of(lengths, typed)
    parts = split(packed, max_sequences, max_tokens)
    for part in parts:
        assert 1 <= len(part.lengths) <= max_sequences
        assert len(part.ids) == part.lengths.sum()
        assert len(part.ids) <= max_tokens or len(part.lengths) == 1
    whole = concatenate(parts)
    assert whole.ids.tolist() == packed.ids.tolist()
    assert whole.lengths.tolist() == lengths
    assert (whole.type_ids is None) == (packed.type_ids is None)
    if whole.type_ids is not None and packed.type_ids is not None:
        assert whole.type_ids.tolist() == packed.type_ids.tolist()


@pytest.mark.parametrize(
    ("max_sequences", "max_tokens", "expected"),
    [
        (9, 5, [[2, 3], [4, 1], [9]]),
        (9, 4, [[2], [3], [4], [1], [9]]),
        (9, 6, [[2, 3], [4, 1], [9]]),
        (9, 10, [[2, 3, 4, 1], [9]]),
        (2, 10, [[2, 3], [4, 1], [9]]),
        (9, 19, [[2, 3, 4, 1, 9]]),
    ],
)
def test_split_fills_parts_to_the_limits(max_sequences: int, max_tokens: int, expected: list[list[int]]) -> None:
    parts = split(packed_of([2, 3, 4, 1, 9], False), max_sequences, max_tokens)
    assert [part.lengths.tolist() for part in parts] == expected


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=9), data=st.data(), typed=st.booleans())
@settings(deadline=None, derandomize=True)
def test_select_returns_only_the_given_rows(lengths: list[int], data: st.DataObject, typed: bool) -> None:
    rows = sorted(data.draw(st.sets(st.sampled_from(range(len(lengths))), min_size=1)))
    packed = packed_of(lengths, typed)._replace(targets=np.array(lengths, np.int32) - 1)
    expected, found = concatenate([split(packed, 1, 1)[row] for row in rows]), select(packed, np.array(rows))
    assert (found.type_ids is None) == (not typed)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_select_of_adjacent_rows_is_a_view() -> None:
    packed = packed_of([2, 3, 4, 1], False)
    assert np.shares_memory(select(packed, np.array([1, 2])).ids, packed.ids)


def test_targets_are_kept() -> None:
    some, none = packed_of([2, 3], False)._replace(targets=np.array([1, 2], np.int32)), packed_of([4], False)
    whole = concatenate([some, none, some])
    assert whole.targets is not None
    assert whole.targets.tolist() == [1, 2, 0, 1, 2]
    alike = concatenate([some, some]).targets
    assert alike is not None
    assert alike.tolist() == [1, 2, 1, 2]
    assert concatenate([none, none]).targets is None
    parts = split(some, 1, 99)
    assert [None if part.targets is None else part.targets.tolist() for part in parts] == [[1], [2]]


def test_concatenate_fills_type_ids_where_a_part_has_none() -> None:
    whole = concatenate([packed_of([2], False), packed_of([3], True, first=1)])
    assert whole.type_ids is not None
    assert whole.type_ids.tolist() == [0, 0, 1, 0, 1]


@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=8), ranked=st.booleans(), data=st.data())
@settings(deadline=None, derandomize=True)
def test_split_scores_gives_each_part_its_rows(counts: list[int], ranked: bool, data: st.DataObject) -> None:
    n, k = sum(counts), 4
    top_ks = data.draw(st.lists(st.integers(1, k), min_size=len(counts), max_size=len(counts)))
    bad = data.draw(st.sets(st.sampled_from(range(n)))) if n else set()
    ids = np.arange(n * k, dtype=np.int32).reshape(n, k)
    scored = ScoredSequences(ids if ranked else None, ids.astype(np.float32), {row: failed(row) for row in bad})
    parts = split_scores(scored, counts, top_ks)
    for start, count, top_k, part in zip(accumulate(counts, initial=0), counts, top_ks, parts, strict=False):
        width = top_k if ranked else k
        assert part.scores.tolist() == ids[start : start + count, :width].tolist()
        assert (part.label_ids is None) is not ranked
        if part.label_ids is not None:
            assert part.label_ids.tolist() == part.scores.tolist()
        assert part.errors == {row - start: failed(row) for row in bad if start <= row < start + count}


def test_split_scores_refuses_rows_that_do_not_add_up() -> None:
    rows = np.zeros((3, 2), np.int32)
    with pytest.raises(ValueError, match="3 answers for 2"):
        split_scores(ScoredSequences(rows, rows.astype(np.float32), {}), [1, 1], [1, 1])
    with pytest.raises(ValueError, match="2 answers for 2"):
        split_scores(ScoredSequences(rows, rows[:2].astype(np.float32), {}), [1, 1], [1, 1])


RAW = Scoring(Activation.NONE)


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=9), data=st.data())
@settings(deadline=None, derandomize=True)
def test_scorings_follow_their_sequences(lengths: list[int], data: st.DataObject) -> None:
    apart = data.draw(st.sets(st.sampled_from(range(len(lengths)))))
    scorings = {row: Scoring(None, (row,)) for row in apart}
    packed = packed_of(lengths, False)._replace(scorings=scorings or None)
    parts = split(packed, data.draw(st.integers(1, 4)), 99)
    assert concatenate(parts).scorings == packed.scorings
    rows = sorted(data.draw(st.sets(st.sampled_from(range(len(lengths))), min_size=1)))
    expected = {i: scorings[row] for i, row in enumerate(rows) if row in scorings}
    assert select(packed, np.array(rows)).scorings == (expected or None)


def test_scorings_of_some_parts_stay_with_their_rows() -> None:
    some, none = packed_of([2, 3], False)._replace(scorings={1: RAW}), packed_of([4], False)
    assert concatenate([none, some, none, some]).scorings == {2: RAW, 5: RAW}


@pytest.mark.parametrize(("scorings", "fields"), [(None, 4), ({}, 4), ({0: RAW}, 5)])
def test_pickle_has_no_more_fields_than_needed(scorings: dict[int, Scoring] | None, fields: int) -> None:
    packed = packed_of([2], False)._replace(scorings=scorings)
    assert len(packed.__reduce__()[1]) == fields
    assert pickle.loads(pickle.dumps(packed)).scorings == (scorings or None)
