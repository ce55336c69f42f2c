"""A model's config.json as transformers reads it, once what would be dropped or misread in silence is refused."""

import json
import logging
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.loading.architectures import FAMILIES, task_made_for
from labelstream.workers.engine.loading.labels import check_mappings, id2label_of
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)


def load_config(source: str, folder: Path, task: TaskName) -> Any:
    """transformers' config for a model of `task`, never by code of the model's own. Raises ModelError."""
    given = _read(source, folder)
    check_mappings(source, given, named=task in (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT))
    _check_type(source, given)
    _check_architecture(source, given, task)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise ModelError(
            f"{source}: config.json cannot be read: {one_line(error)}; download or save it again"
        ) from error
    # The choice is transformers' for this machine: a kernel of the maker's may be missing, or would be fetched.
    config._attn_implementation = None
    if names := id2label_of(given):
        config.id2label = names
    if config.model_type == "big_bird" and config.attention_type != "original_full":
        # Its sparse attention reads the padding, and ends for good with the first short text.
        config.attention_type = "original_full"
        logger.warning("%s: attention is full and not sparse, as transformers' is from the first short text on", source)
    return config


def _read(source: str, folder: Path) -> dict[str, Any]:
    try:
        given = json.loads((folder / "config.json").read_bytes())
    except ValueError as error:
        raise ModelError(f"{source}: config.json is not JSON; download or save the model again") from error
    if not isinstance(given, dict):
        raise ModelError(f"{source}: config.json holds no mapping; download or save the model again")
    return given


def _check_type(source: str, given: dict[str, Any]) -> None:
    kind = given.get("model_type")
    if kind is None or kind in CONFIG_MAPPING:
        return
    own = " and asks for code of its own (auto_map), which is never run" if "auto_map" in given else ""
    raise ModelError(
        f"{source}: its model_type {kind!r} is unknown to transformers {transformers.__version__}{own}; use a model of "
        "an architecture that is part of transformers, or a version of it that has this one"
    )


def _check_architecture(source: str, given: dict[str, Any], task: TaskName) -> None:
    family = FAMILIES[task]
    names = [name for name in given.get("architectures") or [] if isinstance(name, str)]
    if not names or not family.endings or any(name.endswith(family.endings) for name in names):
        return
    fitting = task_made_for(names)
    made_for = f", or set task {fitting} (--task {fitting}), which it was made for" if fitting else ""
    raise ModelError(
        f"{source}: {names[0]} is not {family.what}; its head would be random: fine-tune it first, and name the folder "
        f"of the result{made_for}"
    )
