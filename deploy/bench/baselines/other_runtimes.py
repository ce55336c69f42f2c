"""Third-party runtimes wrapped as backends, for comparison on the same batches."""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification

from labelstream.workers.engine.backends.openvino.backend import arrays
from labelstream.workers.engine.inference.backend import Backend, done_already
from labelstream.workers.engine.inference.forward_layout import PaddedBatch
from labelstream.workers.engine.loading.hub import resolve

Run = Callable[[dict[str, Any]], torch.Tensor]


class PlainBackend:
    """Implements `labelstream.workers.engine.inference.backend.Backend` by `run`, in float32 on the CPU.

    `like`: a backend of the same model, for its ids.
    """

    device_type, dtype = "cpu", torch.float32

    def __init__(self, run: Run, names: tuple[str, ...], like: Backend) -> None:
        self._run, self._names = run, names
        self.pad_id = like.pad_id
        self.vocab_size, self.type_vocab_size = like.vocab_size, like.type_vocab_size

    def logits(self, batch: PaddedBatch) -> torch.Tensor:
        """float32 [n, labels]"""
        given = arrays(batch)
        return self._run({name: given[name] for name in self._names})

    def mark(self) -> Callable[[], None]:
        """See `Backend.mark`."""
        return done_already

    def memory(self) -> dict[str, int]:
        """Empty for a CPU."""
        return {}

    def free_memory(self) -> None:
        """Nothing to free."""


def other_ways(source: str, types: bool, like: Backend) -> dict[str, Backend]:
    """torch.compile, and ONNX Runtime if `onnxruntime` and `onnxscript` are installed."""
    names = ("input_ids", "attention_mask", *(("token_type_ids",) if types else ()))
    model = AutoModelForSequenceClassification.from_pretrained(resolve(source).folder, dtype=torch.float32).eval()
    ways: dict[str, Backend] = {"torch.compile": PlainBackend(_compiled(model), names, like)}
    if all(importlib.util.find_spec(name) for name in ("onnxruntime", "onnxscript")):
        ways["onnxruntime"] = PlainBackend(_onnx(model, names), names, like)
    return ways


def _compiled(model: Any) -> Run:
    quick = torch.compile(model, dynamic=True)

    def run(given: dict[str, Any]) -> torch.Tensor:
        with torch.inference_mode():
            return quick(**{name: torch.from_numpy(values) for name, values in given.items()}).logits

    return run


def _onnx(model: Any, names: tuple[str, ...]) -> Run:
    import onnxruntime  # type: ignore[import-not-found]

    ids = torch.arange(21).reshape(3, 7) % 5 + 1
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    example = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    sizes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            _Logits(model),
            tuple(example[name] for name in names),
            dynamo=True,
            input_names=list(names),
            dynamic_shapes=(tuple(sizes for _ in names),),
            verbose=False,
        )
        assert program is not None
        program.save(path)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda given: torch.from_numpy(np.asarray(session.run(None, given)[0]))


class _Logits(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        names = ("input_ids", "attention_mask", "token_type_ids")
        return self._model(**dict(zip(names, inputs, strict=False))).logits
