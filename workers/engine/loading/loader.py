"""A model's source -> its description and a backend that runs it. Never serves a head that nobody trained."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
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
from labelstream.workers.engine.inspection.child_process import inspect_in_child
from labelstream.workers.engine.loading.architectures import FAMILIES, READS_PADDING, Family
from labelstream.workers.engine.loading.describe import describe
from labelstream.workers.engine.loading.device import device_for, dtype_for
from labelstream.workers.engine.loading.embedding_modules import EmbeddingModules, modules_of
from labelstream.workers.engine.loading.fast_tokenizer import load_tokenizer
from labelstream.workers.engine.loading.hub import resolve
from labelstream.workers.engine.loading.model_config import load_config
from labelstream.workers.engine.loading.padding import pad_id_of
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
    try:
        return _load(source, options)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{source}: the model cannot be described: {one_line(error)}; its architecture must have a table of token "
            "embeddings, and its config.json the architecture's keys"
        ) from error


def _load(source: str, options: ModelOptions) -> tuple[ModelDescription, Backend]:
    task = options.task
    device = device_for(source, options.device)
    openvino = takes_openvino(source, options, device)
    folder, revision = resolve(source, options.revision)
    inspect_in_child(source, folder)
    config = load_config(source, folder, task)
    wanted = "float32" if options.dtype == "auto" and config.model_type in READS_PADDING else options.dtype
    dtype = dtype_for(source, wanted, device, quantized=options.quantize is not None)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()  # what a checkpoint lacks is checked here, and is an error
    tokenizer = load_tokenizer(source, folder)
    own = modules_of(source, folder, tokenizer) if task is TaskName.EMBEDDING else EmbeddingModules()
    options = _with_own(options, own)
    pad_id = pad_id_of(config, tokenizer)
    config.get_text_config().pad_token_id = pad_id  # decoders find the last token by it
    load_model = partial(_load_model, source, folder, config, FAMILIES[task])
    # For OpenVINO the shape of it will do at first: what was converted before needs no weights.
    model: Any = _without_weights(source, config, FAMILIES[task]) if openvino else load_model(dtype)
    max_length = _max_length_of(source, tokenizer, model, options.max_length, own.max_length)
    description = describe(source, revision, options, config, tokenizer, max_length)
    takes_type_ids = "token_type_ids" in tokenizer.model_input_names
    inputs: dict[str, Any] = {
        "pad_id": pad_id,
        "vocab_size": len(model.get_input_embeddings().weight),
        "takes_type_ids": takes_type_ids,
        "type_vocab_size": _type_vocab_size(config) if takes_type_ids else None,
    }
    backend: Backend | None = None
    if openvino:
        backend = _in_openvino(description, options, inputs, load_model, dtype)
    if backend is None:
        model = load_model(dtype) if openvino else model
        backend = _in_torch(source, model.to(device), options, inputs)
    logger.info(
        "%s: on %s in %s, %d outputs, max_length %d", source, device, backend.dtype, description.outputs, max_length
    )
    return description, backend


def _in_torch(source: str, model: Any, options: ModelOptions, inputs: dict[str, Any]) -> TorchBackend:
    """`model`: on its device."""
    device: torch.device = model.device
    _prepare(model, device)
    read = _reading(model, options)
    packing = packing_for(source, model, read, options) if unpadded_on(device) else None
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


def _with_own(options: ModelOptions, own: EmbeddingModules) -> ModelOptions:
    """What the options leave open is as the model's repository says."""
    chosen = {"pooling": options.pooling or own.pooling}
    chosen |= {"normalize": own.normalize if options.normalize is None else options.normalize}
    return options.model_copy(update=chosen)


def _in_openvino(
    description: ModelDescription,
    options: ModelOptions,
    inputs: dict[str, Any],
    load_model: Callable[[torch.dtype], PreTrainedModel],
    dtype: torch.dtype,
) -> Backend | None:
    """None where torch has to run the model."""
    from labelstream.workers.engine.backends.openvino.loader import Parts, load_openvino

    def weights() -> tuple[PreTrainedModel, OutputHead]:
        model = load_model(torch.float32)
        return model, _reading(model, options)

    try:
        return load_openvino(Parts(description, options, weights=weights, **inputs), dtype)
    except Unconvertible as error:
        unless_asked(description.source, options, error)
        return None


def _reading(model: torch.nn.Module, options: ModelOptions) -> OutputHead:
    if options.task is TaskName.FILL_MASK:
        return TargetLogits(model)
    return Pooled(model, options.pooling or "mean") if options.task is TaskName.EMBEDDING else Logits(model)


def _without_weights(source: str, config: Any, family: Family) -> PreTrainedModel:
    try:
        with torch.device("meta"):
            return family.auto.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise ModelError(f"{source}: the model cannot be loaded: {one_line(error)}") from error


def _load_model(source: str, folder: Path, config: Any, family: Family, dtype: torch.dtype) -> PreTrainedModel:
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
    """What is not there, what is in its place, and what to do."""
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


def _max_length_of(source: str, tokenizer: Any, model: PreTrainedModel, wanted: int | None, usual: int | None) -> int:
    """`wanted`: by the options. `usual`: by the model's repository."""
    both = (tokenizer.model_max_length, _position_limit(model))  # XLNet's config has -1 for none
    limits = [limit for limit in both if limit and 0 < limit < _NO_LIMIT]
    most = int(min(limits)) if limits else _DEFAULT_MAX_LENGTH
    if wanted is not None and wanted > most:
        logger.warning("%s: max_length %d is more than the model takes; using %d", source, wanted, most)
    return min(wanted or usual or most, most)


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
