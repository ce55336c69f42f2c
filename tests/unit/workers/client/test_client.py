import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.responses import JSONResponse, Response

from labelstream import Client, Embedding, GatewayError, GatewayUnavailable, Prediction, RecordError, Request
from tests.support.gateway import CLASSIFIER, EMBEDDER, MASKED, NLI, EngineServed

BUSY = JSONResponse({"reason": "busy", "message": "busy"}, 429, {"retry-after": "0"})
RESULT = {
    "scores": [{"label": "a", "score": 0.5}],
    "labels": ["a"],
    "task": "text-classification",
    "tokens": 3,
    "truncated": False,
    "model_revision": "r",
}
ONE = JSONResponse([RESULT])
Scripted = Callable[..., tuple[str, list[Any]]]


def test_one_text_gives_a_flat_list_in_the_models_order(url: str, small: EngineServed) -> None:
    (wanted,) = small.engines[CLASSIFIER].classify([Request("good", top_k=3)])
    assert isinstance(wanted, Prediction)
    scores = dict(zip(wanted.labels, wanted.scores, strict=True))
    with Client(url) as client:
        found = client.predict(CLASSIFIER, "good")
        assert [one["label"] for one in found] == ["a", "b", "c"]
        assert [one["score"] for one in found] == pytest.approx([scores[one["label"]] for one in found], rel=1e-5)


def test_several_texts_give_a_list_for_each_by_score(url: str, small: EngineServed) -> None:
    texts = ["good", "not bad"]
    with Client(url) as client:
        found = client.predict(CLASSIFIER, texts, order="score", top_k=2)
        assert client.predict(CLASSIFIER, []) == []
        assert [one["label"] for one in client.predict(None, "good")] == ["a", "b", "c"]
    for wanted, scores in zip(
        small.engines[CLASSIFIER].classify([Request(t, top_k=2) for t in texts]), found, strict=True
    ):
        assert isinstance(wanted, Prediction)
        assert tuple(one["label"] for one in scores) == wanted.labels


def test_more_texts_than_a_request_takes_come_back_in_order(url: str) -> None:
    texts = [f"good {i}" for i in range(600)]
    with Client(url) as client:
        found = client.predict(CLASSIFIER, texts)
        assert len(found) == 600
        for wanted, scores in ((client.predict(CLASSIFIER, texts[i]), found[i]) for i in (0, 255, 256, 599)):
            assert [one["score"] for one in scores] == pytest.approx([one["score"] for one in wanted], rel=1e-5)


def test_classify_answers_as_the_engine(url: str, small: EngineServed) -> None:
    with Client(url) as client:
        (embedding,) = client.classify(["good"], EMBEDDER)
        wanted, *_ = small.engines[EMBEDDER].classify(["good"])
        assert isinstance(embedding, Embedding)
        assert isinstance(wanted, Embedding)
        assert embedding.vector == pytest.approx(wanted.vector, abs=1e-5)
        found = client.classify(["good", Request("good", candidate_labels=("x", "y"), top_k=2)], NLI)
        assert isinstance(found[0], RecordError)
        assert isinstance(found[1], Prediction)
        assert set(found[1].labels) == {"x", "y"}
        assert client.classify(["a [MASK] day"], MASKED) == small.engines[MASKED].classify(["a [MASK] day"])


def test_refused_text_is_named_by_its_place(url: str) -> None:
    with Client(url) as client, pytest.raises(GatewayError, match=r"^data\[1\]: the text is empty or blank$") as caught:
        client.predict(CLASSIFIER, ["good", " "])
    assert caught.value.reason == "empty_text"


def test_unknown_model_names_the_known_ones(url: str) -> None:
    with Client(url) as client, pytest.raises(GatewayError, match=r"^404: no model other; the models are") as caught:
        client.predict("other", "good")
    assert (caught.value.status, caught.value.reason) == (404, "unknown_model")


@pytest.mark.parametrize("data", [5, None, ["good", 5], b"good"])
def test_data_that_is_no_text_is_a_type_error(url: str, data: Any) -> None:
    with Client(url) as client, pytest.raises(TypeError, match=r"^data"):
        client.predict(CLASSIFIER, data)


def test_busy_gateway_is_asked_again(scripted: Scripted) -> None:
    url, came = scripted(BUSY, JSONResponse({}, 503, {"retry-after": "0"}), ONE)
    with Client(url, token="secret") as client:
        assert client.predict("m", "good") == RESULT["scores"]
    assert [request.headers["authorization"] for request in came] == ["Bearer secret"] * 3
    assert {request.url.path for request in came} == {"/models/m/classify"}


def test_other_errors_are_not_asked_again(scripted: Scripted) -> None:
    url, came = scripted(Response("gone", 500))
    with Client(url) as client, pytest.raises(GatewayError, match=r"^500: gone$"):
        client.predict("m", "good")
    assert len(came) == 1


def test_wait_beyond_the_timeout_is_not_begun(scripted: Scripted) -> None:
    url, came = scripted(JSONResponse({"message": "starts"}, 503, {"retry-after": "9"}))
    with Client(url, timeout_s=5) as client, pytest.raises(GatewayUnavailable, match=r"^503: starts$"):
        client.predict("m", "good")
    assert len(came) == 1


def test_missing_gateway_is_an_error_of_its_own() -> None:
    missing = pytest.raises(GatewayUnavailable, match=r"^http://127\.0\.0\.1:1: no gateway answers")
    with Client("http://127.0.0.1:1", timeout_s=0.2) as client, missing as caught:
        client.predict("m", "good")
    assert (caught.value.status, caught.value.retriable) == (None, True)


def test_body_holds_the_messages_alone(scripted: Scripted) -> None:
    url, came = scripted(ONE)
    with Client(url) as client:
        client.classify([Request("good", top_k=2)])
    assert came[0].url.path == "/classify"
    assert json.loads(came[0]._body) == [{"text": "good", "top_k": 2}]
