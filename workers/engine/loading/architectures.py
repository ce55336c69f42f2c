"""Which of transformers' classes a task loads, and which checkpoints are made for it. No torch but theirs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import transformers

from labelstream.workers.engine.description import TaskName


class Family(NamedTuple):
    """`class_name`: of the class that loads it.

    `endings`: of the architectures that have its head; none: it has no head, so any will do.

    `unused`: weights that a checkpoint may lack, because nothing reads what they give.
    """

    class_name: str
    endings: tuple[str, ...]
    what: str
    unused: tuple[str, ...] = ()

    @property
    def auto(self) -> Any:
        """The class. The first use imports transformers' modelling code, which takes 2 s."""
        return getattr(transformers, self.class_name)


_CLASSIFIER = Family("AutoModelForSequenceClassification", ("ForSequenceClassification",), "a sequence classifier")
FAMILIES = {
    TaskName.TEXT_CLASSIFICATION: _CLASSIFIER,
    TaskName.ZERO_SHOT: _CLASSIFIER,
    TaskName.FILL_MASK: Family("AutoModelForMaskedLM", ("ForMaskedLM", "ForPreTraining"), "a masked language model"),
    TaskName.EMBEDDING: Family("AutoModel", (), "a model", ("pooler.",)),
}


# Padding changes their answers, by an amount that half precision hides: "auto" takes float32, in which it shows. XLNet
# and I-BERT compute in no other.
READS_PADDING = frozenset(("convbert", "fnet", "funnel", "ibert", "nystromformer", "xlnet", "yoso"))


def task_made_for(architectures: Sequence[str]) -> TaskName | None:
    """The task whose head the checkpoint has; embeddings for one without a head; None for a head of another kind."""
    for task, family in FAMILIES.items():
        if any(name.endswith(family.endings) for name in architectures if family.endings):
            return task
    return TaskName.EMBEDDING if any(name.endswith("Model") for name in architectures) else None
