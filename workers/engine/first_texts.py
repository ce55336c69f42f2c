"""What a model says to a few good texts before it may answer others."""

import logging
from typing import NamedTuple

import numpy as np
import torch

from workers.classifier import Request
from workers.engine.backend import Backend
from workers.engine.description import ModelDescription, TaskName
from workers.engine.faults import one_line
from workers.engine.forwards import Forwards, Rows
from workers.engine.frame import Frame
from workers.engine.packed import PackedSequences
from workers.engine.tokenizer import TextTokenizer
from workers.errors import ModelError

logger = logging.getLogger(__name__)

NOT_FINITE = "the model's logits are not finite"
# Of a half: bfloat16's own error is 0.02 and less in all families. A sequence that is shifted by one token changes the
# short texts by 0.3 and more, and by 0.035 even in a model with small random weights.
_TOLERANCE, _TOLERANCE_OF_HALF = 1e-3, 0.03
_SHORT = ("good", "bad", "no", "a", "yes!", "1", "the end", "why?", "it is good", "never", "x y z", "not bad at all.")
_PAIR = Request("good", text_pair="not bad at all")
_TASKS_WITH_PAIRS = (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT)


def texts(max_length: int) -> tuple[str, ...]:
    """Short ones, one of some sentences, and one longer than `max_length` tokens."""
    long = "all work and no play " * max_length
    return (*_SHORT, long[:160], long)


class FirstRows(NamedTuple):
    """`packed`: of `texts`, and of a pair where requests may hold one. `no_pairs`: why the model cannot take pairs."""

    packed: PackedSequences
    no_pairs: str | None


def rows(description: ModelDescription, backend: Backend, tokenizer: TextTokenizer) -> FirstRows:
    """Raises ModelError where the type ids of all that the task gives the model lie outside of its table."""
    requests = [Request(text) for text in texts(description.max_length)]
    size, task = backend.type_vocab_size, description.task
    if task == TaskName.ZERO_SHOT:
        _check_types(description, tokenizer.pair, size)
    else:
        _check_types(description, tokenizer.single, size)
    no_pairs = None
    if task in _TASKS_WITH_PAIRS:
        if size is None or tokenizer.pair.largest_type < size:
            requests.append(_PAIR)
        else:
            no_pairs = outside_types(size)
    return FirstRows(tokenizer.encode(requests)[0], no_pairs)


def outside_types(size: int | None) -> str:
    """What is wrong with type ids from `size` on."""
    return (f"the tokenizer makes type ids that the model has no place for (type_vocab_size in config.json is {size}); "
            "save the tokenizer that belongs to the model beside it")


def _check_types(description: ModelDescription, frame: Frame, size: int | None) -> None:
    if size is not None and frame.largest_type >= size:
        raise ModelError(f"{description.source}: {outside_types(size)}")


def check(description: ModelDescription, forwards: Forwards, texts: Rows, dtype: torch.dtype) -> None:
    """Compares the answers to `texts` with padding, alone and, where it is on, without padding, which is off afterwards
    when they differ.

    Raises ModelError when the answers are not what they should be, and what the model raises.
    """
    source, count = description.source, len(texts.packed.lengths)
    together = forwards.padded(texts, np.arange(count))
    if together.shape != (count, description.outputs):
        raise ModelError(
            f"{source}: the model gives logits of shape {tuple(together.shape)} for {count} texts; it should give "
            f"{description.outputs} each: check its config.json"
        )
    if not torch.isfinite(together).all():
        raise ModelError(f"{source}: {NOT_FINITE} for good texts; try dtype float32")
    tolerance = _TOLERANCE if dtype is torch.float32 else _TOLERANCE_OF_HALF
    alone = torch.cat([forwards.padded(texts, np.array([row])) for row in range(count)])
    if not _alike(together, alone, tolerance):
        raise ModelError(
            f"{source}: the model answers differently when a text is padded to a longer one's length; check "
            "pad_token_id in config.json and the tokenizer's padding side, which must be right"
        )
    problem = _problem_without_padding(forwards, texts, alone, tolerance)
    if problem is not None:
        forwards.packing = None
        logger.warning("%s: batches are padded: without padding %s", source, problem)


def _problem_without_padding(forwards: Forwards, texts: Rows, alone: torch.Tensor, tolerance: float) -> str | None:
    if forwards.packing is None:
        return None
    try:
        packed = forwards.packed(forwards.packing, texts, np.arange(len(alone)))
        return None if _alike(packed, alone, tolerance) else "the first texts are answered differently"
    except Exception as error:
        return one_line(error)


def _alike(some: torch.Tensor, others: torch.Tensor, tolerance: float) -> bool:
    """False also where one is not finite."""
    some, others = some.float(), others.float()
    return bool((some - others).abs().max() <= tolerance * others.abs().max().clamp(min=1))
