"""A model with its weights, or without; a head that nobody trained is refused."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.loading.architectures import Family
from labelstream.workers.errors import ModelError

if TYPE_CHECKING:  # transformers' modelling code takes 2 s to import, and a converted model needs none of it
    from transformers import PreTrainedModel


def without_weights(source: str, config: Any, family: Family) -> "PreTrainedModel":
    """The model's modules on the meta device. `config`: transformers' own. Raises ModelError."""
    try:
        with torch.device("meta"):
            return family.auto.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{source}: the model cannot be loaded: {one_line(error)}") from error


def load_weights(source: str, folder: Path, config: Any, family: Family, dtype: torch.dtype) -> "PreTrainedModel":
    """The model on the CPU, in evaluation mode. `config`: transformers' own. Raises ModelError."""
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


def _lacking(missing: list[str], others: list[str], family: Family) -> str:
    """The missing weights, the weights in their place, and the fix."""
    lacking = f"{_first(missing)}, which would be random"
    for key in others:
        prefix = key.removesuffix(missing[0])
        if prefix != key:
            return (
                f"{lacking}: the file has {key} in its place, all with the prefix {prefix!r}, as a wrapper's "
                "`state_dict()` has them; save the model inside of the wrapper, with its own `save_pretrained`"
            )
    there = f"; the file has {_first(others)}, which the model does not know" if others else ""
    return f"{lacking}: fine-tune it as {family.what} first{there}"


def _first(keys: list[str]) -> str:
    return f"{keys[0]} and {len(keys) - 1} more" if len(keys) > 1 else keys[0]
