"""Chooses between torch and OpenVINO: what "auto" means, and which options are refused."""

import logging
import re

import torch

from labelstream.workers.engine.backends.openvino.runtime import INSTALL, missing_package
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.options import ModelOptions
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)


class Unconvertible(Exception):
    """OpenVINO cannot run this model, or answers differently from torch. The text is the reason."""


def takes_openvino(source: str, options: ModelOptions, device: torch.device) -> bool:
    """Whether to try OpenVINO for `source`. Raises ModelError if the options require OpenVINO and it cannot run."""
    backend, quantize = options.backend, options.quantize
    if backend == "torch":
        return False
    asked = f"quantize {quantize}" if quantize else "backend openvino" if backend == "openvino" else None
    if device.type != "cpu":
        if asked:
            raise ModelError(
                f"{source}: {asked} needs a CPU, and the device is {device.type}; set device to cpu, or "
                "backend to torch without quantize"
            )
        return False
    missing = missing_package("openvino", *(("nncf",) if quantize else ()))
    if missing and asked:
        raise ModelError(
            f"{source}: {asked} needs the package {missing}, which is not installed; {INSTALL}, or set "
            "backend to torch without quantize"
        )
    if missing:
        logger.info("%s: backend torch; %s may be faster on this CPU: %s", source, missing, INSTALL)
    return not missing


def unconverted(error: Exception) -> str:
    """Why a conversion failed: OpenVINO's summary, which ends its error's text, or the first line of the error."""
    summary = re.search(r"^-- ((?:Conversion is failed|No conversion rule)[^\n]+)", str(error), re.MULTILINE)
    return one_line(error) if summary is None else f"{summary[1][0].lower()}{summary[1][1:]}"


def fall_back_to_torch(source: str, options: ModelOptions, error: Unconvertible) -> None:
    """Log that torch runs the model instead. Raises ModelError if the options require OpenVINO."""
    if options.backend == "openvino" or options.quantize:
        raise ModelError(
            f"{source}: OpenVINO cannot run this model as torch does: {error}; set backend to torch, without quantize"
        ) from error
    logger.warning("%s: using torch, because OpenVINO cannot run this model as torch does: %s", source, error)
