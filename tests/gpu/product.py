"""Labelstream's own parts with the measured model: DistilBERT-base's shape, or a small one to try the script."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from labelstream.workers.engine.inference.forward_layout import UnpaddedBatch, pack
from labelstream.workers.engine.inference.predict_call import Rows
from labelstream.workers.engine.inference.predictor import DEFAULT_BATCH_TOKENS, Predictor
from labelstream.workers.engine.inference.warmup import warm_up
from labelstream.workers.engine.loading import loader
from labelstream.workers.engine.modeling import torch_model
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.ragged import RaggedSequences
from tests.benchmarks.throughput.material import BASE, VOCABULARY, make_model
from tests.gpu.clock import CUDA, DEVICE
from tests.gpu.material import make_ids
from tests.support.models import scale_weights

BUDGET = DEFAULT_BATCH_TOKENS["cuda"] if CUDA else 256
_SMALL = {"dim": 64, "n_layers": 2, "n_heads": 2, "hidden_dim": 128}
HIDDEN, HEADS, UP = (BASE["dim"], BASE["n_heads"], BASE["hidden_dim"]) if CUDA else (64, 2, 128)
WORK = Path()  # set by the script: the folder that it may write to


@cache
def folder() -> Path:
    """The model's folder, made at the first call. Its head is enlarged, so that scores differ by more than rounding."""
    made = make_model(WORK / "model", BASE if CUDA else _SMALL)
    return scale_weights(made, 2, ("pre_classifier.weight", "classifier.weight"))


@cache
def transformers_model(dtype: torch.dtype, device: torch.device = DEVICE) -> Any:
    """The model as transformers loads it."""
    model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(folder(), dtype=dtype)
    return model.eval().to(device)


def backend(dtype: str = "auto") -> tuple[Any, Any]:
    """Description and backend, newly loaded, without recordings. Without padding on a CPU too, to try the script."""
    torch_model.unpadded_on = lambda device: True
    options: dict[str, Any] = {"device": DEVICE.type, "dtype": dtype if CUDA else "float32", "backend": "torch"}
    return loader.load(str(folder()), ModelOptions(**options))


@cache
def predictor(budget: int) -> Predictor:
    """A predictor, warmed up, with all forwards recorded."""
    made = Predictor(*backend(), budget)
    warm_up(made)
    return made


def padded_predictor(dtype: str = "auto") -> Predictor:
    """A predictor with padding, as for a model that cannot run without it."""
    made = Predictor(*backend(dtype), BUDGET)
    made.runner.packing = None
    warm_up(made)
    return made


def texts(count: int, seed: int = 1) -> RaggedSequences:
    """Token ids of texts of 32 tokens on average."""
    return make_ids(count, seed, VOCABULARY if CUDA else 100)


def as_batch(packed: RaggedSequences) -> UnpaddedBatch:
    """All of `packed` as one batch."""
    return pack(packed, Rows(packed).starts, np.arange(len(packed.lengths)))
