"""The interface of a task, and what all tasks share. No torch.

A task turns each request into one or more sequences, and the scores of these sequences into an answer. Batching, Serve
and the model, which run in between, are the same for all tasks.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

from labelstream.workers.classifier import Answer, Fault, RecordError, Request
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences

Encoded = TypeVar("Encoded")
# Labels that one message may ask for, because the widest request sets the width of its whole micro-batch. With 1,000
# labels the answers to 512 messages are 4 MB; a vocabulary has 30,000 labels or more.
MAX_LABELS = 1_000


_TASK_OF = {
    "candidate_labels": TaskName.ZERO_SHOT,
    "hypothesis_template": TaskName.ZERO_SHOT,
    "multi_label": TaskName.ZERO_SHOT,
    "function_to_apply": TaskName.TEXT_CLASSIFICATION,
    "targets": TaskName.FILL_MASK,
    "sequences": TaskName.FILL_MASK,
    "dimensions": TaskName.EMBEDDING,
    "normalize": TaskName.EMBEDDING,
}
_OPTIONS = Request._fields.index("candidate_labels")  # the first field of some tasks only
_NO_OPTIONS = Request("")[_OPTIONS:]


class Prepared(NamedTuple):
    """A list of requests, ready for the model.

    `packed`: the sequences of all requests that are not in `rejected`, in order. `width`: labels that the model must
    report per sequence. `read`: turns the scores into the answers of these requests. `rejected`: position of a request
    -> its error. `order`: if equal requests were merged, the position in the merged list of each original request.
    """

    packed: RaggedSequences
    width: int
    read: Callable[[ScoredSequences], list[Answer]]
    rejected: dict[int, RecordError]
    order: Sequence[int] | None = None

    def answers(self, scored: ScoredSequences | None) -> list[Answer]:
        """Answers in the order of the original requests. `scored`: None if there was no sequence to run.

        Raises ValueError if `scored` does not belong to these requests.
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
    """The task of one model. One calling thread at a time."""

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """Tokenize the requests that can be answered and reject the others. Never raises for a request's content."""
        ...


def top_ks_of(requests: Sequence[Request], description: ModelDescription) -> list[int]:
    """Number of labels to report for each request: its own `top_k` or the model's, at most all labels."""
    count = len(description.labels)
    return [min(description.top_k if request.top_k is None else request.top_k, count) for request in requests]


def refusals(requests: Sequence[Request], refuse: Callable[[Request], RecordError | None]) -> dict[int, RecordError]:
    """Position -> error of each request for which `refuse` returns an error."""
    return {i: error for i, request in enumerate(requests) if (error := refuse(request)) is not None}


def refused_options(request: Request, task: str) -> RecordError | None:
    """The error of a request with options of another task than `task`; None if the request has none."""
    if request[_OPTIONS:] == _NO_OPTIONS:
        return None
    for name, owner in _TASK_OF.items():
        if owner != task and getattr(request, name) is not None:
            fault = Fault.INVALID_LABELS if name == "candidate_labels" else Fault.INVALID_MESSAGE
            return RecordError(fault, f"the task {task} takes no {name}")
    return None


def refused_beside_text(request: Request, task: str) -> RecordError | None:
    """The error of a request with a pair or other tasks' options for a `task` of single texts; None without them."""
    if request.text_pair:
        return RecordError(Fault.INVALID_MESSAGE, f"the task {task} takes no text_pair")
    return refused_options(request, task)


def refused_top_k(request: Request) -> RecordError | None:
    """The error of a request with a `top_k` below 1; else None."""
    if request.top_k is not None and request.top_k < 1:
        return RecordError(Fault.INVALID_MESSAGE, f"top_k must be at least 1, not {request.top_k}")
    return None


def label_limit(description: ModelDescription) -> int:
    """The greatest `top_k` of a request for a model with more labels."""
    return max(MAX_LABELS, description.top_k)


def refused_width(request: Request, description: ModelDescription) -> RecordError | None:
    """The error of a request for more labels than `MAX_LABELS` and the model's own `top_k`; else None."""
    limit = label_limit(description)
    if request.top_k is not None and min(request.top_k, len(description.labels)) > limit:
        return RecordError(
            Fault.INVALID_MESSAGE,
            f"top_k is {request.top_k}; for a model with {len(description.labels)} labels the limit is {limit}",
        )
    return None


def encode_answerable(
    requests: Sequence[Request],
    rejected: dict[int, RecordError],
    encode: Callable[[Sequence[Request]], tuple[RaggedSequences, Encoded, dict[int, RecordError]]],
) -> tuple[Sequence[Request], RaggedSequences, Encoded]:
    """Encode the requests that are not in `rejected`, and add to `rejected` those that `encode` refuses.

    `encode`: returns the sequences, task-specific data, and row -> error of the requests that it refuses. Returns the
    encoded requests, their sequences and that data. A refused request does not affect the others.
    """
    places = [i for i in range(len(requests)) if i not in rejected]
    accepted = [requests[i] for i in places] if rejected else requests
    packed, more, refused = encode(accepted)
    if refused:
        accepted = [request for row, request in enumerate(accepted) if row not in refused]
        rejected.update((places[row], error) for row, error in refused.items())
    return accepted, packed, more
