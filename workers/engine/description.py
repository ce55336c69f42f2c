"""What a caller must know of a model to prepare its input and name its output. No torch."""

from dataclasses import dataclass
from enum import StrEnum


class Activation(StrEnum):
    """How logits become scores; the rule is `transformers.TextClassificationPipeline.postprocess`."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"
    NONE = "none"


@dataclass(frozen=True)
class ModelDescription:
    """Made by whoever loaded the model, sent to whoever tokenizes for it: both then agree by construction.

    `labels`: id -> name, in order of the ids. `max_length`: tokens that the model takes, special tokens included.
    `tokenizer_json`: the fast tokenizer exactly as transformers uses it (`Tokenizer.to_str()`), without truncation
    and padding. `truncation_side`: "right" or "left". `top_k`: labels reported where a request does not say.
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
    truncation_side: str = "right"
