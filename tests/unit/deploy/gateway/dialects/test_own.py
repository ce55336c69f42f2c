"""A message in and a result out, as the topics have them."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelstream.deploy.gateway.dialects.own import router
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.served import Busy, Late, NotReady, RequestRefused, TooManyTexts
from labelstream.schemas.export import json_schema
from labelstream.workers.classifier import Answer, Fault, Prediction, RecordError, Request
from tests.support.gateway import CLASSIFIER, EMBEDDER, MASKED, NLI, TOPICS, EngineServed

RESULT, ERROR = json_schema("result"), json_schema("request-error")


@pytest.fixture
def client(served: EngineServed) -> Iterator[TestClient]:
    app = FastAPI()
    Envelopes(app).mount([router(served)])
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


def refusal_of(response: Any) -> tuple[int, str]:
    body = response.json()
    jsonschema.validate(body, ERROR)
    return response.status_code, body["reason"]


@pytest.mark.parametrize(
    ("model", "text", "more"),
    [
        (CLASSIFIER, "good", {"top_k": 2}),
        (TOPICS, "not bad", {}),
        (NLI, "good", {"candidate_labels": ["fine", "broken"]}),
        (MASKED, "a [MASK] day", {"top_k": 3}),
        (EMBEDDER, "good", {}),
    ],
)
def test_result_of_each_task_fits_the_schema(
    client: TestClient, served: EngineServed, model: str, text: str, more: dict[str, Any]
) -> None:
    message = {"text": text, "model": model, "id": "review-1", "metadata": {"n": 1.50}, **more}
    response = client.post("/classify", json=message, headers={"X-Request-Id": "r-1"})
    assert response.status_code == 200
    result = response.json()
    jsonschema.validate(result, RESULT)
    assert (result["event_id"], result["source"], result["id"], result["model"]) == (
        "http/r-1",
        None,
        "review-1",
        model,
    )
    labels = more.get("candidate_labels")
    request = Request(text, None, more.get("top_k"), labels and tuple(labels))
    (answer,) = served.engines[model].classify([request])
    assert not isinstance(answer, RecordError)
    assert (result["tokens"], result["model_revision"]) == (answer.tokens, answer.revision)
    if isinstance(answer, Prediction):
        assert tuple(one["label"] for one in result["scores"]) == answer.labels
        assert [one["score"] for one in result["scores"]] == pytest.approx(answer.scores, rel=1e-5)


def test_metadata_comes_back_digit_for_digit(client: TestClient) -> None:
    response = client.post("/classify", content=b'\xef\xbb\xbf{"text":"good","metadata":{"n":[1.0,1E5, 1.10]}}')
    assert b'"metadata":{"n":[1.0,1E5, 1.10]}}' in response.content


def test_model_comes_from_the_path(client: TestClient) -> None:
    assert client.post(f"/models/{TOPICS}/classify", json={"text": "good"}).json()["model"] == TOPICS


@pytest.mark.parametrize("given_id", [None, "", "with blank", "x" * 129, "\u00fc".encode()])
def test_unusable_request_id_is_replaced(client: TestClient, given_id: Any) -> None:
    headers = {} if given_id is None else {"x-request-id": given_id}
    made = client.post("/classify", json={"text": "good"}, headers=headers).json()["event_id"]
    assert made.startswith("http/")
    assert len(made) == len("http/") + 32


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b'{"text":"a"} x', 400, "invalid_json"),
        (b'{"text":"\xff"}', 400, "invalid_encoding"),
        (b'{"text":"\\ud800"}', 400, "invalid_text"),
        (b"\x00\x00\x00\x00\x01{}", 400, "unsupported_encoding"),
        (b'"text"', 422, "invalid_message"),
        (b'{"id":1}', 422, "invalid_message"),
        (b'{"text":1}', 422, "invalid_message"),
        (b'{"text":"a","text":"b"}', 422, "invalid_message"),
        (b'{"text":" "}', 422, "empty_text"),
        (b'{"text":null}', 422, "empty_text"),
        (b'{"text":"a","model":"nli"}', 422, "invalid_labels"),
        (b'{"text":"a","model":"nli","candidate_labels":["x","x"]}', 422, "invalid_labels"),
        (b'{"text":"a","model":"other"}', 404, "unknown_model"),
        (b'[{"text":"a"}', 400, "invalid_json"),
    ],
)
def test_wrong_message_is_refused_with_its_reason(client: TestClient, body: bytes, status: int, reason: str) -> None:
    assert refusal_of(client.post("/classify", content=body)) == (status, reason)


def test_model_that_contradicts_the_path_is_refused(client: TestClient) -> None:
    response = client.post(f"/models/{TOPICS}/classify", json={"text": "a", "model": CLASSIFIER})
    assert refusal_of(response) == (422, "invalid_message")
    assert response.json()["message"] == "model: another model than that of the path; leave out one"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Busy("b", 3), "busy"),
        (NotReady("n"), "not_ready"),
        (Late("l"), "late"),
        (TooManyTexts("t"), "too_many_texts"),
        (RequestRefused("x"), "internal_error"),
    ],
)
@pytest.mark.parametrize("body", [{"text": "good"}, [{"text": "good"}]])
def test_gateways_refusal_keeps_status_and_headers(
    client: TestClient, served: EngineServed, error: RequestRefused, reason: str, body: Any
) -> None:
    served.refusal = error
    response = client.post("/classify", json=body)
    assert refusal_of(response) == (error.status, reason)
    assert response.headers.get("retry-after") == error.headers.get("Retry-After")


def test_other_method_is_refused_by_the_schema(client: TestClient) -> None:
    assert refusal_of(client.get("/classify")) == (405, "method_not_allowed")


def test_list_gives_a_result_or_an_error_for_each(client: TestClient, served: EngineServed) -> None:
    messages = [
        {"text": "good", "id": 1},
        {"text": ""},
        {"text": "good", "model": TOPICS, "id": 2},
        {"text": "good", "model": "other"},
        {"text": "bad", "id": 3},
        {"text": "a", "model": NLI},
        7,
    ]
    response = client.post("/classify", json=messages, headers={"x-request-id": "r"})
    assert response.status_code == 200
    found = response.json()
    for one in found:
        jsonschema.validate(one, ERROR if "reason" in one else RESULT)
    reasons = [one.get("reason") for one in found]
    assert reasons == [None, "empty_text", None, "unknown_model", None, "invalid_labels", "invalid_message"]
    assert [(one["id"], one["event_id"]) for one in found if "id" in one] == [
        (1, "http/r/0"),
        (2, "http/r/2"),
        (3, "http/r/4"),
    ]
    assert [request.text for request in served.asked] == ["good", "bad", "good", "a"]


@pytest.mark.parametrize("several", [False, True])
def test_scores_come_in_the_wanted_order(client: TestClient, several: bool) -> None:
    for order, labels in (("model", ["a", "b", "c"]), ("score", ["c", "a", "b"])):
        message = {"text": "good", "top_k": 3}
        path = f"/models/{CLASSIFIER}/classify?scores_order={order}"
        found = client.post(path, json=[message] if several else message).json()
        result = found[0] if several else found
        jsonschema.validate(result, RESULT)
        assert [one["label"] for one in result["scores"]] == labels
        assert result.get("scores_order", "score") == order


def test_zero_shot_has_the_order_of_the_candidate_labels(client: TestClient) -> None:
    labels = ["z", "y", "x", "w"]
    message = {"text": "good", "candidate_labels": labels, "top_k": 4}
    found = client.post(f"/models/{NLI}/classify?scores_order=model", json=message).json()
    assert [one["label"] for one in found["scores"]] == labels


def test_unknown_order_is_refused(client: TestClient) -> None:
    assert refusal_of(client.post("/classify?scores_order=x", json={"text": "a"})) == (422, "invalid_message")


def test_unknown_model_of_the_path_refuses_the_whole_list(client: TestClient) -> None:
    assert refusal_of(client.post("/models/other/classify", json=[{"text": "a"}])) == (404, "unknown_model")


def test_list_of_too_many_wrong_messages_is_refused_whole(client: TestClient) -> None:
    assert refusal_of(client.post("/classify", content=b"[%b1]" % (b"1," * 1_024))) == (413, "too_many_texts")


def test_empty_list_gives_an_empty_list(client: TestClient) -> None:
    assert client.post("/classify", json=[]).json() == []


@pytest.mark.parametrize(("fault", "status"), [(Fault.CRASHES_MODEL, 422), (Fault.TOO_LARGE, 413)])
def test_failed_text_has_its_fault_as_reason(
    client: TestClient, served: EngineServed, monkeypatch: pytest.MonkeyPatch, fault: Fault, status: int
) -> None:
    async def fail(*_: Any) -> list[Answer]:
        await asyncio.sleep(0)
        return [RecordError(fault, "why")]

    monkeypatch.setattr(served, "answer", fail)
    assert refusal_of(client.post("/classify", json={"text": "a"})) == (status, fault.value)
    (item,) = client.post("/classify", json=[{"text": "a"}]).json()
    assert item["reason"] == fault.value


def test_openapi_shows_message_result_and_error(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    operation = described["paths"]["/classify"]["post"]
    single, several = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert single["properties"].keys() == json_schema("message")["properties"].keys()
    assert several["items"]["anyOf"][0] == single
    assert {"RequestError", "ClassificationResult"} <= described["components"]["schemas"].keys()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
MESSAGES = st.fixed_dictionaries(
    {"text": st.text(max_size=40) | JSON},
    optional={
        "model": st.sampled_from([CLASSIFIER, TOPICS, NLI, MASKED, EMBEDDER, "other"]) | JSON,
        "candidate_labels": st.lists(st.text(max_size=5), max_size=4) | JSON,
        "hypothesis_template": st.sampled_from(["{}", "{} {}", ""]) | JSON,
        "top_k": st.integers(-1, 9) | JSON,
        "multi_label": st.booleans() | JSON,
        "text_pair": st.text(max_size=9) | JSON,
        "id": JSON,
        "metadata": JSON,
    },
)
BODIES = st.binary(max_size=80) | (MESSAGES | JSON | st.lists(MESSAGES, max_size=4)).map(
    lambda value: json.dumps(value).encode()
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(BODIES)
def test_any_body_gets_a_result_or_an_error_by_schema(client: TestClient, body: bytes) -> None:
    response = client.post("/classify", content=body)
    found = response.json()
    if response.status_code == 200:
        for one in found if isinstance(found, list) else [found]:
            jsonschema.validate(one, ERROR if "reason" in one else RESULT)
    else:
        assert refusal_of(response)[0] in (400, 404, 413, 422)
