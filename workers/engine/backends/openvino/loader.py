"""Loads a model in OpenVINO: converts it, compares it with torch, quantizes it if set, and caches the result."""

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from labelstream.workers.engine.backends.openvino import cache
from labelstream.workers.engine.backends.openvino.backend import OpenVINOBackend
from labelstream.workers.engine.backends.openvino.calibration_texts import material_for
from labelstream.workers.engine.backends.openvino.conversion import convert, input_names
from labelstream.workers.engine.backends.openvino.label_agreement import agreement
from labelstream.workers.engine.backends.openvino.parity_check import difference
from labelstream.workers.engine.backends.openvino.quantization import has_vnni, quantize
from labelstream.workers.engine.backends.openvino.runtime import compiled, computes, core, imported, versions
from labelstream.workers.engine.backends.openvino.selection import Unconvertible, unconverted
from labelstream.workers.engine.description import Activation, ModelDescription, TaskName
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError

if TYPE_CHECKING:  # transformers' modeling code takes 2 s to import, and a converted model does not need it
    from transformers import PreTrainedModel

    from labelstream.workers.engine.backends.pytorch.heads import OutputHead

logger = logging.getLogger(__name__)

# The modules that shape a converted model, or compare it with torch.
_CODE = (
    *(f"openvino.{name}" for name in ("conversion", "deberta_positions", "quantization", "parity_check")),
    *(f"pytorch.{name}" for name in ("heads", "last_layer")),
)


class Parts(NamedTuple):
    """A model without its weights. `weights`: loads the model with its weights, in float32 on the CPU, and its head."""

    description: ModelDescription
    options: ModelOptions
    pad_id: int
    vocab_size: int
    takes_type_ids: bool
    type_vocab_size: int | None
    weights: Callable[[], "tuple[PreTrainedModel, OutputHead]"]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the converted model's inputs."""
        return input_names(self.takes_type_ids, self.description.task == TaskName.FILL_MASK)


def load_openvino(parts: Parts, dtype: torch.dtype) -> OpenVINOBackend:
    """A backend that computes in `dtype` if this CPU supports it, else in float32; in int8 if `quantize` is set.

    Raises Unconvertible if OpenVINO cannot convert the model or answers differently from torch, and ModelError if int8
    is not possible or changes too many labels.
    """
    started = time.perf_counter()
    if parts.options.quantize is None:
        model, precision = _float32(parts), computes(dtype)
    else:
        model, precision = _int8(parts), torch.int8
    backend = _backend(parts, model, precision)
    logger.info(
        "%s: loaded into OpenVINO %s in %.1f s",
        parts.description.source,
        *versions("openvino").values(),
        time.perf_counter() - started,
    )
    return backend


def _backend(parts: Parts, model: Any, precision: torch.dtype) -> OpenVINOBackend:
    # Operations that are not quantized to int8 compute in float32.
    return OpenVINOBackend(compiled(model, precision), precision, parts.pad_id, parts.vocab_size, parts.type_vocab_size)


def _float32(parts: Parts) -> Any:
    """The converted float32 model: an `openvino.Model`, or its path in the cache."""
    place = _place(parts, "float32", ("openvino", "torch", "transformers"))
    found = place and cache.find(place)
    if found:
        return found.path
    started = time.perf_counter()
    model, read = parts.weights()
    try:
        made = convert(model, read, parts.names, parts.description.max_length)
        backend = _backend(parts, made, torch.float32)
        worst = difference(backend, read, parts.names, parts.description.max_length)
    except Exception as error:
        raise Unconvertible(unconverted(error)) from error
    if worst is not None:
        raise Unconvertible(worst)
    logger.info("%s: converted for OpenVINO in %.1f s", parts.description.source, time.perf_counter() - started)
    kept = place and cache.put(place, lambda path: _save(made, path), {"source": _pasted(parts)})
    return kept.path if kept else made


def _int8(parts: Parts) -> Any:
    """As `_float32`, quantized. Raises ModelError if int8 changes more labels than `min_agreement` allows."""
    description, options = parts.description, parts.options
    _check_labels(description)
    if not has_vnni():
        logger.warning(
            "%s: this CPU has no int8 instructions (VNNI), so int8 is no faster than float32; measure both with "
            "`labelstream bench backends`",
            description.source,
        )
    material = material_for(description, options.calibration_texts)
    place = _place(
        parts,
        "int8",
        ("openvino", "nncf", "torch", "transformers"),
        texts=material.digest,
        vnni=has_vnni(),
        described=repr(replace(description, tokenizer_json="")),
    )
    found = place and cache.find(place)
    if found:
        model, share = found.path, found.notes["agreement"]
    else:
        started = time.perf_counter()
        float32 = _float32(parts)
        try:
            whole = core().read_model(float32) if isinstance(float32, Path) else float32
            model = quantize(whole, description, material.calibration, parts.names, parts.pad_id)
            reference, candidate = _backend(parts, float32, torch.float32), _backend(parts, model, torch.int8)
            share = agreement(description, reference, candidate, material.held_out)
        except Exception as error:
            raise Unconvertible(one_line(error)) from error
        logger.info("%s: quantized in %.1f s", description.source, time.perf_counter() - started)
        quantized = model
        kept = place and cache.put(
            place, lambda path: _save(quantized, path), {"source": _pasted(parts), "agreement": share}
        )
        model = kept.path if kept else model
    kind = "synthetic texts" if options.calibration_texts is None else "texts of calibration_texts"
    message = f"int8 gives float32's labels for {share:.2%} of {len(material.held_out)} {kind}"
    if share < options.min_agreement:
        raise ModelError(
            f"{description.source}: {message}, and min_agreement is {options.min_agreement}; set calibration_texts to "
            "a file of your own texts, lower min_agreement, or remove quantize"
        )
    logger.info("%s: %s", description.source, message)
    return model


def _check_labels(description: ModelDescription) -> None:
    named = description.zero_shot is not None or (
        description.task == TaskName.TEXT_CLASSIFICATION and description.activation is not Activation.NONE
    )
    if not named:
        raise ModelError(
            f"{description.source}: quantize needs a model that gives labels, by which int8 is compared with float32; "
            "remove quantize"
        )


def _pasted(parts: Parts) -> str:
    """The source for `labelstream cache`: a directory as an absolute path."""
    path = Path(parts.description.source)
    return str(path.absolute()) if path.is_dir() else parts.description.source


def _place(parts: Parts, precision: str, packages: tuple[str, ...], **more: Any) -> Path | None:
    description = parts.description
    return cache.place_of(
        description.source,
        revision=description.revision,
        task=description.task,
        pooling=parts.options.pooling,
        max_length=description.max_length,
        pad_id=parts.pad_id,
        precision=precision,
        code=_code(),
        **versions(*packages),
        **more,
    )


def _code() -> str:
    """A hash of the source of `_CODE`, as a part of the cache key."""
    specs = (find_spec(f"labelstream.workers.engine.backends.{name}") for name in _CODE)
    return hashlib.sha256(b"".join(Path(spec.origin or "").read_bytes() for spec in specs if spec)).hexdigest()


def _save(model: Any, path: Path) -> None:
    imported("openvino").save_model(model, path, compress_to_fp16=False)
