"""The engine on a GPU gives the answers of float32 on the CPU, on every code path."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelstream.workers.engine.backends.pytorch import varlen_attention
from labelstream.workers.engine.backends.pytorch.buckets import ShapeBuckets, layout_of
from labelstream.workers.engine.backends.pytorch.pinned_copy import PinnedCopier
from labelstream.workers.engine.inference.forward_layout import pack, pad
from labelstream.workers.engine.inference.predict_call import Rows
from labelstream.workers.engine.inference.predictor import DEFAULT_BATCH_TOKENS, Predictor
from labelstream.workers.engine.inference.warmup import warm_up
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, concatenate
from labelstream.workers.errors import ModelError
from tests.gpu.material import make_ids
from tests.gpu.uninstalled import python_path
from tests.support.models import FAMILIES, build, scale_weights

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
WITHOUT_PADDING = ("distilbert", "bert", "roberta", "xlm-roberta", "electra", "albert")
# Heads of size 16, which fused kernels support; the small models of the other tests have heads of size 8.
SIZES: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 64, "n_heads": 4, "hidden_dim": 128},
    **{family: {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128} for family in FAMILIES[1:]},
}
HALF = 1e-2
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    @cache
    def made(name: str) -> Path:
        family, _, architecture = name.partition(":")
        more = {"architecture": architecture} if architecture else {"labels": ("a", "b", "c")}
        return scale_weights(build(tmp_path_factory.mktemp(family), family, **more, **SIZES[family]), 0.4)

    return made


def predictor(folder: Path, budget: int | None = 2_048, **options: Any) -> Predictor:
    made = Predictor(*load(str(folder), ModelOptions(backend="torch", **options)), budget)
    warm_up(made)
    return made


def by_label(scored: ScoredSequences) -> np.ndarray[Any, Any]:
    assert not scored.errors
    if scored.label_ids is None:
        return scored.scores
    return np.take_along_axis(scored.scores, np.argsort(scored.label_ids, axis=1), axis=1)


def texts(count: int = 300, targets: bool = False) -> RaggedSequences:
    packed = make_ids(count, vocabulary=100, longest=60)
    last = np.maximum(0, packed.lengths - 2).astype(np.int32) if targets else None
    return packed._replace(targets=last)


def of_lengths(*lengths: int) -> RaggedSequences:
    ids = np.random.default_rng(2).integers(5, 100, sum(lengths), dtype=np.int32)
    return RaggedSequences(ids, np.array(lengths, np.int32))


def assert_near(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], within: float) -> None:
    """The same scores, and the same differences between texts, so that answers to other texts would not pass."""
    assert np.abs(found - expected).max() <= within
    assert (found - expected).std() <= 0.2 * expected.std(0).max()
    best, second = np.sort(expected, axis=1)[:, -1], np.sort(expected, axis=1)[:, -2]
    sure = best - second > 2 * within
    assert sure.sum() > 10
    assert (found.argmax(1) == expected.argmax(1))[sure].all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("dtype", "within"), [("float32", 1e-4), ("bfloat16", HALF), ("float16", HALF)])
def test_every_family_answers_as_float32_on_the_cpu(folder: Folder, family: str, dtype: str, within: float) -> None:
    packed = texts()
    expected = by_label(predictor(folder(family), device="cpu", dtype="float32").predict(packed, 3))
    under_test = predictor(folder(family), device="cuda", dtype=dtype)
    assert under_test.packs == (family in WITHOUT_PADDING)
    for _ in range(3):
        assert_near(by_label(under_test.predict(packed, 3)), expected, within)


@pytest.mark.parametrize("family", WITHOUT_PADDING)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_masks_and_embeddings_without_padding(folder: Folder, family: str, dtype: str) -> None:
    for task, pooling in (("fill-mask", "mean"), ("feature-extraction", "mean"), ("feature-extraction", "cls")):
        where = folder(f"{family}:ForMaskedLM")
        packed, options = texts(80, task == "fill-mask"), dict[str, Any](task=task, pooling=pooling)
        wanted = by_label(predictor(where, device="cpu", dtype="float32", **options).predict(packed, 10**6))
        under_test = predictor(where, device="cuda", dtype=dtype, **options)
        assert under_test.packs
        for _ in range(2):
            found = by_label(under_test.predict(packed, 10**6))
            cosine = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
            assert cosine.min() > 0.999


@pytest.mark.parametrize("family", WITHOUT_PADDING)
def test_texts_of_any_length(folder: Folder, family: str) -> None:
    """One alone, the shortest, the longest, and a padding token within a text, where RoBERTa counts differently."""
    cpu = predictor(folder(family), device="cpu", dtype="float32")
    gpu = predictor(folder(family), device="cuda", dtype="float32")
    longest = cpu.description.max_length
    with_padding = of_lengths(9, 5)
    with_padding.ids[[2, 3, 10]] = cpu.backend.pad_id
    for packed in (
        of_lengths(1),
        of_lengths(3),
        of_lengths(longest),
        of_lengths(1, longest, 2, longest, 3),
        of_lengths(*([1] * 700)),
        with_padding,
    ):
        expected = by_label(cpu.predict(packed, 3))
        assert np.abs(by_label(gpu.predict(packed, 3)) - expected).max() < 1e-4


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)])
def test_attention_in_blocks_is_that_of_the_plain_steps(size: int, dtype: torch.dtype, within: float) -> None:
    rng = np.random.default_rng(size)
    for lengths in ([1], [64], [65], [512, 1, 63, 128], rng.integers(1, 200, 40).tolist()):
        q, k, v = (torch.randn(1, 3, sum(lengths), size, generator=torch.Generator().manual_seed(i)) for i in range(3))
        laid = {name: torch.from_numpy(values).int() for name, values in layout_of(np.array(lengths)).items()}
        on_cpu = varlen_attention.Layout(**laid)
        on_gpu = varlen_attention.Layout(**{name: values.cuda() for name, values in laid.items()})
        none, rows = torch.nn.Identity(), on_cpu.starts[:-1].long()
        on_q, on_k, on_v = (one.to("cuda", dtype) for one in (q, k, v))
        pairs = (
            (
                varlen_attention.attend(none, on_q, on_k, on_v, None, layout=on_gpu)[0],
                varlen_attention.attend(none, q, k, v, None, layout=on_cpu)[0],
            ),
            (
                varlen_attention.attend_once(on_q[:, :, rows.cuda()], on_k, on_v, on_gpu, size**-0.5),
                varlen_attention.attend_once(q[:, :, rows], k, v, on_cpu, size**-0.5),
            ),
        )
        for found, expected in pairs:
            assert found.shape == expected.shape
            assert (found.float().cpu() - expected).abs().max() <= within * max(1.0, expected.abs().max().item())


def test_a_sequence_knows_nothing_of_its_neighbours() -> None:
    """Not even where they are NaN, and lie in the same blocks of keys."""
    lengths = [10, 70, 3, 130, 1]
    q, k, v = (torch.randn(1, 2, sum(lengths), 64, device="cuda", dtype=torch.bfloat16) for _ in range(3))
    laid = layout_of(np.array(lengths))
    layout = varlen_attention.Layout(**{name: torch.from_numpy(values).int().cuda() for name, values in laid.items()})
    none, ends = torch.nn.Identity(), np.cumsum(lengths)
    before = varlen_attention.attend(none, q, k, v, None, layout=layout)[0]
    for start, end in zip(ends - lengths, ends, strict=True):
        poisoned = bad_q, bad_k, bad_v = q.clone(), k.clone(), v.clone()
        for one in poisoned:
            one[:, :, :start] = one[:, :, end:] = float("nan")
        found = varlen_attention.attend(none, bad_q, bad_k, bad_v, None, layout=layout)[0]
        assert torch.equal(found[:, start:end], before[:, start:end])


def test_graphs_are_recorded_at_start_and_replay_equals_launch(folder: Folder) -> None:
    under_test, launched = (predictor(folder("bert"), 4_096, device="cuda", dtype="bfloat16") for _ in range(2))
    backend: Any = under_test.backend
    recorded = len(ShapeBuckets(4_096).all())
    assert len(backend._graphs) == recorded > 10
    uses: Any = launched.backend
    uses._shapes = None  # it knows of no recording
    for count in (1, 2, 7, 40, 300, 2_000):
        packed = texts(count)
        expected = by_label(launched.predict(packed, 3))
        for _ in range(3):
            assert np.abs(by_label(under_test.predict(packed, 3)) - expected).max() < 5e-3
    assert len(backend._graphs) == recorded


def test_a_recording_that_fails_leaves_the_stream_as_it_was() -> None:
    script = """
import torch
from labelstream.workers.engine.backends.pytorch.cuda_graphs import CudaRecorder
before, x = torch.cuda.current_stream(), torch.ones(8, device="cuda")
def asks():
    x.sum().item()
    return x * 2
try:
    CudaRecorder(torch.device("cuda"))(asks)
except Exception as error:
    assert torch.cuda.current_stream() == before
    print("raised", (x * 2).sum().item())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": python_path(ROOT)},
    )
    assert done.stdout.strip() == "raised 16.0", done.stderr[-1_000:]


def test_no_forward_waits_for_the_device(folder: Folder) -> None:
    under_test = predictor(folder("bert"), device="cuda", dtype="bfloat16")
    launched: Any = load(str(folder("bert")), ModelOptions(device="cuda", dtype="bfloat16", backend="torch"))[1]
    of, rows = Rows(texts(64)), np.arange(64)

    def run() -> Callable[[], ScoredSequences]:
        launched.packed_logits(pack(of.packed, of.starts, rows))
        launched.logits(pad(of.packed, of.starts, rows, launched.pad_id))
        return under_test.begin(of.packed, 3)

    for _ in range(20):
        run()()  # every pinned buffer is there
    torch.cuda.set_sync_debug_mode("error")
    try:
        answers = run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    answers()


def test_answers_do_not_wait_for_what_is_begun_later(folder: Folder) -> None:
    under_test, packed = predictor(folder("bert"), device="cuda", dtype="bfloat16"), texts(64)
    expected = by_label(under_test.predict(packed, 3))
    first = under_test.begin(packed, 3)
    torch.cuda._sleep(2_000_000_000)  # about a second of the device
    second = under_test.begin(packed, 3)
    behind = torch.cuda.Event()
    behind.record()
    found = by_label(first())
    assert not behind.query()  # the second call has not started
    assert np.array_equal(found, expected)
    assert np.array_equal(by_label(second()), expected)
    assert behind.query()


def test_memory_does_not_grow(folder: Folder) -> None:
    under_test = predictor(folder("distilbert"), 4_096, device="cuda", dtype="bfloat16")
    rng = np.random.default_rng(3)
    calls = [make_ids(int(count), int(count), 100, 60) for count in rng.integers(1, 900, 100)]
    for packed in calls:
        under_test.predict(packed, 3)
    before = under_test.memory()
    for _ in range(5):
        begun = [under_test.begin(packed, 3) for packed in calls]
        for answers in begun:
            answers()
    assert under_test.memory()["reserved"] <= before["reserved"] + 2**26


def test_pinned_buffers_are_used_again_and_nothing_is_mixed_up() -> None:
    stage, rng = PinnedCopier(torch.device("cuda")), np.random.default_rng(1)
    sent, pinned = [], set()
    static = torch.zeros(5_000, dtype=torch.int64, device="cuda")
    for turn in range(100):
        arrays = {"ids": rng.integers(0, 10**9, (50, 1 + turn % 60)), "lengths": rng.integers(0, 9, 50)}
        tensors = stage(arrays, static if turn % 2 else None)
        sent.append((arrays, {name: tensor + 0 for name, tensor in tensors.items()}))
        pinned |= {buffer.data_ptr() for buffer in stage._buffers if len(buffer)}
    assert len(pinned) == 16
    for arrays, tensors in sent:
        for name, values in arrays.items():
            assert np.array_equal(tensors[name].cpu().numpy(), values)


@pytest.mark.parametrize("family", ["bert", "mpnet"])
def test_out_of_memory_halves_and_goes_on(folder: Folder, family: str) -> None:
    # Of one length, so that they are one batch: 92 MB for each layer's output, where 64 are left.
    packed = of_lengths(*([60] * 6_000))
    under_test = predictor(folder(family), budget=4_096, device="cuda", dtype="float32")
    expected = by_label(under_test.predict(packed, 3))
    under_test.runner.max_batch_tokens = 10**9
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 64 * 2**20) / total)
    try:
        found = by_label(under_test.predict(packed, 3))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert under_test.max_batch_tokens < 10**6
    assert found == pytest.approx(expected, abs=1e-4)


def test_logits_that_overflow_a_half_are_refused_at_the_start(folder: Folder, tmp_path: Path) -> None:
    where = scale_weights(Path(shutil.copytree(folder("bert"), tmp_path / "model")), 1e7, ("classifier.weight",))
    with pytest.raises(ModelError, match="not finite for good texts; set dtype to float32"):
        predictor(where, device="cuda", dtype="float16")


def test_what_a_gpu_gets_by_default(folder: Folder) -> None:
    started = time.perf_counter()
    made = predictor(folder("distilbert"), None, device="auto")
    assert time.perf_counter() - started < 60
    assert made.max_batch_tokens == DEFAULT_BATCH_TOKENS["cuda"]
    assert made.backend.dtype is (torch.bfloat16 if torch.cuda.get_device_capability()[0] >= 8 else torch.float16)
    assert made.packs
    assert not torch.backends.cuda.cudnn_sdp_enabled()
    memory = made.memory()
    assert 0 < memory["used"] <= memory["reserved"] < memory["total"]
    both = concatenate([texts(3), texts(2_000)])
    assert by_label(made.predict(both, 3)).shape == (2_003, 3)
