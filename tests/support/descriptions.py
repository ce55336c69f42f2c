"""A model's description without a model."""

from labelstream.workers.engine.description import Activation, ModelDescription
from tests.support.models import make_tokenizer

DESCRIPTION = ModelDescription(
    "m",
    "rev",
    "text-classification",
    ("a", "b", "c"),
    Activation.SOFTMAX,
    16,
    2,
    make_tokenizer("bert").backend_tokenizer.to_str(),
)
