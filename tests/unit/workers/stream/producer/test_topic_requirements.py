"""What is known of the topics, and what their refusals teach."""

import time
from dataclasses import replace
from typing import Any

import pytest
from kafka.errors import InvalidRecordError, InvalidTimestampError, MessageSizeTooLargeError

from labelstream.schemas.dead_letter import Reason
from labelstream.workers.settings.pipeline import PipelineSettings
from labelstream.workers.stream.broker.topics import TopicLimits
from labelstream.workers.stream.codec.encoding.producer_record import ProducerRecord
from labelstream.workers.stream.consumer.assignment import PartitionProgress
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.producer import topic_requirements
from labelstream.workers.stream.producer.topic_requirements import TopicRequirements
from tests.support.pipeline_bench import A, record

SETTINGS = PipelineSettings.model_validate(
    {"input": "in", "output": "out", "dead_letter": "dead", "review": "review", "model": "m"}
)
KEYLESS = InvalidRecordError("Compacted topic cannot accept message without key in topic partition out-0.")


def rules(**limits: Any) -> TopicRequirements:
    return TopicRequirements("p", SETTINGS, TopicLimits(**limits))


def item(offset: int = 0) -> Item:
    return Item(record(offset, b"{}"), PartitionProgress(A), model="m")


def result(value: bytes = b"{}", key: bytes | None = b"k", timestamp_ms: int | None = None) -> ProducerRecord:
    return ProducerRecord(value, key, [], None, timestamp_ms)


def reason(found: Any) -> Reason | None:
    return None if found is None else found.reason


@pytest.mark.parametrize(
    ("review", "reason_"), [(None, None), ("review", Reason.RESULT_TOO_LARGE)], ids=["output", "and review"]
)
def test_result_larger_than_a_topic_of_its_own_is_too_large(review: str | None, reason_: Reason | None) -> None:
    assert reason(rules(output=2_000, review=500).obstacle(item(), result(b"x" * 900), "out", review)) == reason_
    assert reason(rules(output=500).obstacle(item(), result(b"x" * 900), "out", review)) == Reason.RESULT_TOO_LARGE


def test_keyless_result_has_no_way_into_a_compacted_topic() -> None:
    known = rules(keyed=frozenset({"out"}))
    assert known.keyed("out")
    assert not known.keyed("review")
    assert known.obstacle(item(), result(), "out", None) is None
    assert reason(known.obstacle(item(), result(key=None), "out", None)) == Reason.RESULT_REFUSED


def test_refusal_for_a_missing_key_is_known_for_all_records() -> None:
    known = rules()
    known.refused("out", item(), result(key=None), KEYLESS)
    assert known.keyed("out")
    assert known.refusals("out", item()) == ()  # not of this record alone
    assert reason(known.obstacle(item(1), result(key=None), "out", None)) == Reason.RESULT_REFUSED


def test_refusal_for_a_timestamp_is_known_for_all_records() -> None:
    now_ms = int(time.time() * 1000)
    known, old = rules(), result(timestamp_ms=now_ms - 60_000)
    assert known.with_valid_timestamp(old) is old
    known.refused("out", item(), old, InvalidTimestampError(f"should be within [{now_ms - 1_000}, {now_ms + 1_000}]"))
    assert known.with_valid_timestamp(old) == replace(old, timestamp_ms=None)
    assert known.obstacle(item(), old, "out", None) is None
    assert known.with_valid_timestamp(result()) == result()


def test_refusal_of_a_record_is_its_own() -> None:
    known, error = rules(), MessageSizeTooLargeError()
    known.refused("review", item(3), result(), error)
    assert known.refusals("review", item(3)) == [error]
    assert known.obstacle(item(3), result(), "out", None) is None  # it does not go there
    assert reason(known.obstacle(item(3), result(), "out", "review")) == Reason.RESULT_TOO_LARGE
    assert known.obstacle(item(4), result(), "out", "review") is None


def test_refusals_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_requirements, "MAX_REFUSALS", 2)
    known = rules()
    for offset in range(3):
        known.refused("out", item(offset), result(), InvalidRecordError("no"))
    assert [len(known.refusals("out", item(offset))) for offset in range(3)] == [0, 1, 1]


def test_review_topic_that_needs_keys_gets_one_of_ours() -> None:
    keyed = rules(keyed=frozenset({"review"}))
    sent = replace(result(key=None), partition=1)
    assert keyed.to_review("review", item(7), sent).key is not None
    assert keyed.to_review("review", item(7), result()).key == b"k"
    assert rules().to_review("review", item(7), sent) == result(key=None)  # in any partition
