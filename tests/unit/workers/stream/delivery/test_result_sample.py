"""Which results of a micro-batch the page shows."""

from collections import Counter
from typing import Any

from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Embedding, Fault, Fill, MaskFill, Prediction, RecordError
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.delivery.result_sample import RESULTS, TEXT_CHARS, result_sample
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from tests.support.pipeline_bench import A, record

YES = Prediction(("yes", "no"), (0.75, 0.25), 3, False, "r")


def batch(*answers: Any) -> MicroBatch:
    progress = PartitionProgress(A)
    items = [
        Item(record(offset, b"{}"), progress, TextMessage.model_validate({"text": f"text {offset}" + "x" * 1_000}), "m")
        for offset in range(len(answers))
    ]
    made = MicroBatch(items, [], [], Counter(), 0.0)
    made.outcomes = list(answers)
    return made


def test_sample_has_the_first_labels_without_failures() -> None:
    found = result_sample(batch(RecordError(Fault.TOO_LARGE, "long"), *[YES] * 9), False, lambda: 7.0)
    assert len(found) == RESULTS
    assert found[0] == {
        "at": 7.0,
        "place": f"{A.topic}:{A.partition}:1",
        "model": "m",
        "label": "yes",
        "score": 0.75,
        "abstained": False,
    }


def test_text_is_cut_and_only_there_if_asked_for() -> None:
    assert "text" not in result_sample(batch(YES), False)[0]
    [one] = result_sample(batch(YES), True)
    text = one.get("text", "")
    assert (text[:6], len(text), text[-1]) == ("text 0", TEXT_CHARS, "…")


def test_fill_mask_has_the_best_tokens_of_its_first_mask() -> None:
    first = tuple(Fill(token, i, 0.5 / (i + 1)) for i, token in enumerate("abcd"))
    [one] = result_sample(batch(MaskFill((first, (Fill("z", 9, 1.0),)), 3, False, "r")), False)
    assert (one["label"], one["score"], one.get("others")) == ("a", 0.5, [("b", 0.25), ("c", 0.5 / 3)])
    [one] = result_sample(batch(MaskFill((first[:1],), 3, False, "r")), False)
    assert (one["label"], one.get("others")) == ("a", [])


def test_embedding_has_its_number_of_dimensions() -> None:
    [one] = result_sample(batch(Embedding((0.5, 0.25), 3, False, "r")), False)
    assert (one["label"], one["score"], "others" in one) == ("2 dimensions", None, False)


def test_items_without_an_answer_are_left_out() -> None:
    assert result_sample(batch(RecordError(Fault.TOO_LARGE, "long"), None), True) == []
    assert result_sample(batch(YES._replace(accepted=())), True)[0]["abstained"]
