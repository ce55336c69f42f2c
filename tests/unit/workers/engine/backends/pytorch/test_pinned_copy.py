import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labelstream.workers.engine.backends.pytorch.pinned_copy import copier_for, fill, share, views

ARRAYS = st.dictionaries(
    st.sampled_from(["ids", "lengths", "type_ids", "targets"]),
    npst.arrays(np.int64, npst.array_shapes(max_dims=2, max_side=9)),
    min_size=1,
)


@given(arrays=ARRAYS, spare=st.integers(0, 9))
def test_fill_and_views_restore_the_arrays(arrays: dict[str, np.ndarray], spare: int) -> None:
    buffer = np.full(sum(values.size for values in arrays.values()) + spare, -1)
    found = views(torch.from_numpy(buffer), fill(buffer, arrays))
    assert list(found) == list(arrays)
    for name, values in arrays.items():
        assert found[name].shape == values.shape
        assert np.array_equal(found[name].numpy(), values)
    assert (buffer[len(buffer) - spare :] == -1).all()


def test_cpu_tensors_share_the_arrays_memory() -> None:
    values = np.arange(6).reshape(2, 3)
    (tensor,) = copier_for(torch.device("cpu"))({"ids": values}).values()
    assert tensor.data_ptr() == values.ctypes.data
    assert copier_for(torch.device("cpu")) is share
