"""One call for each model, whose rows name the messages."""

from typing import Any

from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Request
from labelstream.workers.stream.call_factory import calls_of
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.micro_batch import Item
from tests.support.clock import Clock
from tests.support.fakes import FakeClassifier
from tests.support.pipeline_bench import A, record


def item(text: str | None, model: str = "m") -> Item:
    found = record(0, b""), PartitionProgress(A)
    if text is None:
        return Item(*found, skipped="only_if")
    return Item(*found, TextMessage.model_validate({"text": text}), model, request=Request(text))


def test_each_model_has_one_call_with_the_rows_of_its_messages() -> None:
    models: Any = {"m": FakeClassifier(), "other": FakeClassifier()}
    items = [item("a"), item(None), item("b", "other"), item("c")]
    calls, text_rows = calls_of(items, models, Clock(), lambda: None)
    asked = {call.model: (call.rows, [request.text for request in call.requests]) for call in calls}
    assert asked == {"m": ([0, 3], ["a", "c"]), "other": ([2], ["b"])}
    assert text_rows == {}


def test_nothing_to_ask_makes_no_call() -> None:
    assert calls_of([item(None)], {}, Clock(), lambda: None) == ([], {})
