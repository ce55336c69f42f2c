"""Which backend runs a model: what "auto" means, and what is refused."""

import logging
import re

import torch

from labelstream.workers.engine.backends.openvino.runtime import EXTRA, missing_package
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)


class Unconvertible(Exception):
    """OpenVINO cannot run this model as torch does; the text says why."""


def takes_openvino(source: str, options: ModelOptions, device: torch.device) -> bool:
    """Whether OpenVINO is to be tried for `source`. Raises ModelError where it is asked for and cannot be."""
    backend, quantize = options.backend, options.quantize
    if backend == "torch":
        return False
    asked = f"quantize {quantize}" if quantize else "backend openvino" if backend == "openvino" else None
    if device.type != "cpu":
        if asked:
            raise ModelError(
                f"{source}: {asked} is for CPUs, and the device is {device.type}; set device to cpu, or "
                "backend to torch without quantize"
            )
        return False
    missing = missing_package("openvino", *(("nncf",) if quantize else ()))
    if missing and asked:
        raise ModelError(
            f"{source}: {asked} needs the package {missing}, which is not installed; {EXTRA}, or set "
            "backend to torch without quantize"
        )
    if missing:
        logger.info("%s: backend torch; %s may be faster on this CPU: %s", source, missing, EXTRA)
    return not missing


def unconverted(error: Exception) -> str:
    """Why OpenVINO did not take a model: its summary of a conversion, which comes last, or the error's first line."""
    summary = re.search(r"^-- ((?:Conversion is failed|No conversion rule)[^\n]+)", str(error), re.MULTILINE)
    return one_line(error) if summary is None else f"{summary[1][0].lower()}{summary[1][1:]}"


def unless_asked(source: str, options: ModelOptions, error: Unconvertible) -> None:
    """Say that torch runs the model instead. Raises ModelError where it may not."""
    if options.backend == "openvino" or options.quantize:
        raise ModelError(
            f"{source}: OpenVINO cannot run this model as torch does: {error}; set backend to torch without quantize"
        ) from error
    logger.warning("%s: backend torch, because OpenVINO cannot run this model as torch does: %s", source, error)
