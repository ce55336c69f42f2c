"""The OpenVINO backend: when it is used, what is cached, and which models are refused."""

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from labelstream.workers.classifier import Prediction, RecordError, Request
from labelstream.workers.engine.backends.openvino import cache, conversion, selection
from labelstream.workers.engine.backends.openvino import loader as openvino_loading
from labelstream.workers.engine.backends.openvino.backend import OpenVINOBackend
from labelstream.workers.engine.backends.pytorch.backend import TorchBackend
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading import loader
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError
from tests.support.models import TEXTS, build, with_typed_pairs

Folders = Callable[[str], Path]
REQUESTS = [Request(text) for text in TEXTS]


def options(**more: Any) -> ModelOptions:
    return ModelOptions(device="cpu", dtype="float32", **more)


def refusal(folder: Path, **more: Any) -> str:
    with pytest.raises(ModelError) as caught:
        load(str(folder), options(**more))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def scores(folder: Path, **more: Any) -> list[tuple[float, ...]]:
    with Engine.load(str(folder), device="cpu", dtype="float32", top_k=None, **more) as engine:
        return [answer.scores for answer in engine.classify(REQUESTS) if isinstance(answer, Prediction)]


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def loaded(*args: Any, **more: Any) -> None:
        raise AssertionError("the weights are loaded")

    with monkeypatch.context() as patch:
        patch.setattr(loader, "load_weights", loaded)
        patch.setattr(loader, "without_weights", loaded)
        yield


def test_auto_uses_openvino_on_a_cpu(model_folder: Folders) -> None:
    assert isinstance(load(str(model_folder("bert")), options())[1], OpenVINOBackend)
    assert isinstance(load(str(model_folder("bert")), options(backend="torch"))[1], TorchBackend)


def test_without_the_package_torch_runs_the_model(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(selection, "missing_package", lambda *names: names[-1])
    with caplog.at_level(logging.INFO):
        assert isinstance(load(str(model_folder("bert")), options())[1], TorchBackend)
    assert "pip install openvino nncf" in caplog.text
    folder = model_folder("bert")
    assert "backend openvino needs the package openvino, which is not" in refusal(folder, backend="openvino")
    assert "quantize int8 needs the package nncf" in refusal(folder, quantize="int8")


@pytest.mark.parametrize("how", ["raises", "differs", "another shape"])
def test_torch_runs_a_model_that_openvino_answers_differently(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kept: Path, how: str
) -> None:
    forward = conversion.Traced.forward

    def wrong(self: conversion.Traced, *inputs: torch.Tensor) -> torch.Tensor:
        logits = forward(self, *inputs)
        if how == "raises":
            raise NotImplementedError("no such operator")
        return logits[:, :2] if how == "another shape" else logits * 1.001

    monkeypatch.setattr(conversion.Traced, "forward", wrong)
    folder = model_folder("bert")
    reason = {"raises": "Couldn't get TorchScript", "differs": "differ by", "another shape": "have the shape"}[how]
    found = load(str(folder), options())[1]
    assert isinstance(found, TorchBackend)
    assert f"{folder}: using torch, because OpenVINO cannot run this model as torch does: " in caplog.text
    assert reason in caplog.text
    assert reason in refusal(folder, backend="openvino")
    assert not list(kept.iterdir())


def test_converted_model_is_reused(model_folder: Folders, kept: Path, request: pytest.FixtureRequest) -> None:
    folder = model_folder("distilbert")
    first = scores(folder)
    [place] = kept.iterdir()
    assert sorted(path.name for path in place.iterdir()) == ["model.bin", "model.xml", "notes.json"]
    request.getfixturevalue("no_weights")
    assert scores(folder) == first
    with pytest.raises(ModelError, match="weights are loaded"):
        load(str(folder), options(task="feature-extraction"))  # another task converts another model


def test_start_imports_no_modelling_code() -> None:
    """A converted model does not import modeling code, which takes 2 s."""
    code = (
        "import sys, labelstream.workers.engine.engine, labelstream.workers.engine.backends.openvino.loader\n"
        "print([name for name in ('transformers.modeling_utils', 'torch._dynamo', 'scipy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("damage", ["cut", "changed", "without notes", "notes"])
def test_damaged_entry_is_converted_again(model_folder: Folders, kept: Path, damage: str) -> None:
    folder = model_folder("distilbert")
    first = scores(folder)
    [place] = kept.iterdir()
    weights = (place / "model.bin").read_bytes()
    if damage == "cut":
        (place / "model.bin").write_bytes(weights[:-1])
    elif damage == "changed":
        (place / "model.bin").write_bytes(weights[:-4] + b"\1\2\3\4")
    elif damage == "without notes":
        (place / "notes.json").unlink()
    else:
        (place / "notes.json").write_text("[]")
    assert np.array(scores(folder)) == pytest.approx(np.array(first))
    assert list(kept.iterdir()) == [place]
    assert (place / "model.bin").read_bytes() == weights


def test_concurrent_puts_keep_one_entry(kept: Path) -> None:
    place = kept / "place"

    def write(path: Path) -> None:
        path.write_text("xml")
        path.with_suffix(".bin").write_bytes(b"weights")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: cache.put(place, write, {"i": i}), range(40)))
    assert {one.path for one in found if one is not None} == {place / "model.xml"}
    assert None not in found
    assert list(kept.iterdir()) == [place]


def test_unwritable_cache_costs_only_time(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: Any, **more: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.tempfile, "mkdtemp", full)
    assert len(scores(model_folder("distilbert"))) == len(TEXTS)
    assert (
        "the converted model is not cached: OSError" in caplog.text
    )  # so the converter left the root logger unchanged
    monkeypatch.setattr(cache, "cached_assets_path", full)
    assert len(scores(model_folder("distilbert"))) == len(TEXTS)


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_pair_beyond_type_vocab_is_record_error(tmp_path: Path, backend: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = with_typed_pairs(build(tmp_path / "model", "roberta"))
    requests = [Request("good"), Request("good", text_pair="not bad"), Request("fine")]
    with Engine.load(str(folder), device="cpu", dtype="float32", backend=backend) as engine:
        first, refused, last = engine.classify(requests)
        assert (first, last) == tuple(engine.classify([requests[0], requests[2]]))
    assert isinstance(first, Prediction)
    assert isinstance(refused, RecordError)
    assert "type_vocab_size in config.json is 1" in refused.message
    assert caplog.text.count("every message with a text_pair becomes a dead letter") == 1


def test_int8_is_compared_with_float32(
    model_folder: Folders,
    caplog: pytest.LogCaptureFixture,
    kept: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, texts = model_folder("distilbert"), tmp_path / "texts"
    texts.write_text("\n".join(f"{text} {i}" for i in range(8) for text in TEXTS) + "\nfirst\tand its pair\n")
    with caplog.at_level(logging.INFO):
        _, backend = load(str(folder), options(quantize="int8", calibration_texts=texts, min_agreement=0.5))
    assert isinstance(backend, OpenVINOBackend)
    assert backend.dtype is torch.int8
    assert "int8 gives float32's labels for" in caplog.text
    assert "of 56 texts of calibration_texts" in caplog.text
    networks = [path.read_text() for path in kept.glob("*/model.xml")]
    assert sorted(('"FakeQuantize"' in xml, 'element_type="i8"' in xml) for xml in networks) == [
        (False, False),
        (True, True),
    ]
    monkeypatch.setattr(openvino_loading, "agreement", lambda *_: 0.98)
    monkeypatch.setattr(cache, "find", lambda place: None)
    message = refusal(folder, quantize="int8", calibration_texts=texts)
    assert "and min_agreement is 0.99; set calibration_texts to a file of your own texts, lower" in message


def test_quantize_needs_a_model_with_labels(tmp_path: Path, folders: Folders) -> None:
    regression = build(tmp_path / "regression", "bert", problem_type="regression")
    assert "quantize needs a model that gives labels" in refusal(regression, quantize="int8")
    assert "quantize needs a model that gives labels" in refusal(folders("bert"), quantize="int8", task="fill-mask")
