"""A model's first forwards, before traffic: check its answers, record forwards, and measure its speed."""

import logging
import time

from labelstream.workers.engine.error_text import LESS_MEMORY, is_out_of_memory, one_line
from labelstream.workers.engine.inference import self_check
from labelstream.workers.engine.inference.predictor import Predictor
from labelstream.workers.engine.ragged import concatenate
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)

_MAX_RECORDED_OUTPUTS = 1_024  # each recording keeps its output, which takes gigabytes for a vocabulary


def warm_up(predictor: Predictor) -> None:
    """Check the model's answers to a few texts, run a full batch, and record forwards if the backend can.

    Raises ModelError if the model fails on good texts, answers a text differently beside other texts, or cannot be
    recorded.
    """
    source, first = predictor.description.source, predictor.first_rows
    if first.no_pairs is not None:
        logger.warning("%s: every message with a text_pair becomes a dead letter: %s", source, first.no_pairs)
    try:
        _run_once(predictor)
        if _record(predictor):
            _run_once(predictor)
    except ModelError:
        raise
    except Exception as error:
        fix = f"; {LESS_MEMORY}" if is_out_of_memory(error) else ""
        raise ModelError(f"{source}: the model fails on test texts: {one_line(error)}{fix}") from error


def measure(predictor: Predictor) -> float:
    """Tokens per second of one full forward of short texts: the device's capacity before any traffic.

    Raises InferenceError as `Predictor.predict` does.
    """
    row = predictor.short_row
    packed = concatenate([row] * max(1, predictor.max_batch_tokens // (len(row.ids) + 1)))
    started = time.perf_counter()
    predictor.predict(packed, 1)
    return len(packed.ids) / (time.perf_counter() - started)


def _run_once(predictor: Predictor) -> None:
    rows, dtype = predictor.first_rows, predictor.backend.dtype
    self_check.check(predictor.description, predictor.runner, rows, dtype, predictor.max_batch_tokens)
    measure(predictor)


def _record(predictor: Predictor) -> bool:
    packing, source = predictor.runner.packing, predictor.description.source
    if packing is None or predictor.description.outputs > _MAX_RECORDED_OUTPUTS:
        return False
    started = time.perf_counter()
    try:
        recorded = packing.record(predictor.max_batch_tokens)
    except Exception as error:
        fix = (
            "lower max_batch_tokens, or free memory of the GPU"
            if is_out_of_memory(error)
            else "install the versions of torch and driver that Labelstream was tested with, or set device to cpu"
        )
        raise ModelError(
            f"{source}: the model's forwards cannot be recorded as CUDA graphs: {one_line(error)}; {fix}"
        ) from error
    if recorded:
        logger.info("%s: recorded %d forwards in %.1f s", source, recorded, time.perf_counter() - started)
    return recorded > 0
