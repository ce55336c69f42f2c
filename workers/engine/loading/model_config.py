"""Loads config.json through transformers, after refusing what transformers would silently drop or misread."""

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
    """transformers' config for a model of `task`. Never runs the model's own code. Raises ModelError."""
    given = _read(source, folder)
    check_mappings(source, given, named=task in (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT))
    _check_type(source, given)
    _check_architecture(source, given, task)
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise ModelError(
            f"{source}: config.json cannot be read: {one_line(error)}; download or save the model again"
        ) from error
    # Let transformers choose: the config may name a kernel that this machine lacks or would download.
    config._attn_implementation = None
    if names := id2label_of(given):
        config.id2label = names
    if config.model_type == "big_bird" and config.attention_type != "original_full":
        # BigBird's sparse attention reads padding, and transformers itself turns it off at the first short text.
        config.attention_type = "original_full"
        logger.warning("%s: uses full attention instead of BigBird's sparse attention, which reads padding", source)
    return config


def _read(source: str, folder: Path) -> dict[str, Any]:
    try:
        given = json.loads((folder / "config.json").read_bytes())
    except ValueError as error:
        raise ModelError(f"{source}: config.json is not JSON; download or save the model again") from error
    if not isinstance(given, dict):
        raise ModelError(f"{source}: config.json is not a mapping; download or save the model again")
    return given


def _check_type(source: str, given: dict[str, Any]) -> None:
    kind = given.get("model_type")
    if kind is None or kind in CONFIG_MAPPING:
        return
    own = " and asks for code of the model (auto_map), which is never run" if "auto_map" in given else ""
    raise ModelError(
        f"{source}: model_type {kind!r} is unknown to transformers {transformers.__version__}{own}; use a model of an "
        "architecture that transformers has, or a newer transformers"
    )


def _check_architecture(source: str, given: dict[str, Any], task: TaskName) -> None:
    family = FAMILIES[task]
    names = [name for name in given.get("architectures") or [] if isinstance(name, str)]
    if not names or not family.endings or any(name.endswith(family.endings) for name in names):
        return
    fitting = task_made_for(names)
    made_for = f", or set task {fitting} (--task {fitting}), which it was made for" if fitting else ""
    raise ModelError(
        f"{source}: {names[0]} is not {family.what}, so its head would be random; fine-tune it first, and name the "
        f"folder of the result{made_for}"
    )
