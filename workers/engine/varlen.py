"""Attention over sequences that lie one behind the other in one row, without padding: [1, T, hidden].

transformers lets one register an attention function; the model's own code then runs on such a row, with each token's
position in its own sequence, and only attention needs to know where sequences end. That arrives as transformers' own
arguments for it, `cu_seq_lens_q` and `max_length_q`. Without them the function is transformers' "sdpa".
"""

import itertools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "labelstream_varlen"


def attend(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: torch.Tensor | None, *, dropout: float = 0.0, scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None, max_length_q: int = 0, **more: Any,
) -> tuple[torch.Tensor, None]:
    """Of [1, heads, T, size] each: [1, T, heads, size]. `cu_seq_lens_q`: int32 [n + 1], 0 and where sequences end."""
    if cu_seq_lens_q is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **more
        )
    # A family that has a bias of its own would lose it here, silently: those are not let in, and this makes sure.
    if attention_mask is not None or more.get("position_bias") is not None:
        raise ValueError("attention without padding takes neither a mask nor a bias")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (one[0].transpose(0, 1) for one in (query, key, value))  # [T, heads, size]
    return _attended(q, k, v, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q, scale)[None], None


def attend_once(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ends: torch.Tensor, longest: int, scale: float
) -> torch.Tensor:
    """As `attend`, with one query for each of the n sequences: [1, heads, n, size] -> [1, n, heads, size]."""
    q, k, v = (one[0].transpose(0, 1) for one in (query, key, value))
    each = torch.arange(len(ends), dtype=ends.dtype, device=ends.device)
    return _attended(q, k, v, each, ends, 1, longest, scale)[None]


def kernels(device_type: str) -> AbstractContextManager[Any]:
    """Around a forward without padding. cuDNN would plan anew for every count of tokens, so it is left out."""
    return sdpa_kernel(SDPBackend.FLASH_ATTENTION) if device_type == "cuda" else nullcontext()


def _attended(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_ends: torch.Tensor, ends: torch.Tensor,
    most_queries: int, longest: int, scale: float,
) -> torch.Tensor:
    """[T, heads, size] of queries, each of which attends to the keys of its own sequence."""
    if not query.is_cuda:
        return _one_by_one(query, key, value, query_ends, ends, scale)
    from torch.nn.attention.varlen import varlen_attn

    attended = varlen_attn(query, key, value, query_ends, ends, most_queries, longest, scale=scale)
    assert isinstance(attended, torch.Tensor)
    return attended


def _one_by_one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, query_ends: torch.Tensor, ends: torch.Tensor,
    scale: float,
) -> torch.Tensor:
    """The same in plain steps, for devices that have no such kernel: a CPU, where this is what the kernel is tested by.

    Tokens behind the last end belong to no sequence; what they get is never read.
    """
    attended = torch.zeros_like(query)
    for of, among in zip(itertools.pairwise(query_ends.tolist()), itertools.pairwise(ends.tolist()), strict=True):
        if among[1] > among[0]:
            q, k, v = (part[slice(*bounds)].transpose(0, 1)[None]
                       for part, bounds in ((query, of), (key, among), (value, among)))
            attended[slice(*of)] = scaled_dot_product_attention(q, k, v, scale=scale)[0].transpose(0, 1)
    return attended


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
