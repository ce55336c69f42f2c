"""Recorded forwards, with a recorder that replays by computing again into the same memory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from labelstream.workers.classifier import Embedding, Prediction, Request
from labelstream.workers.engine.backends.pytorch import cuda_graphs as graphs_module
from labelstream.workers.engine.backends.pytorch.cuda_graphs import CudaGraphs, CudaRecorder, recorder_for
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.inference import warmup
from labelstream.workers.errors import ModelError
from tests.support.models import TEXTS
from tests.support.parity import ODD_TEXTS, PAIRS, assert_equal, oracle
from tests.support.recorder import Recorder, unpadded_on_a_cpu

Folders = Callable[[str], Path]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with unpadded_on_a_cpu(Recorder()) as recorder:
        yield recorder


def load(folder: Path, budget: int = 256, **options: Any) -> Engine:
    return Engine.load(str(folder), max_batch_tokens=budget, device="cpu", dtype="float32", **options)


def test_replay_reads_the_current_input_memory() -> None:
    recorder, x = Recorder(), torch.tensor([1.0, 2.0, 3.0])
    graphs = CudaGraphs(recorder)
    graphs.record("a", lambda: x * 2.0)
    first = graphs.replay("a", 2)
    x.add_(1)
    assert first.tolist() == [2.0, 4.0]  # not overwritten by the second replay
    assert graphs.replay("a", 3).tolist() == [4.0, 6.0, 8.0]
    assert (recorder.calls, recorder.replays, len(graphs)) == (1, 2, 1)


@pytest.mark.parametrize("family", ["distilbert", "bert", "roberta", "albert"])
def test_recorded_shapes_answer_as_the_pipeline_does(model_folder: Folders, recorder: Recorder, family: str) -> None:
    folder, texts = model_folder(family), TEXTS + ODD_TEXTS
    requests = [Request(text) for text in texts] + [Request(text, pair) for text, pair in PAIRS]
    expected = oracle(folder, [*texts, *({"text": text, "text_pair": pair} for text, pair in PAIRS)])
    with load(folder, top_k=None) as engine:
        before = recorder.replays
        assert_equal(engine.classify(requests), expected, 1e-5)
        for request, one in zip(requests[:3], expected[:3], strict=True):
            assert_equal([engine.classify([request])[0]], [one], 1e-5)
        assert recorder.replays >= before + 4


def test_all_graphs_are_recorded_before_first_call(model_folder: Folders, recorder: Recorder) -> None:
    with load(model_folder("bert"), top_k=None) as engine:
        recorded = recorder.calls
        assert recorded == 3  # of 64, 128 and 256 tokens
        requests, replays = [Request(text) for text in (*TEXTS, *ODD_TEXTS)], recorder.replays
        expected = engine.classify(requests)
        assert recorder.replays > replays
        engine._predictor.runner.max_batch_tokens, replays = 10_000, recorder.replays  # larger than any shape
        for found, wanted in zip(engine.classify(requests), expected, strict=True):
            assert isinstance(found, Prediction)
            assert isinstance(wanted, Prediction)
            assert found.scores == pytest.approx(wanted.scores, abs=1e-5)
        assert (recorder.calls, recorder.replays) == (recorded, replays)


def test_masks_and_means_in_recorded_shapes(folders: Folders) -> None:
    for task, texts in (("fill-mask", [f"{text} [MASK]" for text in TEXTS]), ("feature-extraction", list(TEXTS))):
        requests = [Request(text) for text in texts]
        with load(folders("bert"), task=task) as plain:
            expected = plain.classify(requests)
        with unpadded_on_a_cpu(Recorder()) as recorder, load(folders("bert"), task=task) as engine:
            before = recorder.replays
            for found, wanted in zip(engine.classify(requests), expected, strict=True):
                assert not isinstance(found, Prediction)
                assert scores(found) == pytest.approx(scores(wanted), abs=1e-5)
            assert recorder.replays > before


def test_a_vocabulary_is_not_recorded(folders: Folders, monkeypatch: pytest.MonkeyPatch, recorder: Recorder) -> None:
    monkeypatch.setattr(warmup, "_MAX_RECORDED_OUTPUTS", 50)
    with load(folders("bert"), task="fill-mask") as engine:
        engine.classify([Request("good [MASK]")])
    assert recorder.calls == 0


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (RuntimeError("operation not permitted when stream is capturing"), "install the versions of torch and driver"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "lower max_batch_tokens"),
    ],
)
def test_failed_recording_is_model_error(model_folder: Folders, error: Exception, fix: str) -> None:
    message = rf"the model's forwards cannot be recorded as CUDA graphs: \w+: {error}.*; {fix}"
    with unpadded_on_a_cpu(Recorder(error)), pytest.raises(ModelError, match=message):
        load(model_folder("bert"))


@pytest.mark.parametrize("budget", [64, 256, 1_024])
def test_recording_with_other_answers_is_not_used(
    model_folder: Folders, caplog: pytest.LogCaptureFixture, budget: int
) -> None:
    folder = model_folder("bert")
    with unpadded_on_a_cpu(Recorder(added=1.0)), load(folder, budget, top_k=None) as engine:
        assert not engine._predictor.packs
        assert_equal(engine.classify([Request(text) for text in TEXTS]), oracle(folder, TEXTS), 1e-5)
    assert "batches are padded, because without padding the model answers the test texts differently" in caplog.text


class FakeCuda:
    """A fake torch.cuda for a recorder. A failed capture leaves its own stream current, as in torch 2.11."""

    def __init__(self) -> None:
        self.current, self.modes = "default", list[str]()

    def current_stream(self, device: Any) -> Any:
        return self.current if self.current != "default" else Stream("default")

    def set_stream(self, stream: Any) -> None:
        self.current = stream.name

    def Stream(self, device: Any) -> Any:
        return Stream("side")

    def stream(self, stream: Any) -> Any:
        return _nothing()

    def graph_pool_handle(self) -> str:
        return "pool"

    def CUDAGraph(self) -> Any:
        return SimpleNamespace(replay=lambda: None)

    def graph(self, graph: Any, pool: Any, capture_error_mode: str) -> Any:
        self.modes.append(capture_error_mode)
        return _Capture(self)


class Stream:
    def __init__(self, name: str) -> None:
        self.name = name

    def wait_stream(self, other: Any) -> None:
        pass


class _nothing:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        pass


class _Capture(_nothing):
    def __init__(self, cuda: FakeCuda) -> None:
        self._cuda = cuda

    def __enter__(self) -> None:
        self._cuda.current = "capture"

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._cuda.current = "default"


@pytest.mark.parametrize("fails", [False, True])
def test_recorder_restores_the_stream_after_errors(monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    cuda = FakeCuda()
    monkeypatch.setattr(graphs_module.torch, "cuda", cuda)
    times = 0

    def compute() -> torch.Tensor:
        nonlocal times
        times += 1
        if fails and times == 2:  # the first time is not recorded
            raise RuntimeError("operation not permitted when stream is capturing")
        return torch.ones(1)

    record = CudaRecorder(torch.device("cpu"))
    if fails:
        with pytest.raises(RuntimeError, match="not permitted"):
            record(compute)
    else:
        record(compute)
    assert cuda.current == "default"
    assert cuda.modes == ["thread_local"]


def test_a_cpu_records_nothing() -> None:
    assert recorder_for(torch.device("cpu")) is None


def scores(answer: Any) -> list[float]:
    if isinstance(answer, Embedding):
        return list(answer.vector)
    return [fill.score for fills in answer.masks for fill in fills]
