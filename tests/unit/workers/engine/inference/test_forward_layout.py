"""Layouts with and without padding keep every token in place."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from labelstream.workers.engine.inference.forward_layout import pack, pad
from labelstream.workers.engine.ragged import RaggedSequences


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=9), data=st.data(), typed=st.booleans())
@settings(deadline=None, derandomize=True)
def test_padding_keeps_every_token_in_place(lengths: list[int], data: st.DataObject, typed: bool) -> None:
    rows = data.draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1, unique=True))
    total = sum(lengths)
    type_ids = np.arange(total).astype(np.uint8) if typed else None
    packed = RaggedSequences(np.arange(100, 100 + total, dtype=np.int32), np.array(lengths, np.int32), type_ids)
    starts = np.cumsum([0, *lengths[:-1]])
    batch = pad(packed, starts, np.array(rows), 7)
    width = max(lengths[row] for row in rows)
    assert batch.ids.shape == (len(rows), width)
    for i, row in enumerate(rows):
        tokens = packed.ids[starts[row] : starts[row] + lengths[row]].tolist()
        assert batch.ids[i].tolist() == tokens + [7] * (width - lengths[row])
        assert batch.lengths[i] == lengths[row]
        if batch.type_ids is not None and type_ids is not None:
            types = type_ids[starts[row] : starts[row] + lengths[row]].tolist()
            assert batch.type_ids[i].tolist() == types + [0] * (width - lengths[row])
    assert (batch.type_ids is not None) == typed


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=9), data=st.data(), typed=st.booleans())
@settings(deadline=None, derandomize=True)
def test_packing_keeps_every_token_in_place(lengths: list[int], data: st.DataObject, typed: bool) -> None:
    rows = data.draw(st.lists(st.sampled_from(range(len(lengths))), min_size=1))
    total = sum(lengths)
    type_ids = np.arange(total).astype(np.uint8) if typed else None
    targets = np.array(lengths, np.int32) - 1
    ids = np.arange(100, 100 + total, dtype=np.int32)
    packed = RaggedSequences(ids, np.array(lengths, np.int32), type_ids, targets)
    starts = np.cumsum([0, *lengths[:-1]])
    batch = pack(packed, starts, np.array(rows))
    spans = [(int(starts[row]), int(starts[row]) + lengths[row]) for row in rows]
    assert batch.ids.tolist() == [100 + i for start, end in spans for i in range(start, end)]
    assert batch.positions.tolist() == [i - start for start, end in spans for i in range(start, end)]
    assert batch.lengths.tolist() == [lengths[row] for row in rows]
    assert batch.starts.tolist() == np.cumsum([0, *batch.lengths[:-1]]).tolist()
    assert batch.targets is not None
    assert batch.targets.tolist() == [lengths[row] - 1 for row in rows]
    assert (batch.type_ids is not None) == typed
    if batch.type_ids is not None:
        assert batch.type_ids.tolist() == [i for start, end in spans for i in range(start, end)]
