"""Checks a loaded model on a few texts: shape, finite logits, and the same answers with and without padding."""

import logging
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from labelstream.workers.classifier import Request
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.engine.error_text import one_line
from labelstream.workers.engine.inference.backend import Backend, UnpaddedBackend
from labelstream.workers.engine.inference.forward_plan import plan_packed
from labelstream.workers.engine.inference.forward_runner import LENGTHS_APART, ForwardRunner
from labelstream.workers.engine.inference.predict_call import Rows
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.engine.tokenization.special_tokens import SpecialTokensTemplate
from labelstream.workers.engine.tokenization.tokenizer import TextTokenizer
from labelstream.workers.errors import ModelError

logger = logging.getLogger(__name__)

NOT_FINITE = "the model's logits are not finite"
# As a share of the largest logit, or of 1 if that is smaller. In bfloat16 padding changes answers by 0.02 in small
# models, by 0.06 in deep models with large weights.
_TOLERANCE, _TOLERANCE_OF_HALF = 1e-4, 0.1
# For batches without padding, where a false alarm costs only speed. A sequence shifted by one token changes the short
# texts by at least 0.3, and by 0.035 in a model with small random weights.
_TOLERANCE_WITHOUT_PADDING = 0.03
# Tokens of the longest test text. The masks of four such texts take 4 MB; with 32,768 tokens they took 16 GB.
LONGEST = 512
_SHORT = ("good", "bad", "no", "a", "yes!", "1", "the end", "why?", "it is good", "never", "x y z", "not bad at all.")
_PAIR = Request("good", text_pair="not bad at all")
_TASKS_WITH_PAIRS = (TaskName.TEXT_CLASSIFICATION, TaskName.ZERO_SHOT)


def texts(max_length: int) -> tuple[str, ...]:
    """Short texts, a text of some sentences, and a text of more than `max_length` tokens."""
    long = "all work and no play " * max_length
    return (*_SHORT, long[:160], long)


class FirstRows(NamedTuple):
    """`packed`: the sequences of `texts` (pairs for zero-shot), and after them a pair if requests may have a text_pair.
    `alike`: number of sequences before that pair. `no_pairs`: why the model cannot take pairs, or None."""

    packed: RaggedSequences
    alike: int
    no_pairs: str | None


def rows(description: ModelDescription, backend: Backend, tokenizer: TextTokenizer) -> FirstRows:
    """The test sequences. Raises ModelError if the model's table lacks a type id that all of the task's inputs have."""
    requests = [Request(text) for text in texts(tokenizer.max_length)]
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
    if task == TaskName.ZERO_SHOT:
        requests = [request._replace(text_pair=_PAIR.text_pair) for request in requests]
    packed, _ = tokenizer.encode(requests)
    lengths = packed.lengths[packed.lengths > 0]  # tokenizers without digits make no token of "1"
    return FirstRows(packed._replace(lengths=lengths), len(lengths) - (requests[-1] == _PAIR), no_pairs)


def outside_types(size: int | None) -> str:
    """The error for type ids from `size` on."""
    return (
        f"the tokenizer makes type ids that the model does not have (type_vocab_size in config.json is {size}); "
        "save the model's own tokenizer in its folder"
    )


def _check_types(description: ModelDescription, frame: SpecialTokensTemplate, size: int | None) -> None:
    if size is not None and frame.largest_type >= size:
        raise ModelError(f"{description.source}: {outside_types(size)}")


def check(
    description: ModelDescription, forwards: ForwardRunner, rows: FirstRows, dtype: torch.dtype, max_batch_tokens: int
) -> None:
    """Compare the model's answers to `rows` alone, in padded batches, and without padding if that is on.

    If padding changes the answers, only texts of equal length share a batch from then on. If answers without padding
    differ, batches are padded from then on. A pair is never padded beside single texts, which BART does not support.

    Raises ModelError if the answers have a wrong shape, are not finite, or depend on other texts of equal length;
    and any error of the model.
    """
    source, count, first = description.source, rows.alike, Rows(rows.packed)
    mixed, short = np.unique([0, max(0, count - 3), count - 2, count - 1]), np.arange(count - 2)
    together = forwards.padded(first, mixed)
    if together.shape != (len(mixed), description.outputs):
        raise ModelError(
            f"{source}: the model returns logits of shape {tuple(together.shape)} for {len(mixed)} texts instead of "
            f"{description.outputs} each; check its config.json"
        )
    if not torch.isfinite(together).all():
        raise ModelError(f"{source}: {NOT_FINITE} for good texts; set dtype to float32")
    alone = torch.cat([forwards.padded(first, np.array([row])) for row in range(len(rows.packed.lengths))])
    off = max(_off(together, alone[mixed]), _off(forwards.padded(first, short), alone[short]))
    allowed = _TOLERANCE if dtype is torch.float32 else _TOLERANCE_OF_HALF
    if not off <= allowed:
        _keep_lengths_apart(source, forwards, first, alone, allowed)
    tolerance = _TOLERANCE if dtype is torch.float32 else max(_TOLERANCE_WITHOUT_PADDING, 2 * off)
    if forwards.packing is None:
        return
    problem = _problem_without_padding(forwards, forwards.packing, first, alone, tolerance, max_batch_tokens)
    if problem is not None:
        forwards.packing = None
        logger.warning("%s: batches are padded, because without padding %s", source, problem)


def _keep_lengths_apart(source: str, forwards: ForwardRunner, first: Rows, alone: torch.Tensor, allowed: float) -> None:
    """Stop padding. Raises ModelError if even texts of equal length change each other's answers."""
    lengths = first.packed.lengths
    for length in np.unique(lengths):
        rows = np.tile(np.flatnonzero(lengths == length), 2)
        if not _off(forwards.padded(first, rows), alone[rows]) <= allowed:
            raise ModelError(
                f"{source}: the model answers a text differently beside other texts of equal length; use another model"
            )
    forwards.padding_costs = LENGTHS_APART
    logger.warning(
        "%s: padding changes the model's answers, so only texts of equal length share a batch, which is slower. "
        "ConvBERT, FNet and XLNet always read padding; for another architecture check pad_token_id in config.json",
        source,
    )


def _problem_without_padding(
    forwards: ForwardRunner, packing: UnpaddedBackend, first: Rows, alone: torch.Tensor, tolerance: float, budget: int
) -> str | None:
    try:
        for rows in _batches(first.packed.lengths, budget):
            if not _off(forwards.packed(packing, first, rows), alone[rows]) <= tolerance:
                return "the model answers the test texts differently"
    except Exception as error:
        return one_line(error)
    return None


def _batches(lengths: NDArray[np.int32], budget: int) -> list[NDArray[np.intp]]:
    """Each sequence alone, all sequences, and a full batch: batches of several shapes, each within `budget` tokens."""
    every = np.arange(len(lengths))
    again = np.tile(every, 1 + budget // int(lengths.sum()))
    full = again[: max(1, int(np.searchsorted(np.cumsum(lengths[again]), budget, side="right")))]
    return [*np.split(every, len(every)), *plan_packed(lengths, budget), full]


def _off(some: torch.Tensor, others: torch.Tensor) -> float:
    """The largest difference, relative to the largest of `others` or to 1; NaN if a value is not finite."""
    some, others = some.float(), others.float()
    return float((some - others).abs().max() / others.abs().max().clamp(min=1))
