"""Loads a model's source: its description, and a backend that runs it. Refuses a head with random weights."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from labelstream.workers.engine.backends.openvino.selection import Unconvertible, fall_back_to_torch, takes_openvino
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.inference.backend import Backend
from labelstream.workers.engine.inspection.child_process import inspect_in_child
from labelstream.workers.engine.loading.architectures import FAMILIES, READS_PADDING
from labelstream.workers.engine.loading.describe import describe
from labelstream.workers.engine.loading.device import device_for, dtype_for
from labelstream.workers.engine.loading.embedding_modules import EmbeddingModules, modules_of
from labelstream.workers.engine.loading.fast_tokenizer import load_tokenizer
from labelstream.workers.engine.loading.hub import resolve
from labelstream.workers.engine.loading.model_config import load_config
from labelstream.workers.engine.loading.padding import pad_id_of
from labelstream.workers.engine.modeling.shape import kept_shape, shape_of
from labelstream.workers.engine.modeling.weights import load_weights, without_weights
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.engine.tokenization.special_tokens import LARGEST_TYPE
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)

_NO_LIMIT = 10**9  # transformers sets 1e30 for a tokenizer without a limit
_DEFAULT_MAX_LENGTH = 512


def load(source: str, options: ModelOptions) -> tuple[ModelDescription, Backend]:
    """Load a model for `options.task` from a directory or the hub. Raises ModelError if it cannot be served."""
    try:
        return _load(source, options)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{source}: the model cannot be described: {one_line(error)}; check that config.json has all keys of its "
            "architecture, or use a model with a table of token embeddings"
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
    transformers_logging.set_verbosity_error()  # `_load_model` raises an error for missing weights
    tokenizer = load_tokenizer(source, folder)
    own = modules_of(source, folder, tokenizer) if task is TaskName.EMBEDDING else EmbeddingModules()
    options = _with_own(options, own)
    pad_id = pad_id_of(config, tokenizer)
    config.get_text_config().pad_token_id = pad_id  # decoders find the last token by their padding
    load_model = partial(load_weights, source, folder, config, FAMILIES[task])
    # OpenVINO needs only the model's shape if its cache has the converted model.
    build = partial(without_weights, source, config, FAMILIES[task])
    model: Any = None if openvino else load_model(dtype)
    shape = kept_shape(source, revision, task, build) if model is None else shape_of(model)
    max_length = _max_length_of(source, tokenizer, shape.position_limit, options.max_length, own.max_length)
    description = describe(source, revision, options, config, tokenizer, max_length)
    takes_type_ids = "token_type_ids" in tokenizer.model_input_names
    inputs: dict[str, Any] = {
        "pad_id": pad_id,
        "vocab_size": shape.vocab_size,
        "takes_type_ids": takes_type_ids,
        "type_vocab_size": _type_vocab_size(config) if takes_type_ids else None,
    }
    backend: Backend | None = None
    if openvino:
        backend = _in_openvino(description, options, inputs, load_model, dtype)
    if backend is None:
        from labelstream.workers.engine.modeling.torch_model import torch_backend

        model = load_model(dtype) if model is None else model
        backend = torch_backend(source, model.to(device), options, inputs)
    dtype_name = str(backend.dtype).removeprefix("torch.")
    logger.info(
        "%s: on %s in %s, %d outputs, max_length %d", source, device, dtype_name, description.outputs, max_length
    )
    dtype_name = str(backend.dtype).removeprefix("torch.")
    return replace(description, dtype=dtype_name, prompts=dict(own.prompts)), backend


def _with_own(options: ModelOptions, own: EmbeddingModules) -> ModelOptions:
    """`options`, with the repository's pooling and normalization where the options are None."""
    chosen = {"pooling": options.pooling or own.pooling}
    chosen |= {"normalize": own.normalize if options.normalize is None else options.normalize}
    return options.model_copy(update=chosen)


def _in_openvino(
    description: ModelDescription,
    options: ModelOptions,
    inputs: dict[str, Any],
    load_model: Callable[[torch.dtype], Any],
    dtype: torch.dtype,
) -> Backend | None:
    """The OpenVINO backend; None if torch must run the model."""
    from labelstream.workers.engine.backends.openvino.loader import Parts, load_openvino

    def weights() -> tuple[Any, Any]:
        from labelstream.workers.engine.backends.pytorch.heads import head_for

        model = load_model(torch.float32)
        return model, head_for(model, options.task, options.pooling)

    try:
        return load_openvino(Parts(description, options, weights=weights, **inputs), dtype)
    except Unconvertible as error:
        fall_back_to_torch(description.source, options, error)
        return None


def _max_length_of(
    source: str, tokenizer: Any, position_limit: int | None, wanted: int | None, usual: int | None
) -> int:
    """Tokens of a sequence at most. `wanted`: the option max_length. `usual`: the repository's max_seq_length."""
    both = (tokenizer.model_max_length, position_limit)  # XLNet's config has -1 for no limit
    limits = [limit for limit in both if limit and 0 < limit < _NO_LIMIT]
    limit = int(min(limits)) if limits else _DEFAULT_MAX_LENGTH
    if wanted is not None and wanted > limit:
        logger.warning("%s: max_length %d is more than the model takes; using %d", source, wanted, limit)
    return min(wanted or usual or limit, limit)


def _type_vocab_size(config: Any) -> int | None:
    """Number of type ids; None for a model without a table of type ids, for which DeBERTa's config has 0."""
    size = getattr(config, "type_vocab_size", None)
    return min(size, LARGEST_TYPE) if size else None
