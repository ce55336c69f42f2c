"""The engine on a GPU: the same answers as in float32 on the CPU, whatever way they take."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.gpu.material import make_ids, scale_weights
from tests.models import FAMILIES, build
from workers.engine.batcher import pack, pad
from workers.engine.forwards import Rows
from workers.engine.graphs import Graphs
from workers.engine.loading import load
from workers.engine.options import ModelOptions
from workers.engine.packed import PackedSequences, ScoredSequences
from workers.engine.predictor import Predictor
from workers.engine.staging import PinnedStager

pytestmark = pytest.mark.gpu

WITHOUT_PADDING = ("distilbert", "bert", "roberta", "xlm-roberta", "electra", "albert")
# Heads of 16 numbers, as fused kernels like them; the small models of the other tests have 8.
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
        return calm(build(tmp_path_factory.mktemp(family), family, **more, **SIZES[family]))

    return made


def calm(folder: Path) -> Path:
    """The weights of `tests.models` are so large that rounding to bfloat16 moves scores by 5%; trained ones are not."""
    return scale_weights(folder, 0.4)


def predictor(folder: Path, budget: int | None = 2_048, **options: Any) -> Predictor:
    made = Predictor(*load(str(folder), ModelOptions(**options)), budget)
    made.warm_up()
    return made


def by_label(scored: ScoredSequences) -> np.ndarray[Any, Any]:
    assert not scored.errors
    if scored.label_ids is None:
        return scored.scores
    return np.take_along_axis(scored.scores, np.argsort(scored.label_ids, axis=1), axis=1)


def texts(count: int = 300, targets: bool = False) -> PackedSequences:
    packed = make_ids(count, vocabulary=100, longest=60)
    last = np.maximum(0, packed.lengths - 2).astype(np.int32) if targets else None
    return packed._replace(targets=last)


def assert_near(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], within: float) -> None:
    """The same scores, and the same differences between texts: answers to other texts would not be near enough."""
    assert np.abs(found - expected).max() <= within
    assert (found - expected).std() <= 0.2 * expected.std(0).max()
    best, second = np.sort(expected, axis=1)[:, -1], np.sort(expected, axis=1)[:, -2]
    sure = best - second > 2 * within
    assert sure.sum() > 10
    assert (found.argmax(1) == expected.argmax(1))[sure].all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("options", "within"),
    [
        ({"dtype": "float32"}, 1e-4),
        ({"dtype": "float32", "cuda_graphs": True}, 1e-4),
        ({"dtype": "bfloat16"}, HALF),
        ({"dtype": "float16"}, HALF),
        ({"dtype": "bfloat16", "attention": "packed"}, HALF),
        ({"dtype": "float16", "attention": "packed", "cuda_graphs": True}, HALF),
    ],
    ids=lambda value: "-".join(str(one) for one in value.values()) if isinstance(value, dict) else "",
)
def test_every_family_answers_as_float32_on_the_cpu(
    folder: Folder, family: str, options: dict[str, Any], within: float
) -> None:
    packed = texts()
    expected = by_label(predictor(folder(family), device="cpu", dtype="float32").predict(packed, 3))
    under_test = predictor(folder(family), device="cuda", **options)
    assert under_test.packs == (options.get("attention") == "packed" and family in WITHOUT_PADDING)
    for _ in range(4):  # the later ones are replayed
        assert_near(by_label(under_test.predict(packed, 3)), expected, within)


@pytest.mark.parametrize("family", WITHOUT_PADDING)
@pytest.mark.parametrize("graphs", [False, True])
def test_masks_and_embeddings_without_padding(folder: Folder, family: str, graphs: bool) -> None:
    for task, pooling in (("fill-mask", "mean"), ("feature-extraction", "mean"), ("feature-extraction", "cls")):
        where = folder(f"{family}:ForMaskedLM")
        packed, options = texts(80, task == "fill-mask"), dict[str, Any](task=task, pooling=pooling)
        expected = predictor(where, device="cpu", dtype="float32", **options).predict(packed, 10**6)
        packs = predictor(where, device="cuda", dtype="float16", attention="packed", cuda_graphs=graphs, **options)
        assert packs.packs
        for _ in range(3):
            found, wanted = by_label(packs.predict(packed, 10**6)), by_label(expected)
            cosine = (found * wanted).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
            assert cosine.min() > 0.999


@pytest.mark.parametrize("attention", ["padded", "packed"])
def test_shapes_are_recorded_and_replayed(folder: Folder, attention: str) -> None:
    under_test = predictor(folder("distilbert"), device="cuda", dtype="bfloat16", attention=attention, cuda_graphs=True)
    graphs: Any = under_test._backend
    assert isinstance(graphs._graphs, Graphs)
    packed = texts(40)
    answers = [by_label(under_test.predict(packed, 3)) for _ in range(4)]
    assert graphs._graphs.count > 0
    assert not any(known is None for known in graphs._graphs._recorded.values())  # none has failed
    assert all(np.array_equal(answers[2], other) for other in answers[3:])


@pytest.mark.parametrize("attention", ["padded", "packed"])
def test_no_forward_waits_for_the_device(folder: Folder, attention: str) -> None:
    _, backend = load(str(folder("bert")), ModelOptions(device="cuda", dtype="bfloat16", attention=attention))
    of, rows = Rows(texts(64)), np.arange(64)

    def run() -> torch.Tensor:
        if attention == "packed":
            return backend.packed_logits(pack(of.packed, of.starts, rows))
        return backend.logits(pad(of.packed, of.starts, rows, backend.pad_id))

    for _ in range(5):
        run()  # every pinned buffer is there
    torch.cuda.set_sync_debug_mode("error")
    try:
        run()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_pinned_buffers_are_used_again_and_nothing_is_mixed_up() -> None:
    stage, rng = PinnedStager(torch.device("cuda")), np.random.default_rng(1)
    sent, pinned = [], set()
    for turn in range(40):
        arrays = {"ids": rng.integers(0, 10**9, (50, 1 + turn)), "lengths": rng.integers(0, 9, 50)}
        tensors = stage(arrays)
        sent.append((arrays, {name: tensor + 0 for name, tensor in tensors.items()}))
        pinned |= {buffer.data_ptr() for buffer in stage._buffers if len(buffer)}
    assert len(pinned) == 4
    for arrays, tensors in sent:
        for name, values in arrays.items():
            assert np.array_equal(tensors[name].cpu().numpy(), values)


def test_out_of_memory_halves_and_goes_on(folder: Folder) -> None:
    # Of one length, so that they are one batch: 92 MB for each layer's output, where 64 are left.
    ids = np.random.default_rng(1).integers(5, 100, 360_000, dtype=np.int32)
    packed = PackedSequences(ids, np.full(6_000, 60, np.int32))
    under_test = predictor(folder("bert"), budget=4_096, device="cuda", dtype="float32")
    expected = by_label(under_test.predict(packed, 3))
    under_test.max_batch_tokens = 10**9
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 64 * 2**20) / total)
    try:
        found = by_label(under_test.predict(packed, 3))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert under_test.max_batch_tokens < 10**6
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("attention", ["padded", "packed"])
def test_the_budget_is_found_on_the_card(folder: Folder, attention: str) -> None:
    found = predictor(folder("distilbert"), None, device="cuda", dtype="bfloat16", attention=attention)
    assert found.max_batch_tokens in {4_096, 8_192, 16_384, 32_768, 65_536}
    memory = found.memory()
    assert 0 < memory["used"] <= memory["reserved"] < memory["total"]
