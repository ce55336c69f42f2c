"""Loads a model with or without its weights, and refuses a head with random weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.loading.architectures import Family
from labelstream.workers.errors import ModelError

if TYPE_CHECKING:  # transformers' modeling code takes 2 s to import, and a converted model does not need it
    from transformers import PreTrainedModel


def without_weights(source: str, config: Any, family: Family) -> "PreTrainedModel":
    """The model's modules on the meta device. `config`: transformers' object. Raises ModelError."""
    try:
        with torch.device("meta"):
            return family.auto.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{source}: the model cannot be loaded: {one_line(error)}") from error


def load_weights(source: str, folder: Path, config: Any, family: Family, dtype: torch.dtype) -> "PreTrainedModel":
    """The model on the CPU, in eval mode. `config`: transformers' object. Raises ModelError."""
    try:
        model, info = family.auto.from_pretrained(
            folder,
            config=config,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:
        raise ModelError(f"{source}: the model cannot be loaded: {one_line(error)}") from error
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(family.unused))
    if missing:
        raise ModelError(f"{source}: the weights lack {_lacking(missing, sorted(info['unexpected_keys']), family)}")
    return model.eval()


def _lacking(missing: list[str], unexpected: list[str], family: Family) -> str:
    """The missing weights, the unexpected ones in the file, and the fix."""
    lacking = f"{_first(missing)}, which would be random"
    for key in unexpected:
        prefix = key.removesuffix(missing[0])
        if prefix != key:
            return (
                f"{lacking}: the file has {key} instead, with the prefix {prefix!r} of a wrapper's `state_dict()`; "
                "save the model inside the wrapper with `save_pretrained`"
            )
    known = f"; the file has {_first(unexpected)}, which the model does not have" if unexpected else ""
    return f"{lacking}: fine-tune the model as {family.what} first{known}"


def _first(keys: list[str]) -> str:
    return f"{keys[0]} and {len(keys) - 1} more" if len(keys) > 1 else keys[0]
