"""The short way to a result's JSON against the schema's own, on whatever hypothesis makes up."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.enrichment import ENRICHMENT
from labelstream.schemas.message import TextMessage, Verbatim
from labelstream.schemas.result import RESULT, ClassificationResult
from labelstream.workers.classifier import Answered, Embedding, Fill, MaskFill, Prediction
from labelstream.workers.stream.codec.encoding.results import (
    encode_answer,
    encode_enrichment,
    encode_result,
    event_id,
    with_texts,
)

NOW = datetime(2026, 11, 21, 2, 57, 42, 568950, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**63 - 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
GOOD = Prediction(("yes", "no"), (0.75, 0.25), 3, False, "r")
SCORES = st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=6).map(
    lambda found: tuple(sorted(found, reverse=True))
)


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    scores = draw(SCORES)
    labels = tuple(draw(st.lists(TEXTS, min_size=len(scores), max_size=len(scores))))
    accepted = draw(st.none() | st.integers(0, len(labels)).map(lambda count: labels[:count]))
    task = draw(st.sampled_from(["text-classification", "zero-shot-classification"]))
    return Prediction(labels, scores, draw(st.integers(1, 2**31)), draw(st.booleans()), draw(TEXTS), task, accepted)


def record(partition: int = 3, offset: int = 4711, timestamp: Any = 1795229000123) -> ConsumerRecord:
    return ConsumerRecord("feedback.raw", partition, None, offset, timestamp, 0, None, b"", [], None, -1, 0, -1)


def message(own_id: str | int | None = None, metadata: Verbatim | dict[str, Any] | None = None) -> TextMessage:
    return TextMessage.model_validate({"text": "good", "id": own_id, "metadata": metadata})


def by_schema(of: ConsumerRecord, sent: TextMessage, model: str, answer: Prediction, now: datetime) -> bytes:
    accepted = answer.labels[:1] if answer.accepted is None else answer.accepted
    return (
        ClassificationResult(
            event_id=event_id("p", of),
            task=answer.task,  # type: ignore[arg-type]
            id=sent.id,
            model=model,
            model_revision=answer.revision,
            tokens=answer.tokens,
            truncated=answer.truncated,
            source={
                "topic": of.topic,
                "partition": of.partition,
                "offset": of.offset,  # type: ignore[arg-type]
                "timestamp_ms": of.timestamp,
            },
            metadata=sent.metadata,  # type: ignore[arg-type]
            classified_at=now,
            label=answer.labels[0],
            score=answer.scores[0],
            scores=[
                {"label": label, "score": score}  # type: ignore[misc]
                for label, score in zip(answer.labels, answer.scores, strict=True)
            ],
            labels=list(accepted),
            abstained=not accepted,
        )
        .model_dump_json()
        .encode()
    )


@pytest.mark.parametrize("number", ["1.0", "1e5", "12345678901234567890", "1.2345678901234567e+19", "1.10", "1e999"])
@pytest.mark.parametrize(
    "answer", [GOOD, MaskFill(((Fill("a", 1, 0.5),),), 3, False, "r"), Embedding((0.5,), 3, False, "r")]
)
def test_metadata_comes_back_as_it_came(number: str, answer: Answered) -> None:
    metadata = f'{{"n": {number} }}'
    found = encode_result("p", record(), message("x", metadata=Verbatim(metadata)), "m", answer, NOW)
    assert found.count(f'"metadata":{metadata}'.encode()) == 1
    assert RESULT.validate_json(found).metadata == json.loads(metadata)
    assert RESULT.validate_json(encode_result("p", record(), message(), "m", answer, NOW)).metadata is None


@given(
    predictions(),
    NUMBERS,
    NUMBERS,
    st.integers(-1, 2**62),
    st.none() | TEXTS | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.dictionaries(TEXTS, VALUES, max_size=3),
    TEXTS,
    st.integers(-(10**12), 10**12),
)
def test_it_says_what_the_schema_says(
    answer: Prediction,
    partition: int,
    offset: int,
    timestamp: int,
    own_id: str | int | None,
    metadata: dict[str, Any] | None,
    model: str,
    microseconds: int,
) -> None:
    of, sent, now = record(partition, offset, timestamp), message(own_id, metadata), NOW + timedelta(0, 0, microseconds)
    found, expected = encode_result("p", of, sent, model, answer, now), by_schema(of, sent, model, answer, now)
    assert json.loads(found, object_pairs_hook=list) == json.loads(expected, object_pairs_hook=list)  # order included
    ClassificationResult.model_validate_json(found)


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": ()},
        {"labels": ("yes",)},
        {"labels": ("yes", 1)},
        {"labels": (), "scores": ()},
        {"scores": (0.25, 0.75)},
        {"scores": (0.75, float("nan"))},
        {"scores": (float("inf"), 0.25)},
        {"scores": (1, 0)},
        {"tokens": 0},
        {"tokens": True},
        {"tokens": "3"},
        {"truncated": 0},
        {"truncated": None},
        {"task": "fill-mask"},
        {"task": None},
        {"revision": None},
        {"revision": 5},
        {"accepted": (None,)},
    ],
)
def test_what_the_schema_refuses_is_refused(wrong: dict[str, Any]) -> None:
    answer = GOOD._replace(**wrong)
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's or ours
        encode_result("p", record(), message(), "m", answer, NOW)
    encode_result("p", record(), message(), "m", GOOD, NOW)


def test_encode_refuses_naive_time_and_missing_timestamp() -> None:
    with pytest.raises(ValueError, match="timezone"):
        encode_result("p", record(), message(), "m", GOOD, NOW.replace(tzinfo=None))
    with pytest.raises(TypeError):
        encode_result("p", record(timestamp=None), message(), "m", GOOD, NOW)


@given(predictions(), st.none() | TEXTS, st.none() | TEXTS)
def test_enrichment_and_texts_fit_their_schemas(answer: Prediction, text: str | None, pair: str | None) -> None:
    sent = TextMessage.model_validate({"text": text or "a", "text_pair": pair})
    whole = encode_result("p", record(), sent, "m", answer, NOW)
    part = json.loads(encode_enrichment("p", record(), "m", answer, NOW))
    assert part == {name: value for name, value in json.loads(whole).items() if name not in ("id", "metadata")}
    ENRICHMENT.validate_json(json.dumps(part))
    read = RESULT.validate_json(with_texts(whole, sent, answer))
    assert (read.text, read.text_pair) == (sent.text, pair)


@pytest.mark.parametrize("answer", [MaskFill(((Fill("a", 1, 0.5),),), 3, False, "r"), Embedding((0.5,), 3, False, "r")])
def test_enrichments_of_other_tasks_fit_the_schema(answer: Answered) -> None:
    found = ENRICHMENT.validate_json(encode_enrichment("p", record(), "m", answer, NOW))
    assert found.task == answer.task


@given(predictions(), st.data())
def test_scores_stand_in_the_order_of_the_model(answer: Prediction, data: st.DataObject) -> None:
    order = tuple(data.draw(st.permutations(range(len(answer.labels)))))
    plain = json.loads(encode_result("p", record(), message(), "m", answer, NOW))
    found = encode_result("p", record(), message(), "m", answer._replace(order=order), NOW)
    ClassificationResult.model_validate_json(found)
    tree = json.loads(found)
    assert tree.pop("scores_order") == "model"
    assert tree.pop("scores") == [plain["scores"][place] for place in order]
    plain.pop("scores")
    assert tree == plain


def test_order_that_lacks_a_label_is_refused() -> None:
    with pytest.raises(ValueError, match="name each label once"):
        encode_result("p", record(), message(), "m", GOOD._replace(order=(0, 0)), NOW)


@given(predictions(), st.none() | st.dictionaries(TEXTS, VALUES, max_size=3), st.randoms())
def test_answer_without_a_record_differs_in_its_source_alone(
    answer: Prediction, metadata: dict[str, Any] | None, random: Any
) -> None:
    order = random.choice([None, tuple(random.sample(range(len(answer.labels)), len(answer.labels)))])
    answer = answer._replace(order=order)
    sent = message("x", metadata)
    source = b'"source":{"topic":"feedback.raw","partition":3,"offset":4711,"timestamp_ms":1795229000123}'
    of_record = encode_result("p", record(), sent, "m", answer, NOW)
    assert of_record.count(source) == 1
    by_event = encode_answer("p/feedback.raw/3/4711", sent, "m", answer, NOW)
    assert json.loads(by_event) == json.loads(of_record.replace(source, b'"source":null'))
