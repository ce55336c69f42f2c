"""Requests -> sequences for the model, and the sequences' answers -> the requests' answers. No torch.

The place where a task decides how many sequences a request becomes: for text-classification one each.
"""

from collections.abc import Sequence
from typing import NamedTuple

from workers.classifier import Fault, Prediction, RecordError, Request
from workers.engine.answers import predictions
from workers.engine.description import ModelDescription
from workers.engine.packed import PackedSequences, ScoredSequences
from workers.engine.tokenizer import TextTokenizer, Tokenized


class Prepared(NamedTuple):
    """What the model must run for a list of requests.

    `packed`, `truncated`, `top_ks`: one entry per request that is not in `rejected`, in order. `rejected`: position
    among the requests -> why it cannot be answered. `top_ks` are at most the number of the model's labels.
    """

    packed: PackedSequences
    truncated: list[bool]
    top_ks: list[int]
    rejected: dict[int, RecordError]


def prepare(description: ModelDescription, tokenizer: TextTokenizer, requests: Sequence[Request]) -> Prepared:
    """Tokenize what can be answered and reject the rest; one bad request never harms another.

    `tokenizer` must be of the same `description`. Never raises for a request's content.
    """
    rejected: dict[int, RecordError] = {}
    if any(request[2:] != (None, None) for request in requests):
        rejected = {i: error for i, request in enumerate(requests) if (error := _refusal(request)) is not None}
    accepted = _without(requests, rejected)
    tokenized = _readable(tokenizer, accepted)
    if tokenized is None:
        _reject_unreadable(tokenizer, requests, rejected)
        accepted = _without(requests, rejected)
        tokenized = tokenizer.encode(accepted)
    packed, truncated = tokenized
    count = len(description.labels)
    default = min(description.top_k, count)
    top_ks = [default if request.top_k is None else min(request.top_k, count) for request in accepted]
    return Prepared(packed, truncated, top_ks, rejected)


def answer(
    description: ModelDescription, prepared: Prepared, scored: ScoredSequences | None
) -> list[Prediction | RecordError]:
    """Answers in the order of the requests that `prepared` was made of. `scored`: None where nothing was to run.

    Raises ValueError where `scored` does not belong to `prepared`.
    """
    answered: list[Prediction | RecordError] = []
    if scored is not None:
        tokens = prepared.packed.lengths.tolist()
        answered = predictions(
            scored, description.labels, tokens, prepared.truncated, prepared.top_ks, description.revision
        )
    elif len(prepared.top_ks):
        raise ValueError(f"no answers for {len(prepared.top_ks)} sequences")
    for i in sorted(prepared.rejected):
        answered.insert(i, prepared.rejected[i])
    return answered


def _refusal(request: Request) -> RecordError | None:
    if request.candidate_labels is not None:
        return RecordError(Fault.INVALID_LABELS, "the task text-classification takes no candidate_labels")
    if request.top_k is not None and request.top_k < 1:
        return RecordError(Fault.INVALID_MESSAGE, f"top_k must be at least 1, not {request.top_k}")
    return None


def _without(requests: Sequence[Request], rejected: dict[int, RecordError]) -> Sequence[Request]:
    return [request for i, request in enumerate(requests) if i not in rejected] if rejected else requests


def _readable(tokenizer: TextTokenizer, requests: Sequence[Request]) -> Tokenized | None:
    """None where the tokenizer raises on any of `requests`, or makes no token at all of one."""
    try:
        tokenized = tokenizer.encode(requests)
    except Exception:
        return None
    return None if (tokenized.packed.lengths == 0).any() else tokenized


def _reject_unreadable(tokenizer: TextTokenizer, requests: Sequence[Request], rejected: dict[int, RecordError]) -> None:
    """Find the requests on which the tokenizer raises, or of which it makes no token at all."""
    for i, request in enumerate(requests):
        if i in rejected:
            continue
        try:
            empty = tokenizer.encode([request]).packed.lengths[0] == 0
        except Exception as error:
            rejected[i] = RecordError(Fault.INVALID_MESSAGE, f"the tokenizer refuses the text: {type(error).__name__}")
        else:
            if empty:
                rejected[i] = RecordError(Fault.INVALID_MESSAGE, "the text has no tokens")
