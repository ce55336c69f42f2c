"""Attention over sequences in one row, by blocks on a GPU and in plain steps."""

from typing import Any, cast

import numpy as np
import pytest
import torch

from labelstream.workers.engine.backends.pytorch import varlen_attention
from labelstream.workers.engine.backends.pytorch.buckets import layout_of


def test_mask_or_bias_with_a_layout_is_refused() -> None:
    q = torch.zeros(1, 2, 3, 4)
    layout = laid_out([3])
    given: list[tuple[torch.Tensor | None, dict[str, Any]]] = [
        (torch.ones(1, 1, 1, 3), {}),
        (None, {"position_bias": q}),
    ]
    for mask, more in given:
        with pytest.raises(ValueError, match="neither a mask nor a bias"):
            varlen_attention.attend(torch.nn.Identity(), q, q, q, mask, layout=layout, **more)


def laid_out(lengths: list[int]) -> varlen_attention.Layout:
    arrays = layout_of(np.array(lengths))
    return varlen_attention.Layout(**{name: torch.from_numpy(values).int() for name, values in arrays.items()})


def test_cpu_path_gets_the_kernels_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU's kernel and the plain steps get the same blocks: a fake kernel runs them by the plain steps."""
    given: list[Any] = []

    def kernel(
        q: Any,
        k: Any,
        v: Any,
        bias: Any,
        ends: Any,
        starts: Any,
        most_q: int,
        most_k: int,
        *more: Any,
        scale: float,
        seqlen_k: Any,
    ) -> tuple[torch.Tensor]:
        given.append((bias, most_q, more, len(ends) == len(starts)))
        return (plain(q[0], k[0], v[0], ends, starts, seqlen_k, scale)[None],)

    plain = varlen_attention._one_by_one
    query, key, value = (torch.randn(1, 2, 150, 8, generator=torch.Generator().manual_seed(i)) for i in range(3))
    layout = laid_out([100, 1, 49])
    expected = varlen_attention.attend(torch.nn.Identity(), query, key, value, None, layout=layout)[0]
    once = varlen_attention.attend_once(query[:, :, [0, 100, 101]], key, value, layout, 8**-0.5)
    monkeypatch.setattr(torch.ops.aten, "_efficient_attention_forward", kernel)
    q, k, v = (cast(torch.Tensor, OnGpu(one)) for one in (query, key, value))
    assert torch.equal(varlen_attention.attend(torch.nn.Identity(), q, k, v, None, layout=layout)[0], expected)
    few = cast(torch.Tensor, OnGpu(query[:, :, [0, 100, 101]]))
    assert torch.equal(varlen_attention.attend_once(few, k, v, layout, 8**-0.5), once)
    assert given == [(None, 64, (0.0, 0, False), True), (None, 1, (0.0, 0, False), True)]
    assert once[0] == pytest.approx(expected[0, [0, 100, 101]], abs=1e-6)


class OnGpu:
    """A tensor whose `is_cuda` is true."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor, self.is_cuda, self.shape, self.device = tensor, True, tensor.shape, tensor.device

    def transpose(self, *dims: int) -> torch.Tensor:
        return self._tensor.transpose(*dims)


@pytest.mark.parametrize("lengths", [[3], [1, 70, 5], [64, 64, 1]])
def test_attention_in_a_row_equals_each_sequences(lengths: list[int]) -> None:
    query, key, value = (
        torch.randn(1, 2, sum(lengths), 8, generator=torch.Generator().manual_seed(i)) for i in range(3)
    )
    found = varlen_attention.attend(torch.nn.Identity(), query, key, value, None, layout=laid_out(lengths))[0]
    parts = zip(*(part.split(lengths, dim=2) for part in (query, key, value)), strict=True)
    alone = [torch.nn.functional.scaled_dot_product_attention(*part).transpose(1, 2) for part in parts]
    assert found == pytest.approx(torch.cat(alone, dim=1), abs=1e-6)


def test_mask_is_none_without_padding() -> None:
    assert varlen_attention.mask_for(1, attention_mask=None) is None
