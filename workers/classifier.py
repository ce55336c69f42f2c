"""The seam between the stream and whatever classifies: value types and one Protocol.

The stream knows nothing of Ray and torch, the engine nothing of Kafka. Both know this file. NamedTuples, because one
is made per message and a frozen dataclass costs three times as much.
"""

import math
from collections.abc import Sequence
from concurrent.futures import Future
from enum import StrEnum
from typing import NamedTuple, Protocol

# Of all sequences that one message becomes. 100 labels for 512 tokens are 51,200, 32 windows of 512 are 16,384: both
# pass. A CPU that does 1,600 tokens a second has 40 s of work in it, a third of `call_timeout_s`.
MAX_MESSAGE_TOKENS = 65_536


class Fault(StrEnum):
    """Why a classifier refuses one record for good. Each value is also a dead-letter reason."""

    TOO_LARGE = "too_large"  # more tokens than one message may have
    INVALID_LABELS = "invalid_labels"
    INVALID_MESSAGE = "invalid_message"
    INFERENCE_FAILED = "inference_failed"  # the model raises on this record alone, while its neighbours pass
    CRASHES_MODEL = "crashes_model"  # replicas die of this record
    TIMED_OUT = "timed_out"  # no answer to this record in time, while the model answers others


# Where many records have one of these, it may be the model that is at fault, and not each of the records.
MODEL_FAULTS = frozenset({Fault.INFERENCE_FAILED, Fault.CRASHES_MODEL, Fault.TIMED_OUT})


class Request(NamedTuple):
    """One text to classify. None takes the model's setting.

    `top_k`: how many labels to report, best first; more than there are gives all. For zero-shot models:
    `candidate_labels`, the `hypothesis_template` with `{}` where a label goes, and `multi_label`: whether labels are
    independent of each other.

    >>> Request("It broke after a week", top_k=1).text
    'It broke after a week'
    """

    text: str
    text_pair: str | None = None
    top_k: int | None = None
    candidate_labels: tuple[str, ...] | None = None
    hypothesis_template: str | None = None
    multi_label: bool | None = None


class Prediction(NamedTuple):
    """One answer. `labels` and `scores` have the same length >= 1 and descend by score.

    `tokens`: ids that the model read, special tokens included. `truncated`: the text had more than the model takes.
    `revision`: of the model that gave this answer: the hub's commit, or for a directory a hash of weights and config.
    `task`: what the model was asked to do, by transformers' name.
    `accepted`: those of `labels` whose scores reach their thresholds, in the same order; None: the first one.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    tokens: int
    truncated: bool
    revision: str
    task: str = "text-classification"
    accepted: tuple[str, ...] | None = None

    @property
    def abstained(self) -> bool:
        """Whether no label is accepted."""
        return self.accepted == ()


class Fill(NamedTuple):
    """One token of the vocabulary in a mask's place. Tokens of different ids may read the same."""

    token: str
    token_id: int
    score: float


class MaskFill(NamedTuple):
    """The answer of a model that fills masks: the best tokens of each, in the text's order; else as `Prediction`."""

    masks: tuple[tuple[Fill, ...], ...]
    tokens: int
    truncated: bool
    revision: str
    task: str = "fill-mask"
    abstained: bool = False


class Embedding(NamedTuple):
    """The answer of a model that embeds: the text's vector, each number a float32; else as `Prediction`."""

    vector: tuple[float, ...]
    tokens: int
    truncated: bool
    revision: str
    task: str = "feature-extraction"
    abstained: bool = False


class RecordError(NamedTuple):
    """One record cannot be answered for a reason of its own. `message` never quotes the record's text.

    `attempts`: how many times the model was given the record, replicas that died meanwhile included; at least 1.
    """

    fault: Fault
    message: str
    attempts: int = 1


Answered = Prediction | MaskFill | Embedding
Answer = Answered | RecordError


class Progress:
    """What lasts over all attempts at the same requests: their caller's, and passed with each attempt.

    `at`: monotonic seconds when the model last answered a part of them. `kept`: the classifier's own, so that what is
    answered is not asked for again.
    """

    def __init__(self) -> None:
        self.at = -math.inf
        self.kept: object = None


class Classifier(Protocol):
    """Answers requests asynchronously; thread-safe."""

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> "Future[list[Answer]]":
        """Classify `requests` (at least one); never blocks on the model.

        `progress`: of earlier attempts at the same requests, none of which is under way.

        The future's list has the same length and order as `requests`. It resolves always: with the list, or with
        `InferenceError` when the call as a whole got no answer (nothing is known of any of the records then).
        """
        ...

    def trouble(self) -> str:
        """Why nothing more should be submitted now, for a person; empty where it may."""
        ...

    def resume(self) -> bool:
        """An operator's word: end such a pause. Was there one?"""
        ...

    def close(self) -> None:
        """Refuse new calls and free what is held. Pending futures resolve with `InferenceError`."""
        ...
