"""Reads how a sentence-transformers repository makes its vectors, and refuses unsupported steps by name. No torch.

`modules.json` lists the steps, each with its own folder: the model, the pooling, and optionally a normalization.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, cast

from labelstream.workers.errors import ModelError

Pooling = Literal["mean", "cls"]
_SUPPORTED = ("mean", "cls")
_OLD_MODES = {  # up to sentence-transformers 5
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_CHAINS = (["Transformer"], ["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_UNLESS = "remove modules.json to use mean pooling, which gives other vectors"


class EmbeddingModules(NamedTuple):
    """`max_length`: tokens; None means the model's own limit. `prompts`: texts by name that may precede a text."""

    pooling: Pooling = "mean"
    normalize: bool = False
    max_length: int | None = None
    prompts: Mapping[str, str] = MappingProxyType({})


def modules_of(source: str, folder: Path, tokenizer: Any) -> EmbeddingModules:
    """The settings in `folder`; without a modules.json mean pooling, as sentence-transformers does.

    `tokenizer`: transformers' object. Raises ModelError for a step, pooling or prompt that is not supported.
    """
    if not (folder / "modules.json").is_file():
        return EmbeddingModules()
    try:
        steps = [(str(step["type"]).rpartition(".")[2], str(step["path"])) for step in _read(folder / "modules.json")]
        kinds = [kind for kind, _ in steps]
        if kinds not in _CHAINS:
            raise _refusal(source, f"modules.json has the steps {', '.join(kinds)}", "Transformer, Pooling, Normalize")
        if steps[0][1]:
            raise ModelError(f"{source}: modules.json: the model is in the folder {steps[0][1]}; name it as source")
        prompts = _prompts(source, folder / "config_sentence_transformers.json")
        given = _read(folder / steps[1][1] / "config.json") if len(steps) > 1 else {}
        if not given.get("include_prompt", True):  # the vector would be without the prompt's tokens
            prompts = {}
        pooling = _pooling(source, steps[1][1], given) if len(steps) > 1 else "mean"
        found = next(map(_read, sorted(folder.glob("sentence_*_config.json"))), {})
        if found.get("do_lower_case") and tokenizer("Good").input_ids != tokenizer("good").input_ids:
            raise _refusal(source, "do_lower_case is true with a case-sensitive tokenizer", "an uncased tokenizer")
        if (task := found.get("transformer_task", "feature-extraction")) != "feature-extraction":
            raise _refusal(source, f"transformer_task is {task}", "feature-extraction")
        return EmbeddingModules(pooling, "Normalize" in kinds, found.get("max_seq_length"), prompts)
    except ModelError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{source}: modules.json or a file that it names cannot be read ({type(error).__name__}: {error}); "
            "download the whole repository again"
        ) from error


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _pooling(source: str, folder: str, given: dict[str, Any]) -> Pooling:
    modes = given.get("pooling_mode") or [mode for key, mode in _OLD_MODES.items() if given.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if len(modes) > 1 or modes[0] not in _SUPPORTED:
        raise _refusal(source, f"{folder}/config.json has the pooling {' and '.join(modes)}", "mean or cls")
    return cast(Pooling, modes[0])


def _prompts(source: str, path: Path) -> dict[str, str]:
    given = _read(path) if path.is_file() else {}
    prompts, name = given.get("prompts") or {}, given.get("default_prompt_name")
    if name and prompts.get(name):
        raise _refusal(source, f"{path.name} puts the prompt {name!r} before each text", "a model without prompts")
    return {str(name): prompt for name, prompt in prompts.items() if isinstance(prompt, str)}


def _refusal(source: str, problem: str, supported: str) -> ModelError:
    return ModelError(f"{source}: {problem}; supported is {supported}. Take another model, or {_UNLESS}")
