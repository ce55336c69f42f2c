"""The interface between the stream and any classifier: value types and one Protocol.

The stream knows nothing of Ray and torch, and the engine nothing of Kafka; both import this module. The values are
NamedTuples: one is made per message, and a frozen dataclass takes three times as long to make.
"""

import math
from collections.abc import Sequence
from concurrent.futures import Future
from enum import StrEnum
from typing import NamedTuple, Protocol

# Tokens of all sequences that one message becomes. 100 labels x 512 tokens (51,200) and 32 windows x 512 (16,384) both
# pass. A CPU that runs 1,600 tokens per second needs 40 s for them, a third of `call_timeout_s`.
MAX_MESSAGE_TOKENS = 65_536


class Fault(StrEnum):
    """Why a classifier never answers one record. Each value is also a dead-letter reason."""

    TOO_LARGE = "too_large"  # more tokens than one message may have
    INVALID_LABELS = "invalid_labels"
    INVALID_MESSAGE = "invalid_message"
    INFERENCE_FAILED = "inference_failed"  # the model raises on this record and answers the others
    CRASHES_MODEL = "crashes_model"  # replicas die while they run this record
    TIMED_OUT = "timed_out"  # the model answers other records in time, and this one not


# If many records have one of these faults, the model may be the cause.
MODEL_FAULTS = frozenset({Fault.INFERENCE_FAILED, Fault.CRASHES_MODEL, Fault.TIMED_OUT})


class Request(NamedTuple):
    """One text to classify. None means the model's setting.

    `top_k`: number of labels to report, best first; a number above the model's labels reports all. Zero-shot models
    also take `candidate_labels`, a `hypothesis_template` with `{}` in place of the label, and `multi_label`: whether
    labels are independent of each other.

    - `function_to_apply`: "softmax", "sigmoid" or "none" (logits) in place of the classifier's own. Thresholds hold for
      the classifier's own scores only, so `Prediction.accepted` is then None.
    - `targets`, `sequences`: of fill-mask models; the only tokens to score, as texts, and whether the answer has the
      filled texts.
    - `dimensions`, `normalize`: of embedding models; length of the vector, which keeps its first numbers, and whether
      the vector is scaled to length 1.

    >>> Request("It broke after a week", top_k=1).text
    'It broke after a week'
    """

    text: str
    text_pair: str | None = None
    top_k: int | None = None
    candidate_labels: Sequence[str] | None = None
    hypothesis_template: str | None = None
    multi_label: bool | None = None
    function_to_apply: str | None = None
    targets: Sequence[str] | None = None
    sequences: bool | None = None
    dimensions: int | None = None
    normalize: bool | None = None


class Prediction(NamedTuple):
    """One answer. `labels` and `scores` have the same length, at least 1, in descending order of score.

    `tokens`: tokens that the model read, special tokens included. `truncated`: whether the text was longer than the
    model takes. `revision`: the model's hub commit, or a hash of its directory's weights and config. `task`:
    transformers' name of the task. `accepted`: those of `labels` whose scores reach their thresholds, in the same
    order; None: the first label alone. `order`: indexes of `labels` in the model's own order, if a result shows that.
    """

    labels: tuple[str, ...]
    scores: tuple[float, ...]
    tokens: int
    truncated: bool
    revision: str
    task: str = "text-classification"
    accepted: tuple[str, ...] | None = None
    order: tuple[int, ...] | None = None

    @property
    def abstained(self) -> bool:
        """Whether no label is accepted."""
        return self.accepted == ()


class Fill(NamedTuple):
    """One token of the vocabulary for a mask. Tokens with different ids may have the same text."""

    token: str
    token_id: int
    score: float


class MaskFill(NamedTuple):
    """A fill-mask model's answer: the best tokens for each mask of the text, in order. Other fields: `Prediction`.

    `sequences`: for each fill of `masks` the text with this token in place of its mask, if the request asked for it.
    """

    masks: tuple[tuple[Fill, ...], ...]
    tokens: int
    truncated: bool
    revision: str
    task: str = "fill-mask"
    abstained: bool = False
    sequences: tuple[tuple[str, ...], ...] | None = None


class Embedding(NamedTuple):
    """An embedding model's answer: the text's vector of float32 values. Other fields: see `Prediction`."""

    vector: tuple[float, ...]
    tokens: int
    truncated: bool
    revision: str
    task: str = "feature-extraction"
    abstained: bool = False


class RecordError(NamedTuple):
    """Why one record has no answer. `message` never quotes the record's text.

    `attempts`: how often the model was given the record, at least 1; attempts in which a replica died count as well.
    """

    fault: Fault
    message: str
    attempts: int = 1


Answered = Prediction | MaskFill | Embedding
Answer = Answered | RecordError


class Progress:
    """State of all attempts at the same requests. The caller owns one and passes it with each attempt.

    `at`: monotonic seconds when the model last answered some of the requests. `kept`: the classifier's own state, so
    that answered requests are not sent to the model again.
    """

    def __init__(self) -> None:
        self.at = -math.inf
        self.kept: object = None


class Classifier(Protocol):
    """Answers requests asynchronously; thread-safe."""

    def submit(self, requests: Sequence[Request], progress: Progress | None = None) -> "Future[list[Answer]]":
        """Classify `requests` (at least one); never blocks on the model.

        `progress`: the state of earlier attempts at the same requests, all of which have ended.

        The future always resolves: with a list of the length and order of `requests`, or with `InferenceError` if the
        whole call failed. A failed call says nothing about any single record.
        """
        ...

    def trouble(self) -> str:
        """Why callers must not submit now, in words for an operator; empty if they may."""
        ...

    def resume(self) -> bool:
        """End such a pause on an operator's command. Returns whether there was one."""
        ...

    def close(self) -> None:
        """Refuse new calls and free all resources. Pending futures resolve with `InferenceError`."""
        ...
