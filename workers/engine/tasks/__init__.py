"""What each task makes of a request, and of the model's answers. No torch.

A task turns requests into sequences, one or several each, and the labels' scores of these sequences into answers. What
runs between the two, batching, Serve and the model, is the same for all.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from workers.classifier import Request
from workers.engine.description import ModelDescription, TaskName
from workers.engine.tasks.classification import TextClassification
from workers.engine.tasks.embedding import TextEmbedding
from workers.engine.tasks.fill_mask import FillMask
from workers.engine.tasks.prepared import Prepared
from workers.engine.tasks.repeats import EachOnce
from workers.engine.tasks.zero_shot import ZeroShotClassification


class Task(Protocol):
    """Of one model. One calling thread at a time."""

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """Tokenize what can be answered and refuse the rest. Never raises for a request's content."""
        ...


def task_for(description: ModelDescription) -> Task:
    """The task of `description`'s model. Raises ModelError where its tokenizer is not supported."""
    return EachOnce(_TASKS[TaskName(description.task)](description))


_TASKS: dict[TaskName, Callable[[ModelDescription], Task]] = {
    TaskName.TEXT_CLASSIFICATION: TextClassification,
    TaskName.ZERO_SHOT: ZeroShotClassification,
    TaskName.FILL_MASK: FillMask,
    TaskName.EMBEDDING: TextEmbedding,
}
