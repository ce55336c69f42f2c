"""The backend for CPUs: when it is taken, what is kept of it, and what is never let through."""

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.engine.backends.openvino import backend as openvino_backend
from labelstream.workers.engine.backends.openvino import cache, conversion, parity_check, quantization, selection
from labelstream.workers.engine.backends.openvino import loader as openvino_loading
from labelstream.workers.engine.backends.openvino.backend import OpenVINOBackend
from labelstream.workers.engine.backends.pytorch.backend import TorchBackend
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.inference.batch_plan import PaddedBatch
from labelstream.workers.engine.loading import loader
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError
from tests.support.models import TEXTS, build, with_typed_pairs

Folders = Callable[[str], Path]
REQUESTS = [Request(text) for text in TEXTS]


@pytest.fixture(autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a cache of its own, and `auto` is what it is for users."""
    folder = tmp_path_factory.mktemp("kept")
    monkeypatch.setattr(cache, "cached_assets_path", lambda *_, **__: folder)
    monkeypatch.setattr(loader, "takes_openvino", selection.takes_openvino)
    return folder


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
        patch.setattr(loader, "_load_model", loaded)
        yield


def test_auto_takes_it_on_a_cpu(model_folder: Folders) -> None:
    assert isinstance(load(str(model_folder("bert")), options())[1], OpenVINOBackend)
    assert isinstance(load(str(model_folder("bert")), options(backend="torch"))[1], TorchBackend)


def test_without_the_package_torch_runs_the_model(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(selection, "missing_package", lambda *names: names[-1])
    with caplog.at_level(logging.INFO):
        assert isinstance(load(str(model_folder("bert")), options())[1], TorchBackend)
    assert 'pip install "labelstream[openvino]"' in caplog.text
    folder = model_folder("bert")
    assert "backend openvino needs the package openvino, which is not" in refusal(folder, backend="openvino")
    assert "quantize int8 needs the package nncf" in refusal(folder, quantize="int8")


def test_openvino_on_a_gpu_is_refused() -> None:
    gpu = torch.device("cuda")
    for asked, named in (
        (ModelOptions(backend="openvino"), "backend openvino"),
        (ModelOptions(quantize="int8"), "quantize int8"),
    ):
        with pytest.raises(ModelError, match=f"{named} is for CPUs, and the device is cuda; set device to cpu"):
            selection.takes_openvino("m", asked, gpu)
    assert not selection.takes_openvino("m", ModelOptions(), gpu)


@pytest.mark.parametrize("how", ["raises", "differs", "another shape"])
def test_a_model_that_it_cannot_run_as_torch_does_is_torchs(
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
    assert f"{folder}: backend torch, because OpenVINO cannot run this model as torch does: " in caplog.text
    assert reason in caplog.text
    assert reason in refusal(folder, backend="openvino")
    assert not list(kept.iterdir())


def test_what_was_converted_is_used_again(model_folder: Folders, kept: Path, request: pytest.FixtureRequest) -> None:
    folder = model_folder("distilbert")
    first = scores(folder)
    [place] = kept.iterdir()
    assert sorted(path.name for path in place.iterdir()) == ["model.bin", "model.xml", "notes.json"]
    request.getfixturevalue("no_weights")
    assert scores(folder) == first
    with pytest.raises(AssertionError, match="weights are loaded"):
        load(str(folder), options(task="feature-extraction"))  # another model is made of it


@pytest.mark.parametrize("damage", ["cut", "changed", "without notes", "notes"])
def test_what_is_damaged_is_made_anew(model_folder: Folders, kept: Path, damage: str) -> None:
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


def test_many_may_put_it_there_at_once(kept: Path) -> None:
    place = kept / "place"

    def write(path: Path) -> None:
        path.write_text("xml")
        path.with_suffix(".bin").write_bytes(b"weights")

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: cache.put(place, write, {"i": i}), range(40)))
    assert {one.path for one in found if one is not None} == {place / "model.xml"}
    assert None not in found
    assert list(kept.iterdir()) == [place]


def test_a_cache_that_takes_nothing_costs_only_time(
    model_folder: Folders, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: Any, **more: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.tempfile, "mkdtemp", full)
    assert len(scores(model_folder("distilbert"))) == len(TEXTS)
    assert "the converted model is not kept: OSError" in caplog.text  # also: what converts leaves our log alone
    monkeypatch.setattr(cache, "cached_assets_path", full)
    assert len(scores(model_folder("distilbert"))) == len(TEXTS)


def test_logits_that_are_not_finite_are_no_label(model_folder: Folders, tmp_path: Path) -> None:
    with Engine.load(str(model_folder("distilbert")), device="cpu", backend="torch") as engine:
        token = engine._task.prepare([Request("handle")]).packed.ids[1]
    folder = _with_nan(model_folder("distilbert"), tmp_path, token)
    backend = OpenVINOBackend(  # no comparison with torch: it is the running model that meets the token
        openvino_loading.compiled(_converted(folder), torch.float32), torch.float32, 0, 400, None
    )
    engine = Engine(load(str(folder), options(backend="torch"))[0], backend)
    good, bad = engine.classify([Request("good"), Request("the handle")])
    engine.close()
    assert isinstance(good, Prediction)
    assert isinstance(bad, RecordError)
    assert (bad.fault, bad.message) == (Fault.INFERENCE_FAILED, "the model's logits are not finite")


def test_int8_makes_no_number_of_nan(model_folder: Folders, tmp_path: Path) -> None:
    quantization._check_weights(_converted(model_folder("distilbert")))
    folder = _with_nan(model_folder("distilbert"), tmp_path, 1)
    with pytest.raises(ValueError, match="holds NaN"):
        quantization.quantize(_converted(folder), load(str(folder), options(backend="torch"))[0], REQUESTS, (), 0)


def _with_nan(folder: Path, tmp_path: Path, token: int) -> Path:
    copy = Path(shutil.copytree(folder, tmp_path / "model"))
    weights = load_file(copy / "model.safetensors")
    weights["distilbert.embeddings.word_embeddings.weight"][token] = float("nan")
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    return copy


def _converted(folder: Path) -> Any:
    _, backend = load(str(folder), options(backend="torch"))
    assert isinstance(backend, TorchBackend)
    read: Any = backend._read
    return conversion.convert(read._model, read, ("input_ids", "attention_mask"), 64)


def test_ids_outside_of_its_table_do_not_crash_it(model_folder: Folders) -> None:
    _, backend = load(str(model_folder("distilbert")), options())
    for token in (backend.vocab_size, -1, 2**31, -(2**40)):
        batch = PaddedBatch(np.array([[2, token, 3]]), np.array([3]), None)
        assert backend.logits(batch).shape == (1, 3)


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
    assert caplog.text.count("each message with a text_pair will be a dead letter") == 1


def test_the_comparison_with_torch_has_type_ids(model_folder: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    whole = openvino_backend.arrays

    def seen(batch: PaddedBatch) -> Any:
        found = whole(batch)
        given.append(int(found["token_type_ids"].max()))
        return found

    monkeypatch.setattr(parity_check, "arrays", seen)
    load(str(model_folder("bert")), options())
    assert given == [0, 1, 1]


def test_int8_is_held_against_float32(
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
    assert "of 56 your texts" in caplog.text
    networks = [path.read_text() for path in kept.glob("*/model.xml")]
    assert sorted(('"FakeQuantize"' in xml, 'element_type="i8"' in xml) for xml in networks) == [
        (False, False),
        (True, True),
    ]
    monkeypatch.setattr(openvino_loading, "agreement", lambda *_: 0.98)
    monkeypatch.setattr(cache, "find", lambda place: None)
    message = refusal(folder, quantize="int8", calibration_texts=texts)
    assert "and min_agreement is 0.99; name a file of your own texts as calibration_texts, or lower" in message


def test_texts_to_quantize_by_are_enough_and_readable(model_folder: Folders, tmp_path: Path) -> None:
    folder, texts = model_folder("distilbert"), tmp_path / "texts"
    assert "calibration_texts" in refusal(folder, quantize="int8", calibration_texts=texts)
    texts.write_text("one\n\ntwo\n")
    assert "has 2 texts; it takes at least 100, one per line" in (
        refusal(folder, quantize="int8", calibration_texts=texts)
    )


def test_only_models_that_give_labels_are_quantized(tmp_path: Path, folders: Folders) -> None:
    regression = build(tmp_path / "regression", "bert", problem_type="regression")
    assert "quantize is for models that give labels" in refusal(regression, quantize="int8")
    assert "quantize is for models that give labels" in refusal(folders("bert"), quantize="int8", task="fill-mask")


IMPORTED = """
import sys
if sys.argv[2] == "without":
    sys.modules["openvino"] = None
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
_, backend = load(sys.argv[1], ModelOptions(device="cpu", dtype="float32"))
print(type(backend).__name__, sys.modules.get("openvino_telemetry", "not imported"))
"""


@pytest.mark.parametrize(("how", "said"), [("with", "OpenVINOBackend None"), ("without", "TorchBackend not imported")])
def test_it_reports_to_nobody_and_is_not_needed(model_folder: Folders, tmp_path: Path, how: str, said: str) -> None:
    command = [sys.executable, "-c", IMPORTED, str(model_folder("distilbert")), how]
    home = {"HOME": str(tmp_path), "HF_ASSETS_CACHE": str(tmp_path / "assets"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280, env=home)
    assert done.stdout.split("\n")[0] == said, done.stderr
    assert not (tmp_path / "intel").exists()  # where its reports would begin
