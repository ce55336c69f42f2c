import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelstream.schemas.message import TextMessage
from labelstream.workers.classifier import Answered, Embedding, Fault, Fill, MaskFill, Prediction, RecordError, Request
from labelstream.workers.client.messages import MAX_BYTES, MAX_TEXTS, answer_of, bodies_of, message_of, scores_of
from labelstream.workers.errors import GatewayError
from labelstream.workers.stream.codec.decode_json import read_message
from labelstream.workers.stream.codec.encoding.results import encode_answer
from labelstream.workers.stream.codec.request import request_of

GOOD = Prediction(("b", "a", "c"), (0.5, 0.25, 0.25), 3, False, "r", accepted=("b",))
REQUESTS = st.builds(
    lambda *fields: Request(*fields),  # hypothesis would draw the other fields of a class
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.none() | st.just("pair"),
    st.none() | st.integers(1, 9),
    st.none() | st.just(("x", "y")),
    st.none() | st.just("It is {}."),
    st.none() | st.booleans(),
)


def result_of(answer: Answered) -> dict[str, object]:
    message = TextMessage.model_validate({"text": "good"})
    return json.loads(encode_answer("http/r", message, "m", answer, datetime(2026, 11, 28, tzinfo=UTC)))


@given(REQUESTS)
def test_message_decodes_to_its_request(request_: Request) -> None:
    assert request_of(read_message(json.dumps(message_of(request_)).encode())) == request_


@pytest.mark.parametrize("name", Request._fields[6:])
def test_option_of_the_engine_alone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^Request\.{name} is an option of Engine"):
        message_of(Request("good")._replace(**{name: "x"}))


def test_text_alone_is_a_message() -> None:
    assert message_of("good") == {"text": "good"}


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        GOOD._replace(accepted=()),
        GOOD._replace(order=(1, 0, 2)),
        GOOD._replace(task="zero-shot-classification"),
        Embedding((0.5, -1.0), 3, True, "r"),
        MaskFill(((Fill("x", 1, 0.5), Fill("y", 2, 0.25)),), 3, False, "r"),
    ],
)
def test_answer_comes_out_of_its_result(answer: Answered) -> None:
    assert answer_of(result_of(answer)) == answer


@pytest.mark.parametrize(("reason", "fault"), [("too_large", Fault.TOO_LARGE), ("empty_text", Fault.INVALID_MESSAGE)])
def test_error_of_a_message_is_a_record_error(reason: str, fault: Fault) -> None:
    assert answer_of({"reason": reason, "message": "why"}) == RecordError(fault, "why")


def test_scores_are_those_of_the_result() -> None:
    assert scores_of(result_of(GOOD._replace(order=(1, 0, 2))), "data[0]") == [
        {"label": "a", "score": 0.25},
        {"label": "b", "score": 0.5},
        {"label": "c", "score": 0.25},
    ]


def test_text_without_scores_is_an_error() -> None:
    with pytest.raises(GatewayError, match=r"^data\[3\]: why$") as caught:
        scores_of({"reason": "too_large", "message": "why"}, "data[3]")
    assert caught.value.reason == "too_large"
    with pytest.raises(GatewayError, match=r"^model m does feature-extraction; call classify"):
        scores_of(result_of(Embedding((0.5,), 3, False, "r")), "data[0]")


def test_bodies_hold_all_messages_in_order_and_are_bounded() -> None:
    messages = [{"text": "x" * (MAX_BYTES if i == 3 else 9), "id": i} for i in range(2 * MAX_TEXTS)]
    bodies = [json.loads(body) for body in bodies_of(messages)]
    assert [message for body in bodies for message in body] == messages
    assert [len(body) for body in bodies] == [3, 1, MAX_TEXTS, MAX_TEXTS - 4]
    assert list(bodies_of([])) == []
