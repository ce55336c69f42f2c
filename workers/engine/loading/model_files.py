"""Checks that a folder holds a whole model before anything of it is loaded. Errors name what is missing."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

from labelstream.workers.errors import ModelError

# Files of config and tokenizer, and weights in the one format whose reading cannot run code.
PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors"]
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
_STEP = re.compile(r"\d_\w+/config\.json")
_POINTER = b"version https://git-lfs.github.com/"


def belongs_to_model(name: str) -> bool:
    """Whether a repository's file is read. Copies for other runtimes are in subfolders, such as onnx/."""
    return (any(fnmatch(name, pattern) for pattern in PATTERNS) and "/" not in name) or bool(_STEP.fullmatch(name))


def model_files(folder: Path) -> list[Path]:
    """The weights, config and tokenizer files in `folder`, and the configs of sentence-transformers' steps, sorted."""
    return sorted({path for pattern in (*PATTERNS, "[0-9]_*/config.json") for path in folder.glob(pattern)})


def check_files(source: str, folder: Path) -> None:
    """Raises ModelError, which names the fix, if `folder` does not hold a whole model."""
    names = {path.name for path in folder.iterdir()}
    if "adapter_config.json" in names and not names & {_WEIGHTS, _INDEX}:
        raise ModelError(f"{source}: {_adapter(folder)}")
    if "config.json" not in names:
        raise ModelError(f"{source}: {_without_config(folder)}")
    for path in model_files(folder):
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise ModelError(
                    f"{source}: {path.name} is a Git LFS pointer and not the file itself; run `git lfs pull` in the "
                    "repository, or download the model again"
                )
    if problem := missing_weights(folder):
        raise ModelError(f"{source}: {problem}")


def missing_weights(folder: Path) -> str:
    """What is wrong with the weights in `folder`, and the fix; empty if all weights are there."""
    if (folder / _WEIGHTS).is_file():
        return ""
    if (folder / _INDEX).is_file():
        try:
            parts = set(json.loads((folder / _INDEX).read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{_INDEX} does not map weights to files; download the model again"
        missing = sorted(str(part) for part in parts if not (folder / str(part)).is_file())
        return f"{missing[0]}, a part of the weights, is missing; download the model again" if missing else ""
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    if any(map(_SHARD.fullmatch, found)):
        return (
            f"the weights are in parts ({found[0]}, ...), and {_INDEX} is missing, which maps weights to files; "
            "download the index too, or save the model again"
        )
    if found:
        return f"there is {', '.join(found)}, and no {_WEIGHTS}; save the weights as {_WEIGHTS}"
    pickled = "only pickled weights (*.bin)" if any(folder.glob("*.bin")) else "no weights"
    return (
        f"{pickled}; only *.safetensors are read, because reading a pickle can run code; convert the weights with "
        "transformers' `AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(folder)`, or name "
        "a revision with safetensors"
    )


def _adapter(folder: Path) -> str:
    try:
        base = json.loads((folder / "adapter_config.json").read_bytes()).get("base_model_name_or_path")
    except (ValueError, AttributeError):
        base = None
    return (
        f"an adapter (adapter_config.json) of {base or 'another model'}, not a whole model; merge both with peft's "
        "`AutoPeftModelForSequenceClassification.from_pretrained(folder).merge_and_unload().save_pretrained(merged)`, "
        "save the tokenizer in the folder `merged`, and name that folder"
    )


def _without_config(folder: Path) -> str:
    """Names the subfolder that holds the model: until 2020 sentence-transformers saved it in `0_Transformer`."""
    inside = sorted(path.parent.name for path in folder.glob("*/config.json") if _holds_weights(path.parent))
    if len(inside) == 1:
        pooling = (
            "" if not (folder / "modules.json").is_file() else ", and set pooling to what 1_Pooling/config.json says"
        )
        return f"no config.json; the model is in the folder {inside[0]}: name {folder / inside[0]} as source{pooling}"
    more = f" (one of {', '.join(inside)})" if inside else ""
    return f"no config.json; name the folder that `save_pretrained` wrote{more}"


def _holds_weights(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or (folder / "pytorch_model.bin").is_file()
