"""The measurements, one function per step: each prints a table and returns plain figures."""

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers

from labelstream.deploy.bench.measures.flops import Flops, matmul_peak
from labelstream.workers.engine.batching.dynamic_batcher import DynamicBatcher, full_tokens_for
from labelstream.workers.engine.description import Activation
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.inference.scoring import score
from labelstream.workers.engine.inference.warmup import warm_up
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, split
from tests.gpu import product
from tests.gpu.clock import CUDA, DEVICE, HALF, device_ms, launch_ms, seconds, sync, table, tried
from tests.gpu.material import Batch, first, up_to
from tests.gpu.prototypes import Fused
from tests.gpu.uninstalled import python_path

ROOT = Path(__file__).parents[2]
COUNT = 65_536 if CUDA else 128
COMPARED = 192 if CUDA else 12
AS_REPLICAS = 0.0005, 2.0  # the switch interval that a replica sets, and about what Serve's own Python takes a call, ms


def machine() -> dict[str, Any]:
    """Versions and the device."""
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": sys.version.split()[0],
        "cores": len(os.sched_getaffinity(0)),
    }
    if CUDA:
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "gpu": properties.name,
            "multiprocessors": properties.multi_processor_count,
            "memory_gb": properties.total_memory >> 30,
            "cudnn": torch.backends.cudnn.version(),
            "matmul_tflops": round(matmul_peak(DEVICE, HALF) / 1e12, 1),
        }
    print(found, flush=True)
    return found


def right() -> dict[str, Any]:
    """Compare scores with float32's on the CPU, text by text. Runs first: speed is worthless with wrong scores."""
    some = first(product.texts(400), COMPARED)
    reference = product.transformers_model(torch.float32, torch.device("cpu"))
    ends = np.cumsum(some.lengths)
    with torch.inference_mode():
        expected = np.concatenate(
            [
                torch.softmax(
                    reference(input_ids=torch.from_numpy(some.ids[end - length : end].astype(np.int64))[None]).logits,
                    -1,
                ).numpy()
                for length, end in zip(some.lengths, ends, strict=True)
            ]
        )
    lines, found = [], {}

    def compare(name: str, dtype: str, budget: int, padded: bool = False, recorded: bool = True) -> None:
        def attempt() -> tuple[float, float]:
            made = product.padded_predictor(dtype) if padded else Predictor(*product.backend(dtype), budget)
            if recorded and not padded:
                warm_up(made)
            return _off(by_label(made.predict(some, 2)), expected)

        result = tried(attempt)
        found[name] = result
        lines.append((name, *result) if isinstance(result, tuple) else (name, result, ""))

    compare("half, padded", "auto", product.BUDGET, padded=True)
    compare("half, without padding", "auto", product.BUDGET, recorded=False)
    compare("half, recorded", "auto", product.BUDGET)
    compare("half, recorded, forwards of 2,048 tokens", "auto", 2_048)
    compare("float32, padded", "float32", product.BUDGET, padded=True)
    compare("float32, recorded", "float32", product.BUDGET)
    batch, model = Batch(some, DEVICE), product.transformers_model(HALF)
    for options in (("by_sequence", "torch", "lt"), ("triton", "triton", "lt")):
        name = f"not the product's: attention {options[0]}, norm {options[1]}, GELU inside"
        found[name] = tried(
            lambda options=options: _off(
                torch.softmax(Fused(model, *options)(batch).float(), -1).cpu().numpy(), expected
            )
        )
        lines.append((name, *(found[name] if isinstance(found[name], tuple) else (found[name], ""))))
    table(("way", "scores off float32 by", "same label"), lines)
    return found


def by_label(scored: ScoredSequences) -> np.ndarray:
    """float32 [n, labels], in the order of the ids."""
    assert scored.label_ids is not None
    assert not scored.errors
    return np.take_along_axis(scored.scores, np.argsort(scored.label_ids, axis=1), axis=1)


def _off(found: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """The largest difference, and the share of texts with the same label."""
    return float(np.abs(found - expected).max()), float((found.argmax(1) == expected.argmax(1)).mean())


def start() -> dict[str, Any]:
    """Time of a replica from the weights on disk to its first answer, and the memory that it then holds."""
    product.folder()
    gc.collect()
    started = time.perf_counter()
    description, backend = product.backend()
    loaded = time.perf_counter()
    made = Predictor(description, backend, product.BUDGET)
    warm_up(made)
    ready = time.perf_counter()
    graphs = backend._graphs
    found = {
        "load_s": round(loaded - started, 2),
        "warm_up_s": round(ready - loaded, 2),
        "recorded": 0 if graphs is None else len(graphs),
        "memory_mb": {name: value >> 20 for name, value in backend.memory().items()},
    }
    print(found, flush=True)
    return found


def cudnn() -> dict[str, Any]:
    """The cost of a new batch shape with cuDNN's attention, which torch 2.11 prefers on Hopper, and without it."""
    lines, found = [], {}
    for on in (True, False):
        torch.backends.cuda.enable_cudnn_sdp(on)
        firsts, alone = [], []
        for n, length in ((500, 33), (470, 34), (430, 37), (333, 49), (160, 101)) if CUDA else ((2, 8),):
            q = torch.randn(n, length, product.HEADS, product.HIDDEN // product.HEADS, device=DEVICE, dtype=HALF)
            q = q.transpose(1, 2)
            lengths = torch.randint(3, length + 1, (n, 1), device=DEVICE)
            mask = (torch.arange(length, device=DEVICE) < lengths)[:, None, None]

            def run(q: torch.Tensor = q, mask: torch.Tensor = mask) -> None:
                F.scaled_dot_product_attention(q, q, q, attn_mask=mask)
                sync()

            sync()
            firsts.append(seconds(run) * 1e3)
            alone.append(device_ms(run))
        name = "cuDNN on" if on else "cuDNN off"
        found[name] = {"first_ms": firsts, "device_ms": alone}
        lines.append((name, " ".join(f"{one:.1f}" for one in firsts), " ".join(f"{one:.3f}" for one in alone)))
    torch.backends.cuda.enable_cudnn_sdp(False)
    table(("masked attention of 5 shapes", "first call, ms", "device alone, ms"), lines)
    return found


def launching() -> dict[str, Any]:
    """Python's time to launch a forward. It holds the GIL, and bounds the time of a shorter forward."""
    recording: Any = product.predictor(product.BUDGET).backend
    _, eager = product.backend()
    small = product.as_batch(first(product.texts(16), 4))
    full = product.as_batch(up_to(product.texts(COUNT), product.BUDGET))
    logits = torch.randn(512, 2, device=DEVICE, dtype=HALF)
    ways = {}
    if eager.packs:
        for name, batch in (("4 texts", small), ("a full batch", full)):
            ways[f"{name}, launched"] = lambda batch=batch: eager.packed_logits(batch)
            ways[f"{name}, recorded"] = lambda batch=batch: recording.packed_logits(batch)
    ways["scores of 512 texts"] = lambda: score(logits, Activation.SOFTMAX, 2)
    found = {name: tried(lambda run=run: round(launch_ms(run), 3)) for name, run in ways.items()}
    table(("launching", "CPU ms"), list(found.items()))
    return found


def profile() -> dict[str, Any]:
    """Where the device's time goes in one full forward."""
    if not CUDA:
        return {}
    made, batch = product.predictor(product.BUDGET), product.as_batch(up_to(product.texts(COUNT), product.BUDGET))
    backend: Any = made.backend
    run = lambda: backend.packed_logits(batch)  # noqa: E731
    for _ in range(3):
        run()
    sync()
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as seen:
        run()
        sync()
    events = [event for event in seen.key_averages() if event.device_type == torch.profiler.DeviceType.CUDA]
    events.sort(key=lambda event: -event.self_device_time_total)
    total = sum(event.self_device_time_total for event in events)
    top = [(event.key[:100], event.count, event.self_device_time_total) for event in events[:25]]
    table(("kernel", "times", "us", "share"), [(*one, f"{one[2] / total:.1%}") for one in top[:14]])
    count = sum(event.count for event in events)
    print(f"{count} kernels, {total:.0f} us for {len(batch.ids)} tokens", flush=True)
    return {"kernels": count, "us": total, "tokens": len(batch.ids), "top": top}


def host() -> dict[str, Any]:
    """Texts/s from token ids to scores on the host, by token budget, with calls overlapped as in a replica."""
    whole, lines, found = product.texts(COUNT), [], {}
    flops = Flops(product.transformers_model(torch.float32, torch.device("cpu")), 512, True).of(whole.lengths) / COUNT
    peak = matmul_peak(DEVICE, HALF)

    def rate(made: Predictor, joined: int, ahead: int) -> float:
        parts = split(whole, COUNT, joined)
        seconds(lambda: _run(made, parts, ahead))
        taken = min(seconds(lambda: _run(made, parts, ahead)) for _ in range(3))
        return COUNT / taken

    budgets = (8_192, product.BUDGET, 32_768) if CUDA else (256,)
    for budget, padded in (*((budget, False) for budget in budgets), (product.BUDGET, True)):

        def attempt(budget: int = budget, padded: bool = padded) -> tuple[float, float, float]:
            made = product.padded_predictor() if padded else product.predictor(budget)
            joined = full_tokens_for(budget)
            return rate(made, joined, 0), rate(made, joined, 1), rate(made, budget, 1)

        result, name = tried(attempt), f"{budget}, padded" if padded else str(budget)
        found[name] = result
        lines.append(
            (name, *result, f"{max(result) * flops / peak:.2f}")
            if isinstance(result, tuple)
            else (name, result, "", "", "")
        )
    table(
        (
            "tokens a forward",
            "texts/s: 4 forwards a call, none ahead",
            "one ahead",
            "1 forward a call, one ahead",
            "MFU",
        ),
        lines,
    )
    return {**found, "gflop_per_text": round(flops / 1e9, 3)}


def _run(made: Predictor, parts: list[RaggedSequences], ahead: int) -> None:
    begun: deque[Any] = deque()
    for part in parts:
        begun.append(made.begin(part, 2))
        while len(begun) > ahead:
            begun.popleft()()
    while begun:
        begun.popleft()()


def whole_process() -> dict[str, Any]:
    """What a replica's process does: an event loop that unpickles calls as Serve would hand them over, the batcher, the
    device's thread. By texts a call, by Python's switch interval, and by what Serve's own Python takes a call."""
    made, whole = product.predictor(product.BUDGET), product.texts(COUNT)
    per_calls = (512, 2_048) if CUDA else (64,)
    lines, found = [], {}
    for per_call in per_calls:
        blobs = [pickle.dumps(part, protocol=5) for part in split(whole, per_call, 10**9)]
        for python_ms in (0.0, 2.0):
            rates: dict[float, list[float]] = {0.005: [], 0.0005: []}
            for _ in range(3):
                for interval, seen in rates.items():
                    seen.append(COUNT / _serve(made, blobs, interval, python_ms))
            for interval, seen in rates.items():
                name = _as_replicas(per_call, interval, python_ms)
                found[name] = sorted(seen)[1]
                lines.append((per_call, python_ms, f"{interval * 1e3:g}", found[name], min(seen), max(seen)))
    table(("texts a call", "Python a call, ms", "switch interval, ms", "texts/s", "lowest", "highest"), lines)
    return {**found, "replica_texts_per_s": found[_as_replicas(per_calls[0], *AS_REPLICAS)]}


def _as_replicas(per_call: int, interval: float, python_ms: float) -> str:
    return f"{per_call} texts and {python_ms:g} ms of Python a call, switch interval {interval * 1e3:g} ms"


def _serve(made: Predictor, blobs: list[bytes], interval: float, python_ms: float) -> float:
    """Seconds for all calls, 40 at a time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    device = ThreadPoolExecutor(1)
    batcher = DynamicBatcher(device, made.begin, full_tokens_for(made.max_batch_tokens), 0.005, overlaps=CUDA)

    async def serve() -> None:
        room = asyncio.Semaphore(40)

        async def one(blob: bytes) -> None:
            async with room:
                end = time.perf_counter() + python_ms / 1e3
                while time.perf_counter() < end:
                    sum(range(50))
                scored = await asyncio.wrap_future(batcher.submit(pickle.loads(blob), 2))
                pickle.dumps(scored, protocol=5)

        await asyncio.gather(*map(one, blobs))

    try:
        return seconds(lambda: asyncio.run(serve()))
    finally:
        device.shutdown()
        sys.setswitchinterval(before)


_FAILED_CAPTURE = """
import torch
from labelstream.workers.engine.backends.pytorch.cuda_graphs import CudaRecorder, Graphs
graphs, before = Graphs(CudaRecorder(torch.device("cuda"))), torch.cuda.current_stream()
x = torch.ones(8, device="cuda")
def bad():
    x.sum().item()
    return x * 2
def attempt(what, run):
    try:
        print(what, "works", run() or "")
    except Exception as error:
        print(what, "fails:", str(error).splitlines()[0][:120])
attempt("a recording that asks the host", lambda: graphs.record("bad", bad))
print("the stream is the one before:", torch.cuda.current_stream() == before)
attempt("empty_cache", torch.cuda.empty_cache)
attempt("another recording", lambda: graphs.record("good", lambda: x * 2))
"""


def failed_capture() -> dict[str, Any]:
    """The state of torch after a failed recording, in a process of its own."""
    if not CUDA:
        return {}
    done = subprocess.run(
        [sys.executable, "-c", _FAILED_CAPTURE],
        capture_output=True,
        text=True,
        timeout=90,
        env={**os.environ, "PYTHONPATH": python_path(ROOT)},
    )
    print(done.stdout, done.stderr[-300:] if done.returncode else "", flush=True)
    return {"rc": done.returncode, "out": done.stdout}
