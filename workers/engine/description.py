"""What a caller must know of a model to prepare its input and name its output. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

HYPOTHESIS_TEMPLATE = "This example is {}."  # transformers' default


class Activation(StrEnum):
    """How logits become scores; the rule is `transformers.TextClassificationPipeline.postprocess`."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    NONE = "none"


class TaskName(StrEnum):
    """What a model is for; the names are transformers' pipelines'."""

    TEXT_CLASSIFICATION = "text-classification"
    ZERO_SHOT = "zero-shot-classification"
    FILL_MASK = "fill-mask"
    EMBEDDING = "feature-extraction"


class Keep(StrEnum):
    """What is kept of a text that is longer than the model takes.

    HEAD_TAIL: its first quarter of the room and its last three, which read best in "How to Fine-Tune BERT for Text
    Classification?" (Sun et al. 2019, section 5.3.1: 128 + 382 of 510).
    """

    HEAD = "head"
    TAIL = "tail"
    HEAD_TAIL = "head_tail"


class Windows(NamedTuple):
    """A long text is read in windows of the model's length, which share `stride` tokens with the next one.

    `aggregate`: "mean" or "max" of each label's score over the windows. `most`: the text is cut behind so many.
    """

    stride: int
    aggregate: str
    most: int


class ZeroShot(NamedTuple):
    """Ids of an NLI model's labels, and what holds where a request does not say.

    `multi_label`: each label for itself, entailment against contradiction; else the labels against each other.
    """

    entailment_id: int
    contradiction_id: int
    labels: tuple[str, ...] = ()
    template: str = HYPOTHESIS_TEMPLATE
    multi_label: bool = False


class Mask(NamedTuple):
    """The token that stands for one to be found."""

    token: str
    id: int


@dataclass(frozen=True)
class ModelDescription:
    """Made by whoever loaded the model, sent to whoever tokenizes for it: both then agree by construction.

    `labels`: id -> name, in order of the ids. `ranked`: a sequence is answered with its best labels; else with the
    scores of all, in the order of the ids. `max_length`: tokens that the model takes, special tokens included.
    `tokenizer_json`: the fast tokenizer exactly as transformers uses it (`Tokenizer.to_str()`), perhaps with truncation
    and padding. `top_k`: labels reported where a request does not say. `zero_shot`: set for that task alone.
    `mask`: for the task fill-mask, whose labels are the vocabulary. `dimensions`: of an embedding, which has no labels.
    `threshold`, `thresholds`, `normalize`: see `labelstream.workers.engine.options.ModelOptions`.
    `revision`: the hub's commit, or a hash of the directory's weights and config.
    """

    source: str
    revision: str
    task: str
    labels: tuple[str, ...]
    activation: Activation
    max_length: int
    top_k: int
    tokenizer_json: str
    ranked: bool = True
    keep: Keep = Keep.HEAD
    windows: Windows | None = None
    zero_shot: ZeroShot | None = None
    threshold: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    mask: Mask | None = None
    dimensions: int = 0
    normalize: bool = False

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for a sequence."""
        return self.dimensions or len(self.labels)
