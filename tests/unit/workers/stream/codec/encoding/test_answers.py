"""Results of several texts, against their schema, for any mix of good and failed texts."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord

from labelstream.schemas.answers import ANSWERS, ANSWERS_ENRICHMENT
from labelstream.schemas.dead_letter import Reason
from labelstream.schemas.message import Verbatim
from labelstream.workers.classifier import Embedding, Fault, Fill, MaskFill, Prediction, RecordError
from labelstream.workers.stream.codec.encoding.answers import answers_with_texts, encode_answers
from labelstream.workers.stream.codec.encoding.results import encode_result, value_encoder
from labelstream.workers.stream.codec.rejection import DecodeError
from labelstream.workers.stream.codec.text_list import ListedText, TextAnswers, TextList
from tests.support.decoding import pipeline

NOW = datetime(2026, 11, 21, 2, 57, 42, 568950, tzinfo=UTC)
RECORD = ConsumerRecord("logs", 3, None, 4711, 1795229000123, 0, None, b'{"l": [], "n": 1.50 }', [], None, -1, 0, -1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
EMPTY = DecodeError(Reason.EMPTY_TEXT, 'no ,"answers":[ text').rejection()
GOOD = Prediction(("yes", "no"), (0.75, 0.25), 3, False, "r")
FILL = MaskFill(((Fill("a", 1, 0.5),),), 3, True, "r")
VECTOR = Embedding((0.5, -1.0), 3, False, "r")
TIMED_OUT = RecordError(Fault.TIMED_OUT, "no answer")


@st.composite
def predictions(draw: st.DrawFn) -> Prediction:
    scores = tuple(
        sorted(draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4)), reverse=True)
    )
    labels = tuple(draw(st.lists(TEXTS, min_size=len(scores), max_size=len(scores), unique=True)))
    accepted = draw(st.none() | st.integers(0, len(labels)).map(lambda count: labels[:count]))
    order = draw(st.none() | st.permutations(range(len(scores))).map(tuple))
    return Prediction(
        labels, scores, draw(st.integers(1, 2**31)), draw(st.booleans()), draw(TEXTS), accepted=accepted, order=order
    )


def message(outcomes: Any, **more: Any) -> TextList:
    texts = tuple(ListedText(f'text {at} ,"answers":["') for at in range(len(outcomes)))
    return TextList.model_validate({"text": "joined", "texts": texts, **more})


def encoded(outcomes: Any, **more: Any) -> Any:
    return json.loads(encode_answers("p", RECORD, message(outcomes), "m", TextAnswers(tuple(outcomes)), NOW, **more))


@given(
    st.lists(predictions() | st.sampled_from([EMPTY, TIMED_OUT]), min_size=1, max_size=5).filter(
        lambda found: any(isinstance(one, Prediction) for one in found)
    ),
    st.none() | st.integers() | TEXTS,
)
def test_answers_are_those_of_single_results_in_order(outcomes: list[Any], own_id: Any) -> None:
    sent = message(outcomes, id=own_id)
    value = encode_answers("p", RECORD, sent, "m", TextAnswers(tuple(outcomes)), NOW)
    ANSWERS.validate_json(value)
    result = json.loads(value)
    answers = result.pop("answers")
    assert len(answers) == len(outcomes)
    for outcome, answer in zip(outcomes, answers, strict=True):
        if isinstance(outcome, Prediction):
            assert json.loads(encode_result("p", RECORD, sent, "m", outcome, NOW)) == result | answer
        else:
            reason = outcome.fault if isinstance(outcome, RecordError) else outcome.reason
            assert answer == {"error": {"reason": reason.value, "message": outcome.message}}


@pytest.mark.parametrize(
    ("answer", "task"), [(GOOD, "text-classification"), (FILL, "fill-mask"), (VECTOR, "feature-extraction")]
)
def test_each_task_has_its_answers(answer: Any, task: str) -> None:
    sent = message([answer, TIMED_OUT, answer])
    outcome = TextAnswers((answer, TIMED_OUT, answer))
    part = encode_answers("p", RECORD, sent, "m", outcome, NOW, has_record=False)
    ANSWERS_ENRICHMENT.validate_json(part)
    value = json.loads(part)
    assert (value["task"], "error" in value["answers"][1], value["answers"][0]) == (task, True, value["answers"][2])


def test_texts_stand_beside_their_answers() -> None:
    outcomes = TextAnswers((GOOD, EMPTY, TIMED_OUT))
    texts = (ListedText("one", "own"), ListedText(""), ListedText('three ,"answers":['))
    sent = TextList.model_validate(
        {"text": "j", "text_pair": "all", "texts": texts, "metadata": Verbatim('{"a":{"x":1,"answers":[1.50]}}')}
    )
    plain = encode_answers("p", RECORD, sent, "m", outcomes, NOW)
    whole = answers_with_texts(plain, sent, outcomes)
    assert whole == encode_answers("p", RECORD, sent, "m", outcomes, NOW, has_texts=True)
    assert b'"metadata":{"a":{"x":1,"answers":[1.50]}}' in whole
    answers = json.loads(whole)["answers"]
    assert [(one.get("text"), one.get("text_pair")) for one in answers] == [
        ("one", "own"),
        (None, None),
        ('three ,"answers":[', "all"),
    ]
    ANSWERS.validate_json(whole)


def test_enriched_record_keeps_its_bytes() -> None:
    encode = value_encoder("p", pipeline(fields={"text": "l[*]"}, output_shape="enrich"))
    value = encode(RECORD, message([GOOD]), "m", TextAnswers((GOOD,)), NOW)
    before, _, part = value.partition(b',"labelstream":')
    assert before == b'{"l": [], "n": 1.50 '
    ANSWERS_ENRICHMENT.validate_json(part[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        GOOD._replace(scores=(0.25, 0.75)),
        GOOD._replace(scores=(float("nan"), 0.0)),
        GOOD._replace(tokens=0),
        GOOD._replace(order=(0, 0)),
        VECTOR._replace(vector=(float("inf"),)),
        FILL._replace(masks=((),)),
    ],
)
def test_invalid_answer_is_never_encoded(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"must|descend|finite|least 1"):
        encoded([GOOD, wrong])
