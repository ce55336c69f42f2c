"""What is recorded, and when; by a recorder that plays back by computing again, into the same place."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import TEXTS
from tests.unit.engine.test_parity import ODD_TEXTS, PAIRS, assert_equal, oracle
from workers.classifier import Embedding, Prediction, Request
from workers.engine.engine import Engine
from workers.engine.graphs import Graphs, Inputs
from workers.engine.loading import load
from workers.engine.options import ModelOptions

Folders = Callable[[str], Path]


class Recorder:
    """Fails on the calls of these numbers."""

    def __init__(self, *failing: int) -> None:
        self.calls, self.replays, self._failing = 0, 0, failing

    def __call__(self, compute: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        self.calls += 1
        if self.calls in self._failing:
            raise RuntimeError("operation not permitted when stream is capturing")
        output = torch.full_like(compute(), float("nan"))  # recording computes nothing

        def replay() -> None:
            self.replays += 1
            output.copy_(compute())

        return replay, output


def double(inputs: Inputs) -> torch.Tensor:
    return inputs["x"] * 2.0


def test_a_shape_is_recorded_when_it_is_seen_again_and_then_replayed() -> None:
    recorder = Recorder()
    graphs = Graphs(recorder)
    results = [graphs.run("a", {"x": torch.tensor([i, i + 1.0])}, double) for i in range(5)]
    assert [result.tolist() for result in results] == [[2.0 * i, 2.0 * i + 2] for i in range(5)]
    assert (recorder.calls, recorder.replays, graphs.count) == (1, 4, 1)


def test_there_are_no_more_than_so_many() -> None:
    recorder = Recorder()
    graphs = Graphs(recorder, most=2)
    for _ in range(3):
        for shape in range(4):
            assert graphs.run(shape, {"x": torch.ones(1)}, double).tolist() == [2.0]
    assert (recorder.calls, graphs.count, recorder.replays) == (2, 2, 4)


def test_what_cannot_be_recorded_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(1)
    graphs = Graphs(recorder)
    with caplog.at_level(logging.WARNING):
        for shape in ("bad", "good"):
            for _ in range(4):
                assert graphs.run(shape, {"x": torch.ones(1)}, double).tolist() == [2.0]
    assert (recorder.calls, graphs.count) == (2, 1)
    assert caplog.text.count("shape bad runs without a CUDA graph: RuntimeError: operation not permitted") == 1


def test_clearing_gives_all_back_and_begins_anew() -> None:
    recorder = Recorder(1)
    graphs = Graphs(recorder, most=3)

    def use(times: int) -> None:
        for shape in range(3):
            for _ in range(times):
                assert graphs.run(shape, {"x": torch.ones(1)}, double).tolist() == [2.0]

    use(2)
    assert graphs.count == 2  # the first one has failed
    graphs.clear()
    assert graphs.count == 0
    use(1)
    assert graphs.count == 0
    use(1)
    assert graphs.count == 3


@pytest.mark.parametrize("attention", ["padded", "packed"])
@pytest.mark.parametrize("family", ["distilbert", "bert", "roberta"])
def test_rounded_shapes_answer_as_the_pipeline_does(model_folder: Folders, family: str, attention: str) -> None:
    recorder, folder, texts = Recorder(), model_folder(family), TEXTS + ODD_TEXTS
    requests = [Request(text) for text in texts] + [Request(text, pair) for text, pair in PAIRS]
    expected = oracle(folder, [*texts, *({"text": text, "text_pair": pair} for text, pair in PAIRS)])
    with recorded(folder, recorder, attention=attention, top_k=None) as engine:
        for _ in range(3):
            assert_equal(engine.classify(requests), expected, 1e-5)
            for request, one in zip(requests[:3], expected[:3], strict=True):
                assert_equal([engine.classify([request])[0]], [one], 1e-5)
    assert recorder.replays > recorder.calls > 2


@pytest.mark.parametrize("attention", ["padded", "packed"])
def test_masks_and_means_in_rounded_shapes(folders: Folders, attention: str) -> None:
    for task, texts in (("fill-mask", [f"{text} [MASK]" for text in TEXTS]), ("feature-extraction", list(TEXTS))):
        recorder, requests = Recorder(), [Request(text) for text in texts]
        with Engine.load(str(folders("bert")), device="cpu", dtype="float32", task=task) as plain:
            expected = plain.classify(requests)
        with recorded(folders("bert"), recorder, attention=attention, task=task) as engine:
            for _ in range(3):
                for found, wanted in zip(engine.classify(requests), expected, strict=True):
                    assert not isinstance(found, Prediction)
                    assert scores(found) == pytest.approx(scores(wanted), abs=1e-5)
        assert recorder.replays > recorder.calls > 0


def scores(answer: Any) -> list[float]:
    if isinstance(answer, Embedding):
        return list(answer.vector)
    return [fill.score for fills in answer.masks for fill in fills]


def recorded(folder: Path, recorder: Recorder, **options: Any) -> Engine:
    description, backend = load(str(folder), ModelOptions(device="cpu", dtype="float32", **options))
    backend._graphs = Graphs(recorder)
    return Engine(description, backend, 256)
