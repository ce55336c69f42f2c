"""The device's limits: matrix products alone, attention kernels compared, and forwards with possible improvements."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from labelstream.workers.engine.backends.pytorch.buckets import layout_of
from labelstream.workers.engine.backends.pytorch.cuda_graphs import CudaGraphs, recorder_for
from labelstream.workers.engine.backends.pytorch.varlen_attention import Layout, attend, attend_once
from tests.gpu import product
from tests.gpu.clock import CUDA, DEVICE, HALF, device_ms, table, tried
from tests.gpu.material import Batch, up_to
from tests.gpu.prototypes import Fused, by_sequence, flash, triton_attention

SIZES = (512, 4_096, 8_192, 16_384, 16_896, 32_768) if CUDA else (256,)


def ceilings() -> dict[str, Any]:
    """A copy, a large matrix product, and the model's own products with separate and with fused GELU."""
    copy = _copy_tb_s()
    found: dict[str, Any] = {"copy_tb_s": round(copy, 3)}
    print(f"copy {copy:.2f} TB/s, read and written", flush=True)
    hidden, up = product.HIDDEN, product.UP
    lines = []
    for out, k in ((hidden, hidden), (3 * hidden, hidden), (up, hidden), (hidden, up)):
        row = [f"{k} -> {out}", *(_product(tokens, k, out, gelu=out == up) for tokens in SIZES)]
        lines.append(row)
        found[row[0]] = row[1:]
    table(("product, TFLOP/s", *(f"{one:,} tokens" for one in SIZES)), lines)
    return found


def _copy_tb_s() -> float:
    big = torch.empty((1 << 30) if CUDA else 1 << 20, dtype=torch.uint8, device=DEVICE)
    other = torch.empty_like(big)
    return 2 * big.numel() / device_ms(lambda: other.copy_(big)) / 1e9


def _product(tokens: int, k: int, out: int, gelu: bool) -> str:
    x, w = (torch.randn(rows, k, device=DEVICE, dtype=HALF) for rows in (tokens, out))
    bias = torch.randn(out, device=DEVICE, dtype=HALF)
    cell = f"{2 * tokens * out * k / 1e9 / device_ms(lambda: F.linear(x, w, bias)):.0f}"
    if not gelu:
        return cell
    apart = device_ms(lambda: F.gelu(F.linear(x, w, bias)))
    inside = device_ms(lambda: torch._addmm_activation(bias, x, w.t(), use_gelu=True))  # pyright: ignore[reportPrivateImportUsage]
    return f"{cell}, GELU apart {apart * 1e3:.0f} us, inside {inside * 1e3:.0f} us"


def attention() -> dict[str, Any]:
    """One layer's attention on a full batch of the usual lengths, by kernel, with and without blocks."""
    packed = up_to(product.texts(2_000), product.BUDGET)
    b, size = Batch(packed, DEVICE), product.HIDDEN // product.HEADS
    q, k, v = torch.randn(b.tokens, 3 * product.HIDDEN, device=DEVICE, dtype=HALF).chunk(3, -1)
    one = q[b.rows].contiguous()
    layout = Layout(
        **{
            name: torch.from_numpy(values).int().to(DEVICE)
            for name, values in layout_of(packed.lengths.astype(np.int64)).items()
        }
    )
    heads = lambda x: x.unflatten(-1, (-1, size)).transpose(0, 1)[None]  # noqa: E731
    none = torch.nn.Identity()
    ways: dict[str, Callable[[], torch.Tensor]] = {
        "the product's, in blocks": lambda: attend(none, heads(q), heads(k), heads(v), None, layout=layout)[0],
        "its kernel, by sequence": lambda: by_sequence(q, k, v, b.ends, b.ends, b.longest, b.longest, size),
        "flash": lambda: flash(q, k, v, b.ends, b.ends, b.longest, b.longest, size),
        **{
            f"Triton {bm}x{bn}": lambda bm=bm, bn=bn: triton_attention(q, k, v, b.first, b.last, size, bm, bn)
            for bm, bn in ((64, 64), (64, 32))
        },
        "one query: the product's": lambda: attend_once(heads(one), heads(k), heads(v), layout, size**-0.5),
        "one query: flash": lambda: flash(one, k, v, b.each, b.ends, 1, b.longest, size),
        "one query: Triton 16x64": lambda: triton_attention(one, k, v, b.row_first, b.row_last, size, 16, 64),
    }
    with torch.inference_mode():
        on_cpu = [heads(x.float()).cpu() for x in (q, k, v)]
        expected = attend(none, on_cpu[0], on_cpu[1], on_cpu[2], None, layout=layout)[0].reshape(q.shape)
    lines, found = [], {}
    for name, run in ways.items():

        def attempt(name: str = name, run: Callable[[], torch.Tensor] = run) -> tuple[float, float]:
            with torch.inference_mode():
                out = run().float().cpu()
                wanted = expected[b.rows.cpu()] if name.startswith("one") else expected
                off = ((out.reshape(wanted.shape) - wanted).norm() / wanted.norm()).item()
                return device_ms(run) * 1e3, off

        found[name] = tried(attempt)
        lines.append((name, *(found[name] if isinstance(found[name], tuple) else (found[name], ""))))
    table((f"attention of a layer, {b.tokens:,} tokens", "us", "relative error"), lines)
    return found


def forwards() -> dict[str, Any]:
    """Texts/s of whole forwards by batch tokens: Labelstream's, then with one possible improvement after another."""
    model = product.transformers_model(HALF)
    _, eager = product.backend()
    made = product.predictor(max(SIZES))
    recorder = recorder_for(DEVICE)
    steps: list[tuple[str, Any]] = [
        ("the product, launched", eager),
        ("the product, recorded", made.backend),
        ("no modules, one product for q, k, v, recorded", ("by_sequence", "torch", "erf")),
        ("+ GELU inside the product", ("by_sequence", "torch", "lt")),
        ("+ residual and norm in one kernel (Triton)", ("by_sequence", "triton", "lt")),
        ("+ attention in Triton", ("triton", "triton", "lt")),
    ]
    found, lines = {}, []
    for name, way in steps:
        row: list[Any] = []
        for tokens in SIZES:
            packed = up_to(product.texts(2_000), tokens)

            def attempt(way: Any = way, packed: Any = packed) -> float:
                with torch.inference_mode():
                    if not isinstance(way, tuple):
                        batch = product.as_batch(packed)
                        run: Callable[[], Any] = lambda: way.packed_logits(batch)  # noqa: E731
                    else:
                        fused, on_device = Fused(model, *way), Batch(packed, DEVICE)
                        run = lambda: fused(on_device)  # noqa: E731
                        if recorder is not None:
                            graphs = CudaGraphs(recorder)
                            graphs.record("all", lambda: fused(on_device))
                            run = lambda: graphs.replay("all", on_device.n)  # noqa: E731
                    return len(packed.lengths) / device_ms(run, 12) * 1e3

            row.append(tried(attempt))
        lines.append((name, *row))
        found[name] = row
    table(("texts/s of the device alone", *(f"{one:,} tokens" for one in SIZES)), lines)
    return found
