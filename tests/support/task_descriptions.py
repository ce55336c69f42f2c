"""Descriptions of a model of each task, without the model."""

from dataclasses import replace

from labelstream.workers.engine.description import Activation, Mask, ModelDescription, Windows, ZeroShot
from tests.support.models import make_tokenizer

BERT = make_tokenizer("bert").backend_tokenizer.to_str()
PLAIN = ModelDescription("m", "rev", "text-classification", ("a", "b", "c"), Activation.SOFTMAX, 24, 2, BERT)
FILLS = replace(PLAIN, task="fill-mask", labels=tuple(f"t{i}" for i in range(4_000)), mask=Mask("[MASK]", 4))
NLI = replace(
    PLAIN,
    task="zero-shot-classification",
    labels=("no", "yes", "?"),
    ranked=False,
    zero_shot=ZeroShot(1, 0, ("x", "y", "z")),
)
EMBEDDING = replace(PLAIN, task="feature-extraction", labels=(), ranked=False, dimensions=2)
TASKS = {
    "classification": PLAIN,
    "windows": replace(PLAIN, windows=Windows(2, "mean", 3)),
    "zero-shot": NLI,
    "embedding": EMBEDDING,
    "fill-mask": FILLS,
}
