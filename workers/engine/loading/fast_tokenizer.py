"""Loads a model's fast tokenizer through transformers. The error for any other tokenizer names its kind."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

from labelstream.workers.engine.error_text import one_line
from labelstream.workers.errors import ModelError


def load_tokenizer(source: str, folder: Path) -> Any:
    """transformers' tokenizer, with a `backend_tokenizer`. Never runs the model's own code. Raises ModelError."""
    settings = _settings(source, folder)
    if not (folder / "tokenizer.json").is_file():
        _check_class(source, settings.get("tokenizer_class"))
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        if "auto_map" in settings and "trust_remote_code" in str(error):
            raise ModelError(
                f"{source}: tokenizer_config.json asks for code of the model (auto_map), which is never run; save a "
                "tokenizer of transformers in the model's folder"
            ) from error
        raise ModelError(
            f"{source}: the tokenizer cannot be loaded: {one_line(error)}; save the tokenizer in the model's folder"
        ) from error
    # Without any of these files transformers makes an empty vocabulary: every text becomes the same.
    files = {"tokenizer.json", *tokenizer.vocab_files_names.values()}
    if not any((folder / name).is_file() for name in files):
        raise ModelError(f"{source}: no tokenizer ({', '.join(sorted(files))}); save it in the model's folder")
    if not tokenizer.is_fast:
        raise ModelError(_in_python(source, type(tokenizer).__name__))
    if getattr(tokenizer, "split_special_tokens", False):
        raise ModelError(f"{source}: split_special_tokens is not supported; remove it from tokenizer_config.json")
    return tokenizer


def _settings(source: str, folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "tokenizer_config.json").read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise ModelError(f"{source}: tokenizer_config.json is not JSON; download or save the model again") from error
    return found if isinstance(found, dict) else {}


def _check_class(source: str, name: Any) -> None:
    """Refuse a Python tokenizer before loading: its own error for a missing file does not name the cause."""
    if isinstance(name, str):
        kind = tokenizer_class_from_name(name)
        if kind is not None and not issubclass(kind, PreTrainedTokenizerFast):
            raise ModelError(_in_python(source, name))


def _in_python(source: str, name: str) -> str:
    return (
        f"{source}: the tokenizer ({name}) is written in Python and has no tokenizer.json, which workers need; "
        "use a model with a fast tokenizer, or fine-tune one on the same data"
    )
