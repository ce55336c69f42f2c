"""A model's source -> its description and a backend that runs it. Never serves a head that nobody trained."""

import json
import logging
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from labelstream.workers.engine.backends.openvino.selection import Unconvertible, takes_openvino, unless_asked
from labelstream.workers.engine.backends.pytorch.backend import TorchBackend
from labelstream.workers.engine.backends.pytorch.cuda_graphs import CudaGraphs, recorder_for
from labelstream.workers.engine.backends.pytorch.fused_gelu import fuse_gelu
from labelstream.workers.engine.backends.pytorch.heads import Logits, OutputHead, Pooled, TargetLogits
from labelstream.workers.engine.backends.pytorch.prepacked_linear import pack_linears
from labelstream.workers.engine.backends.pytorch.unpadded import packing_for, unpadded_on
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.loading.architectures import FAMILIES, Family
from labelstream.workers.engine.loading.describe import describe
from labelstream.workers.engine.loading.device import device_for, dtype_for
from labelstream.workers.engine.loading.hub import resolve
from labelstream.workers.engine.loading.labels import check_mappings
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.tokenization.special_tokens import LARGEST_TYPE
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)

_NO_LIMIT = 10**9  # transformers writes 1e30 where a tokenizer knows no limit
_DEFAULT_MAX_LENGTH = 512


def load(source: str, options: ModelOptions) -> tuple[ModelDescription, Backend]:
    """Load a model of the task's family from a directory or the hub.

    Raises ModelError for everything that cannot be served.
    """
    task = options.task
    device = device_for(source, options.device)
    dtype = dtype_for(source, options.dtype, device, quantized=options.quantize is not None)
    openvino = takes_openvino(source, options, device)
    folder, revision = resolve(source, options.revision)
    _check_config(source, folder, task)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what a checkpoint lacks is checked here, and is an error
    tokenizer = _load_tokenizer(source, folder)
    # For OpenVINO the shape of it will do at first: what was converted before needs no weights.
    model: Any = (_without_weights if openvino else partial(_load_model, dtype=dtype))(source, folder, FAMILIES[task])
    max_length = _max_length_of(source, tokenizer, model, options.max_length)
    description = describe(source, revision, options, model.config, tokenizer, max_length)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else model.config.pad_token_id
    takes_type_ids = "token_type_ids" in tokenizer.model_input_names
    inputs: dict[str, Any] = {
        "pad_id": 0 if pad_id is None else pad_id,
        "vocab_size": model.get_input_embeddings().num_embeddings,
        "takes_type_ids": takes_type_ids,
        "type_vocab_size": _type_vocab_size(model.config) if takes_type_ids else None,
    }
    backend: Backend | None = None
    if openvino:
        backend = _in_openvino(description, options, inputs, folder, dtype)
    if backend is None:
        if openvino:
            model = _load_model(source, folder, FAMILIES[task], dtype)
        backend = _in_torch(source, model.to(device), task, options.pooling, inputs)
    logger.info(
        "%s: on %s in %s, %d outputs, max_length %d", source, device, backend.dtype, description.outputs, max_length
    )
    return description, backend


def _in_torch(source: str, model: Any, task: TaskName, pooling: str, inputs: dict[str, Any]) -> TorchBackend:
    """`model`: on its device."""
    device: torch.device = model.device
    _prepare(model, device)
    read = _reading(model, task, pooling)
    packing = packing_for(source, model, read, task, pooling) if unpadded_on(device) else None
    recorder = recorder_for(device)
    graphs = None if packing is None or recorder is None else CudaGraphs(recorder)
    return TorchBackend(model, read, **inputs, packing=packing, graphs=graphs)


def _prepare(model: torch.nn.Module, device: torch.device) -> None:
    """What makes `model` fast on `device`, and its answers no others."""
    dtype = next(model.parameters()).dtype
    if device.type == "cuda":
        # cuDNN's attention, which torch prefers on Hopper from 2.11 on, plans anew for every shape of a batch: 40 to 70
        # ms each on an H200. The kernel that is taken instead needs a third to all of its time, and no plan.
        torch.backends.cuda.enable_cudnn_sdp(False)
        if dtype is not torch.float32:
            fuse_gelu(model)
    elif dtype is torch.bfloat16:
        pack_linears(model)


def _in_openvino(
    description: ModelDescription, options: ModelOptions, inputs: dict[str, Any], folder: Path, dtype: torch.dtype
) -> Backend | None:
    """None where torch has to run the model."""
    from labelstream.workers.engine.backends.openvino.loader import Parts, load_openvino

    def weights() -> tuple[PreTrainedModel, OutputHead]:
        task = TaskName(description.task)
        model = _load_model(description.source, folder, FAMILIES[task], torch.float32)
        return model, _reading(model, task, options.pooling)

    try:
        return load_openvino(Parts(description, options, weights=weights, **inputs), dtype)
    except Unconvertible as error:
        unless_asked(description.source, options, error)
        return None


def _reading(model: torch.nn.Module, task: TaskName, pooling: str) -> OutputHead:
    if task is TaskName.FILL_MASK:
        return TargetLogits(model)
    return Pooled(model, pooling) if task is TaskName.EMBEDDING else Logits(model)


def _check_config(source: str, folder: Path, task: TaskName) -> None:
    family = FAMILIES[task]
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except ValueError as error:
        raise ModelError(f"{source}: config.json is not JSON; download or save the model again") from error
    if not isinstance(config, dict):
        raise ModelError(f"{source}: config.json holds no mapping; download or save the model again")
    check_mappings(source, config, named=task in (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT))
    if "auto_map" in config:
        raise ModelError(
            f"{source}: its config.json asks for code of its own (auto_map), which is never run; use a model of an "
            "architecture that is part of transformers"
        )
    architectures = config.get("architectures") or []
    if architectures and family.endings and not any(name.endswith(family.endings) for name in architectures):
        raise ModelError(
            f"{source}: {architectures[0]} is not {family.what}; its head would be random: fine-tune it first, and "
            "name the folder of the result, or set the task that it was made for"
        )


def _load_tokenizer(source: str, folder: Path) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:
        raise ModelError(
            f"{source}: the tokenizer cannot be loaded: {one_line(error)}; save it beside the model"
        ) from error
    # Without any of these files transformers makes an empty vocabulary, to which every text is the same.
    files = {"tokenizer.json", *tokenizer.vocab_files_names.values()}
    if not any((folder / name).is_file() for name in files):
        raise ModelError(f"{source}: no tokenizer ({', '.join(sorted(files))}); save it beside the model")
    if not tokenizer.is_fast:
        raise ModelError(f"{source}: no fast tokenizer; add the tokenizer.json that `tokenizer.save_pretrained` writes")
    if getattr(tokenizer, "split_special_tokens", False):
        raise ModelError(f"{source}: split_special_tokens is not supported; remove it from tokenizer_config.json")
    return tokenizer


def _without_weights(source: str, folder: Path, family: Family) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            return family.auto.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{source}: the model cannot be loaded: {one_line(error)}") from error


def _load_model(source: str, folder: Path, family: Family, dtype: torch.dtype) -> PreTrainedModel:
    try:
        model, info = family.auto.from_pretrained(
            folder,
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
        raise ModelError(
            f"{source}: the weights lack {missing[0]}{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}, "
            f"which would be random: fine-tune it as {family.what} first"
        )
    return model.eval()


def _max_length_of(source: str, tokenizer: Any, model: PreTrainedModel, wanted: int | None) -> int:
    limits = [limit for limit in (tokenizer.model_max_length, _position_limit(model)) if limit and limit < _NO_LIMIT]
    most = int(min(limits)) if limits else _DEFAULT_MAX_LENGTH
    if wanted is not None and wanted > most:
        logger.warning("%s: max_length %d is more than the model takes; using %d", source, wanted, most)
    return most if wanted is None else min(wanted, most)


def _type_vocab_size(config: Any) -> int | None:
    """None where the model has no table of type ids, which DeBERTa writes as 0."""
    size = getattr(config, "type_vocab_size", None)
    return min(size, LARGEST_TYPE) if size else None


def _position_limit(model: PreTrainedModel) -> int | None:
    """Tokens that the position table holds; RoBERTa and its kin start counting behind the padding id."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding):
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return getattr(model.config, "max_position_embeddings", None)
