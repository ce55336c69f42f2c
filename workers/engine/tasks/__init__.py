"""The tasks: each turns requests into sequences, and the model's scores into answers."""

from collections.abc import Callable

from labelstream.workers.classifier import MAX_MESSAGE_TOKENS
from labelstream.workers.engine.description import ModelDescription, TaskName
from labelstream.workers.engine.tasks.base import Task
from labelstream.workers.engine.tasks.classification import TextClassification
from labelstream.workers.engine.tasks.deduplicate import Deduplicating
from labelstream.workers.engine.tasks.embedding import TextEmbedding
from labelstream.workers.engine.tasks.fill_mask import FillMask
from labelstream.workers.engine.tasks.zero_shot import ZeroShotClassification


def task_for(description: ModelDescription, max_tokens: int = MAX_MESSAGE_TOKENS) -> Task:
    """The task of `description`'s model, which refuses requests of more than `max_tokens` tokens.

    Raises ModelError if the model's tokenizer is not supported.
    """
    return Deduplicating(_TASKS[TaskName(description.task)](description, max_tokens))


_TASKS: dict[TaskName, Callable[[ModelDescription, int], Task]] = {
    TaskName.TEXT_CLASSIFICATION: TextClassification,
    TaskName.ZERO_SHOT: ZeroShotClassification,
    TaskName.FILL_MASK: FillMask,
    TaskName.EMBEDDING: TextEmbedding,
}
