"""The transformers class that each task loads, and the checkpoints that fit it. Uses torch only in transformers."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import transformers

from labelstream.workers.engine.description import TaskName


class Family(NamedTuple):
    """`class_name`: the class to load. `endings`: of the names of architectures with its head; empty: any fits.

    `what`: the head, in errors. `unused`: weights that a checkpoint may lack, because nothing reads their output.
    """

    class_name: str
    endings: tuple[str, ...]
    what: str
    unused: tuple[str, ...] = ()

    @property
    def auto(self) -> Any:
        """The class. Its first use imports transformers' modeling code, which takes 2 s."""
        return getattr(transformers, self.class_name)


_CLASSIFIER = Family("AutoModelForSequenceClassification", ("ForSequenceClassification",), "a sequence classifier")
FAMILIES = {
    TaskName.TEXT_CLASSIFICATION: _CLASSIFIER,
    TaskName.ZERO_SHOT: _CLASSIFIER,
    TaskName.FILL_MASK: Family("AutoModelForMaskedLM", ("ForMaskedLM", "ForPreTraining"), "a masked language model"),
    TaskName.EMBEDDING: Family("AutoModel", (), "a model", ("pooler.",)),
}


# Model types whose answers change with padding. Half precision would hide the change from the self-check, so dtype auto
# means float32. XLNet and I-BERT also compute in float32 only.
READS_PADDING = frozenset(("convbert", "fnet", "funnel", "ibert", "nystromformer", "xlnet", "yoso"))


def task_made_for(architectures: Sequence[str]) -> TaskName | None:
    """The task of the checkpoint's head; embedding for a checkpoint without a head; None for any other head."""
    for task, family in FAMILIES.items():
        if any(name.endswith(family.endings) for name in architectures if family.endings):
            return task
    return TaskName.EMBEDDING if any(name.endswith("Model") for name in architectures) else None
