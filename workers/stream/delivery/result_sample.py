"""A sample of a micro-batch's results."""

import time
from collections.abc import Callable, Iterator
from itertools import islice

from labelstream.workers.classifier import Answered, MaskFill, Prediction
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.produced_batch import place_of
from labelstream.workers.stream.report import RecentResult

RESULTS, TEXT_CHARS, FILLS = 4, 200, 3


def result_sample(batch: MicroBatch, with_texts: bool, clock: Callable[[], float] = time.time) -> list[RecentResult]:
    """The first RESULTS results of `batch` for one text each, with at most TEXT_CHARS characters of the text."""
    now = clock()
    return [_sample(item, answer, with_texts, now) for item, answer in islice(_answered(batch), RESULTS)]


def _answered(batch: MicroBatch) -> Iterator[tuple[Item, Answered]]:
    return (
        (item, answer) for item, answer in zip(batch.items, batch.outcomes, strict=True) if isinstance(answer, Answered)
    )


def _sample(item: Item, answer: Answered, with_texts: bool, now: float) -> RecentResult:
    topic, partition, offset = place_of(item)
    label, score = _best(answer)
    sample: RecentResult = {
        "at": now,
        "place": f"{topic}:{partition}:{offset}",
        "model": item.model,
        "label": label,
        "score": score,
        "abstained": answer.abstained,
    }
    if isinstance(answer, MaskFill):
        sample["others"] = [(fill.token, fill.score) for fill in answer.masks[0][1:FILLS]]
    if with_texts and item.message is not None:
        text = item.message.text
        sample["text"] = text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
    return sample


def _best(answer: Answered) -> tuple[str, float | None]:
    """`label` and `score` of a RecentResult."""
    if isinstance(answer, Prediction):
        return answer.labels[0], answer.scores[0]
    if isinstance(answer, MaskFill):
        best = answer.masks[0][0]
        return best.token, best.score
    return f"{len(answer.vector)} dimensions", None
