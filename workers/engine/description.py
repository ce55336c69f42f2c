"""What a caller needs in order to tokenize for a model and to name its labels. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

HYPOTHESIS_TEMPLATE = "This example is {}."  # transformers' default


class Activation(StrEnum):
    """How logits become scores, as in `transformers.TextClassificationPipeline.postprocess`."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    NONE = "none"


class TaskName(StrEnum):
    """The task of a model, by the name of transformers' pipeline."""

    TEXT_CLASSIFICATION = "text-classification"
    ZERO_SHOT = "zero-shot-classification"
    FILL_MASK = "fill-mask"
    EMBEDDING = "feature-extraction"


class Keep(StrEnum):
    """The part of a text that is kept if the text is longer than the model takes.

    HEAD_TAIL: a quarter of the tokens from the start, the rest from the end. This split was the most accurate in "How
    to Fine-Tune BERT for Text Classification?" (Sun et al. 2019, section 5.3.1: 128 + 382 of 510 tokens).
    """

    HEAD = "head"
    TAIL = "tail"
    HEAD_TAIL = "head_tail"


class Windows(NamedTuple):
    """How a long text is split into windows of the model's length. Neighboring windows share `stride` tokens.

    `aggregate`: "mean" or "max" of each label's score over the windows. `max_windows`: the text behind is not read.
    """

    stride: int
    aggregate: str
    max_windows: int


class ZeroShot(NamedTuple):
    """Label ids of an NLI model, and the defaults for requests that leave a choice open.

    `multi_label`: score each label alone, entailment against contradiction; else the labels against each other.
    """

    entailment_id: int
    contradiction_id: int
    labels: tuple[str, ...] = ()
    template: str = HYPOTHESIS_TEMPLATE
    multi_label: bool = False


class Mask(NamedTuple):
    """The mask token, in whose place a fill-mask model predicts a token.

    `pad_id`, `cleans_up`: of the tokenizer, for decoding a filled text: the padding's id, and whether the decoded text
    loses spaces before punctuation (transformers' `clean_up_tokenization_spaces`).
    """

    token: str
    id: int
    pad_id: int | None = None
    cleans_up: bool = False


@dataclass(frozen=True)
class ModelDescription:
    """All that a process must know to tokenize for a model. A replica makes it when it loads the model.

    `revision`: the hub's commit, or a hash of the directory's weights and config. `labels`: names in the order of
    their ids. `max_length`: tokens that the model takes, special tokens included. `top_k`: labels per answer if a
    request names no number. `tokenizer_json`: transformers' fast tokenizer (`Tokenizer.to_str()`); its truncation and
    padding are ignored. `ranked`: the model returns its best labels per sequence; else all scores in the order of the
    ids. `zero_shot`: only for that task. `mask`: only for fill-mask, whose labels are the vocabulary. `dimensions`:
    length of an embedding; 0 for models with labels. `threshold`, `thresholds`, `normalize`: see `ModelOptions`.
    `temperature`: divides logits before softmax and sigmoid.
    `in_model_order`: answers have `Prediction.order`. `pooling`: of an embedding, see `ModelOptions`. `dtype`: number
    format of the computation, such as float32. `prompts`: of an embedding model, texts by name that a caller may put
    before a text.
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
    temperature: float = 1.0
    mask: Mask | None = None
    in_model_order: bool = False
    dimensions: int = 0
    normalize: bool = False
    pooling: str = ""
    dtype: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Number of values that the model returns per sequence."""
        return self.dimensions or len(self.labels)
