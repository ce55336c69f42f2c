"""What each task makes of a request, and of the model's answers. No torch.

A task turns requests into sequences, one or several each, and the labels' scores of these sequences into answers. What
runs between the two, batching, Serve and the model, is the same for all.
"""

from collections.abc import Sequence
from typing import Protocol

from workers.classifier import Request
from workers.engine.description import ModelDescription, TaskName
from workers.engine.tasks.classification import TextClassification
from workers.engine.tasks.prepared import Prepared
from workers.engine.tasks.zero_shot import ZeroShotClassification


class Task(Protocol):
    """Of one model. One calling thread at a time."""

    def prepare(self, requests: Sequence[Request]) -> Prepared:
        """Tokenize what can be answered and refuse the rest. Never raises for a request's content."""
        ...


def task_for(description: ModelDescription) -> Task:
    """The task of `description`'s model. Raises ModelError where its tokenizer is not supported."""
    if description.task == TaskName.ZERO_SHOT:
        return ZeroShotClassification(description)
    return TextClassification(description)
