"""Prototypes that Labelstream does not use, to measure their gain: Triton kernels, and a forward without modules.

Triton compiles for the GPU at run time, which needs a C compiler; Labelstream's image has none. With TRITON_INTERPRET=1
the kernels run on a CPU, to try the script.
"""

from typing import Any

import torch
import torch.nn.functional as F

from labelstream.workers.engine.backends.pytorch import varlen_attention
from tests.gpu.material import Batch

try:
    import triton
    import triton.language as tl
except ImportError:  # the steps that use it say that it failed
    triton = None

aten = torch.ops.aten
_LOG2_E = 1.4426950408889634

if triton is not None:

    @triton.jit
    def _attend(Q, K, V, O, FIRST, LAST, T, sq, sk, sv, so, scale,  # noqa: E741
                SIZE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):  # fmt: skip
        rows = tl.program_id(0) * BM + tl.arange(0, BM)
        head = tl.program_id(1) * SIZE
        ok = rows < T
        d = tl.arange(0, SIZE)
        first = tl.load(FIRST + rows, mask=ok, other=2147483647)
        last = tl.load(LAST + rows, mask=ok, other=0)
        begin = tl.min(first, axis=0)
        end = tl.max(last, axis=0)
        q = tl.load(Q + rows[:, None] * sq + head + d[None, :], mask=ok[:, None], other=0.0)
        most = tl.full([BM], -1e30, tl.float32)
        total = tl.zeros([BM], tl.float32)
        acc = tl.zeros([BM, SIZE], tl.float32)
        for start in range(begin, end, BN):
            cols = start + tl.arange(0, BN)
            there = cols < end
            k = tl.load(K + cols[None, :] * sk + head + d[:, None], mask=there[None, :], other=0.0)
            s = tl.dot(q, k) * scale
            inside = (cols[None, :] >= first[:, None]) & (cols[None, :] < last[:, None])
            s = tl.where(inside, s, float("-inf"))
            now = tl.maximum(most, tl.max(s, axis=1))
            p = tl.exp2(s - now[:, None])
            keep = tl.exp2(most - now)
            v = tl.load(V + cols[:, None] * sv + head + d[None, :], mask=there[:, None], other=0.0)
            total = total * keep + tl.sum(p, axis=1)
            acc = acc * keep[:, None] + tl.dot(p.to(v.dtype), v)
            most = now
        acc = acc / tl.maximum(total, 1e-30)[:, None]
        tl.store(O + rows[:, None] * so + head + d[None, :], acc.to(O.dtype.element_ty), mask=ok[:, None])

    @triton.jit
    def _add_norm(X, R, W, B, O, size, eps, BLOCK: tl.constexpr):  # noqa: E741
        row = tl.program_id(0).to(tl.int64) * size
        at = tl.arange(0, BLOCK)
        ok = at < size
        x = tl.load(X + row + at, mask=ok, other=0.0).to(tl.float32)
        x += tl.load(R + row + at, mask=ok, other=0.0).to(tl.float32)
        mean = tl.sum(x, axis=0) / size
        off = tl.where(ok, x - mean, 0.0)
        scale = 1.0 / tl.sqrt(tl.sum(off * off, axis=0) / size + eps)
        w = tl.load(W + at, mask=ok, other=0.0).to(tl.float32)
        b = tl.load(B + at, mask=ok, other=0.0).to(tl.float32)
        tl.store(O + row + at, (off * scale * w + b).to(O.dtype.element_ty), mask=ok)


def triton_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    first: torch.Tensor,
    last: torch.Tensor,
    size: int,
    bm: int = 64,
    bn: int = 64,
    warps: int = 4,
) -> torch.Tensor:
    """[T, hidden], heads of size `size`: each query attends to the keys from `first` to `last`, int32 [T]."""
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    grid = (triton.cdiv(q.shape[0], bm), q.shape[1] // size)
    _attend[grid](q, k, v, out, first, last, q.shape[0], q.stride(0), k.stride(0), v.stride(0), out.stride(0),
                  size**-0.5 * _LOG2_E, SIZE=size, BM=bm, BN=bn, num_warps=warps)  # fmt: skip
    return out


def triton_add_norm(x: torch.Tensor, residual: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """LayerNorm of the sum, [T, hidden]."""
    out = torch.empty_like(x)
    block = triton.next_power_of_2(x.shape[1])
    _add_norm[(x.shape[0],)](x, residual, w, b, out, x.shape[1], 1e-12, BLOCK=block, num_warps=4)
    return out


def flash(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    q_ends: torch.Tensor,
    ends: torch.Tensor,
    most_q: int,
    longest: int,
    size: int,
) -> torch.Tensor:
    """Flash attention for [T, hidden]; on a CPU the plain steps, to try the script."""
    if not q.is_cuda:
        return _plain(q, k, v, q_ends, ends, size)
    shaped = (one.unflatten(-1, (-1, size)) for one in (q, k, v))
    return aten._flash_attention_forward(*shaped, q_ends, ends, most_q, longest, 0.0, False, False, scale=size**-0.5)[
        0
    ].flatten(1)


def by_sequence(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    q_ends: torch.Tensor,
    ends: torch.Tensor,
    most_q: int,
    longest: int,
    size: int,
) -> torch.Tensor:
    """Labelstream's kernel, with whole sequences instead of blocks; on a CPU the plain steps, to try the script."""
    if not q.is_cuda:
        return _plain(q, k, v, q_ends, ends, size)
    shaped = (one.unflatten(-1, (-1, size))[None] for one in (q, k, v))
    return aten._efficient_attention_forward(*shaped, None, q_ends, ends, most_q, longest, 0.0, 0, False,
                                             scale=size**-0.5)[0][0].flatten(1)  # fmt: skip


def _plain(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, q_ends: torch.Tensor, ends: torch.Tensor, size: int
) -> torch.Tensor:
    shaped = (one.unflatten(-1, (-1, size)) for one in (q, k, v))
    return varlen_attention._one_by_one(*shaped, q_ends, ends[:-1], ends.diff(), size**-0.5).flatten(1)


class Fused:
    """DistilBERT without padding and modules, from transformers' weights, with one matrix product for q, k and v.

    `attention`: "by_sequence" or "triton". `norm`: "torch" or "triton". `gelu`: "erf", or "lt" for cuBLASLt's epilogue.
    """

    def __init__(self, model: Any, attention: str, norm: str, gelu: str) -> None:
        self._attention, self._norm, self._gelu = attention, norm, gelu
        self._hidden, self._size = model.config.dim, model.config.dim // model.config.n_heads
        embeddings = model.distilbert.embeddings
        self._words, self._places = (
            one.weight.data for one in (embeddings.word_embeddings, embeddings.position_embeddings)
        )
        self._first_norm = embeddings.LayerNorm.weight.data, embeddings.LayerNorm.bias.data
        self._layers = [_weights(layer) for layer in model.distilbert.transformer.layer]
        self._head = [(one.weight.data, one.bias.data) for one in (model.pre_classifier, model.classifier)]

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Logits [n, labels]."""
        with torch.inference_mode():
            x = F.embedding(batch.ids, self._words) + F.embedding(batch.positions, self._places)
            x = F.layer_norm(x, (self._hidden,), *self._first_norm, 1e-12)
            for i, weights in enumerate(self._layers):
                x = self._layer(x, weights, batch, i == len(self._layers) - 1)
            (w1, b1), (w2, b2) = self._head
            return F.linear(F.relu(F.linear(x, w1, b1)), w2, b2)

    def _layer(self, x: torch.Tensor, weights: tuple[torch.Tensor, ...], batch: Batch, last: bool) -> torch.Tensor:
        qkv_w, qkv_b, out_w, out_b, g1, b1, w1, c1, w2, c2, g2, b2 = weights
        if last:
            whole, x, hidden = x, x[batch.rows], self._hidden
            q = F.linear(x, qkv_w[:hidden], qkv_b[:hidden])
            k, v = F.linear(whole, qkv_w[hidden:], qkv_b[hidden:]).chunk(2, -1)
        else:
            q, k, v = F.linear(x, qkv_w, qkv_b).chunk(3, -1)
        x = self._add_norm(F.linear(self._attend(q, k, v, batch, last), out_w, out_b), x, g1, b1)
        return self._add_norm(F.linear(self._up(x, w1, c1), w2, c2), x, g2, b2)

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, batch: Batch, last: bool) -> torch.Tensor:
        if self._attention == "triton":
            if last:
                return triton_attention(q, k, v, batch.row_first, batch.row_last, self._size, 16, 64)
            return triton_attention(q, k, v, batch.first, batch.last, self._size)
        ends, most = (batch.each, 1) if last else (batch.ends, batch.longest)
        return by_sequence(q, k, v, ends, batch.ends, most, batch.longest, self._size)

    def _add_norm(self, x: torch.Tensor, residual: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        if self._norm == "triton":
            return triton_add_norm(x, residual, w, b)
        return F.layer_norm(x + residual, (self._hidden,), w, b, 1e-12)

    def _up(self, x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        if self._gelu == "lt":
            return torch._addmm_activation(b, x, w.t(), use_gelu=True)
        return F.gelu(F.linear(x, w, b))


def _weights(layer: Any) -> tuple[torch.Tensor, ...]:
    linears = (layer.attention.q_lin, layer.attention.k_lin, layer.attention.v_lin)
    others = (layer.attention.out_lin, layer.sa_layer_norm, layer.ffn.lin1, layer.ffn.lin2, layer.output_layer_norm)
    return (
        torch.cat([one.weight.data for one in linears]),
        torch.cat([one.bias.data for one in linears]),
        *(part for one in others for part in (one.weight.data, one.bias.data)),
    )
