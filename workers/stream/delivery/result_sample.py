"""A sample of a micro-batch's results."""

import time
from collections.abc import Callable, Iterator
from itertools import islice

from labelstream.workers.classifier import Prediction
from labelstream.workers.stream.micro_batch import Item, MicroBatch
from labelstream.workers.stream.producer.produced_batch import place_of
from labelstream.workers.stream.report import RecentResult

RESULTS, TEXT_CHARS = 4, 200


def result_sample(batch: MicroBatch, with_texts: bool, clock: Callable[[], float] = time.time) -> list[RecentResult]:
    """The first RESULTS results of `batch` that have a label, with at most TEXT_CHARS characters of each text."""
    now = clock()
    return [_sample(item, answer, with_texts, now) for item, answer in islice(_labeled(batch), RESULTS)]


def _labeled(batch: MicroBatch) -> Iterator[tuple[Item, Prediction]]:
    return (
        (item, answer)
        for item, answer in zip(batch.items, batch.resolve(), strict=True)
        if isinstance(answer, Prediction)
    )


def _sample(item: Item, answer: Prediction, with_texts: bool, now: float) -> RecentResult:
    topic, partition, offset = place_of(item)
    sample: RecentResult = {
        "at": now,
        "place": f"{topic}:{partition}:{offset}",
        "model": item.model,
        "label": answer.labels[0],
        "score": answer.scores[0],
        "abstained": answer.abstained,
    }
    if with_texts and item.message is not None:
        text = item.message.text
        sample["text"] = text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"
    return sample
