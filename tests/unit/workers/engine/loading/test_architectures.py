"""The task of a checkpoint by the name of its architecture."""

import pytest

from labelstream.workers.engine.description import TaskName
from labelstream.workers.engine.loading.architectures import task_made_for


@pytest.mark.parametrize(
    ("architectures", "task"),
    [
        (["BertForSequenceClassification"], TaskName.TEXT_CLASSIFICATION),
        (["BertForMaskedLM"], TaskName.FILL_MASK),
        (["BertForPreTraining"], TaskName.FILL_MASK),
        (["BertModel"], TaskName.EMBEDDING),
        (["BertForTokenClassification"], None),
        ([], None),
    ],
)
def test_task_made_for_follows_the_head(architectures: list[str], task: TaskName | None) -> None:
    assert task_made_for(architectures) == task
