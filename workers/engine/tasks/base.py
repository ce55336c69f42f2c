"""Requests that a task has made sequences of, those that it has refused, and the way back to answers. No torch.

A task turns requests into sequences, one or several each, and the labels' scores of these sequences into answers. What
runs between the two, batching, Serve and the model, is the same for all.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from labelstream.workers.classifier import Answer, Fault, RecordError, Request
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences

Encoded = TypeVar("Encoded")
# That one message may ask for: all of its micro-batch are computed as wide as the widest. At 1,000 the answers of 512
# messages are 4 MB; a vocabulary has 30,000 labels and more. Models with fewer labels report all.
MAX_LABELS = 1_000


class Prepared(NamedTuple):
    """What the model must run for a list of requests.

    `packed`: the sequences of all requests that are not in `rejected`, in their order. `width`: how many labels the
    model must report for each sequence. `read`: makes the answers of these requests. `rejected`: position among the
    requests -> why it cannot be answered. `order`: where the requests are the different ones of a longer list: for each
    of that list, which one of them it is.
    """

    packed: RaggedSequences
    width: int
    read: Callable[[ScoredSequences], list[Answer]]
    rejected: dict[int, RecordError]
    order: Sequence[int] | None = None

    def answers(self, scored: ScoredSequences | None) -> list[Answer]:
        """Answers in the order of the requests, or of the longer list. `scored`: None where nothing was to run.

        Raises ValueError where `scored` does not belong to these requests.
        """
        answered: list[Answer] = []
        if scored is not None:
            answered = self.read(scored)
        elif len(self.packed.lengths):
            raise ValueError(f"no answers for {len(self.packed.lengths)} sequences")
        for i in sorted(self.rejected):
            answered.insert(i, self.rejected[i])
        return answered if self.order is None else self._repeated(answered, self.order)

    @staticmethod
    def _repeated(answered: list[Answer], order: Sequence[int]) -> list[Answer]:
        if len(answered) != max(order) + 1:
            raise ValueError(f"{len(answered)} answers for {max(order) + 1} requests")
        return [answered[place] for place in order]


class Task(Protocol):
    """Of one model. One calling thread at a time."""

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """Tokenize what can be answered and refuse the rest. Never raises for a request's content."""
        ...


def top_ks_of(requests: Sequence[Request], description: ModelDescription) -> list[int]:
    """How many of the model's labels each request gets: its own number or the model's, at most all."""
    most = len(description.labels)
    return [min(description.top_k if request.top_k is None else request.top_k, most) for request in requests]


def refusals(requests: Sequence[Request], refuse: Callable[[Request], RecordError | None]) -> dict[int, RecordError]:
    """Position -> why not, of the requests that `refuse` has an error for."""
    return {i: error for i, request in enumerate(requests) if (error := refuse(request)) is not None}


def refused_choices(request: Request, task: str) -> RecordError | None:
    """Why `task`, which is given no labels to choose from, cannot answer the request; None where it can."""
    if request.candidate_labels is not None:
        return RecordError(Fault.INVALID_LABELS, f"the task {task} takes no candidate_labels")
    for name in ("hypothesis_template", "multi_label"):
        if getattr(request, name) is not None:
            return RecordError(Fault.INVALID_MESSAGE, f"the task {task} takes no {name}")
    return None


def refused_beside_text(request: Request, task: str) -> RecordError | None:
    """Why `task`, which takes single texts and no choices, cannot answer the request; None where it can."""
    if request.text_pair:
        return RecordError(Fault.INVALID_MESSAGE, f"the task {task} takes no text_pair")
    return refused_choices(request, task)


def refused_top_k(request: Request) -> RecordError | None:
    """Why the request's `top_k` cannot be; None where it can."""
    if request.top_k is not None and request.top_k < 1:
        return RecordError(Fault.INVALID_MESSAGE, f"top_k must be at least 1, not {request.top_k}")
    return None


def refused_width(request: Request, description: ModelDescription) -> RecordError | None:
    """Why so many of the model's labels are not reported for one request; None where they are."""
    most = max(MAX_LABELS, description.top_k)
    if request.top_k is not None and min(request.top_k, len(description.labels)) > most:
        return RecordError(
            Fault.INVALID_MESSAGE,
            f"top_k is {request.top_k}; {most} is the most of a model with {len(description.labels)} labels",
        )
    return None


def encode_answerable(
    requests: Sequence[Request],
    rejected: dict[int, RecordError],
    encode: Callable[[Sequence[Request]], tuple[RaggedSequences, Encoded, dict[int, RecordError]]],
) -> tuple[Sequence[Request], RaggedSequences, Encoded]:
    """Encode what is not in `rejected`, where those join on which `encode` refuses, by their positions in its list.

    One bad request never harms another, nor are the others read again for it.
    """
    places = [i for i in range(len(requests)) if i not in rejected]
    accepted = [requests[i] for i in places] if rejected else requests
    packed, more, refused = encode(accepted)
    if refused:
        accepted = [request for row, request in enumerate(accepted) if row not in refused]
        rejected.update((places[row], error) for row, error in refused.items())
    return accepted, packed, more
