"""Reads the sizes that a model's config does not tell from its modules once, and caches them for the next start.

Building the modules needs transformers' modeling code, whose import takes 2 s. The cache is in `HF_HOME/assets`, where
huggingface_hub keeps files derived from models. It may be deleted at any time. Another user's files are not read.
"""

import hashlib
import importlib.metadata
import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from huggingface_hub import cached_assets_path

from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.file_trust import is_trusted

if TYPE_CHECKING:  # see weights.py
    from transformers import PreTrainedModel

logger = logging.getLogger(__name__)


class ModelShape(NamedTuple):
    """`vocab_size`: rows of the token embeddings. `position_limit`: tokens; None without a limit."""

    vocab_size: int
    position_limit: int | None


def shape_of(model: "PreTrainedModel") -> ModelShape:
    """The shape of `model`, which may have no weights (meta device)."""
    weight: Any = model.get_input_embeddings().weight
    return ModelShape(len(weight), _position_limit(model))


def kept_shape(source: str, revision: str, task: str, build: Callable[[], "PreTrainedModel"]) -> ModelShape:
    """The cached shape of `source` in `revision`; else that of the model that `build` returns."""
    place = _place(source, revision, task)
    found = _read(place) if place else None
    if found is None:
        found = shape_of(build())
        if place:
            _keep(place, found)
    return found


def _place(source: str, revision: str, task: str) -> Path | None:
    depends_on = [source, revision, task, *map(importlib.metadata.version, ("torch", "transformers"))]
    depends_on.append(hashlib.sha256(Path(__file__).read_bytes()).hexdigest())
    key = hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()
    try:
        return cached_assets_path("labelstream", namespace="shapes", subfolder=source) / f"{key[:32]}.json"
    except (OSError, ValueError) as error:
        logger.info("%s: the model's sizes are not cached: %s", source, one_line(error))
        return None


def _read(place: Path) -> ModelShape | None:
    """The cached shape; None unless this user or root owns the file and nobody else may write to it."""
    try:
        found = place.lstat()
        kept = json.loads(place.read_bytes()) if stat.S_ISREG(found.st_mode) and is_trusted(found) else None
    except (OSError, ValueError):
        return None
    if not isinstance(kept, list) or len(kept) != len(ModelShape._fields) or type(kept[0]) is not int:
        return None
    return ModelShape(*kept) if kept[1] is None or type(kept[1]) is int else None


def _keep(place: Path, shape: ModelShape) -> None:
    """Write the file atomically: other processes may write the same file."""
    made = place.with_suffix(f".{os.getpid()}")
    try:
        made.write_text(json.dumps(shape), encoding="utf-8")
        made.replace(place)
    except OSError as error:
        logger.info("%s: the model's sizes are not cached: %s", place, one_line(error))


def _position_limit(model: "PreTrainedModel") -> int | None:
    """Positions in the model's table. RoBERTa and related models count from the padding id + 1."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return getattr(model.config, "max_position_embeddings", None)
