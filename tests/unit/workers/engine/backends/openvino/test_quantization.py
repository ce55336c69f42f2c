"""NaN, which int8 would hide, is found in weights and logits."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from labelstream.workers.classifier import Fault, Prediction, RecordError, Request
from labelstream.workers.engine.backends.openvino import conversion, quantization
from labelstream.workers.engine.backends.openvino import loader as openvino_loading
from labelstream.workers.engine.backends.openvino.backend import OpenVINOBackend
from labelstream.workers.engine.backends.pytorch.backend import TorchBackend
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.loading.loader import load
from labelstream.workers.engine.options import ModelOptions
from tests.support.models import TEXTS

Folders = Callable[[str], Path]
REQUESTS = [Request(text) for text in TEXTS]


def options(**more: Any) -> ModelOptions:
    return ModelOptions(device="cpu", dtype="float32", **more)


def test_logits_that_are_not_finite_are_an_error(model_folder: Folders, tmp_path: Path) -> None:
    with Engine.load(str(model_folder("distilbert")), device="cpu", backend="torch") as engine:
        token = engine._task.prepare([Request("handle")]).packed.ids[1]
    folder = _with_nan(model_folder("distilbert"), tmp_path, token)
    backend = OpenVINOBackend(  # not compared with torch: the running model meets the token
        openvino_loading.compiled(_converted(folder), torch.float32), torch.float32, 0, 400, None
    )
    engine = Engine(load(str(folder), options(backend="torch"))[0], backend)
    good, bad = engine.classify([Request("good"), Request("the handle")])
    engine.close()
    assert isinstance(good, Prediction)
    assert isinstance(bad, RecordError)
    assert (bad.fault, bad.message) == (Fault.INFERENCE_FAILED, "the model's logits are not finite")


def test_nan_weight_is_refused_for_int8(model_folder: Folders, tmp_path: Path) -> None:
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
