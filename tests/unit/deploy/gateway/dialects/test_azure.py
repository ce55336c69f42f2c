"""The bodies of Azure's published samples, and the answers that their notebooks read."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelstream.deploy.gateway.dialects.azure import router
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.served import Busy
from labelstream.workers.classifier import Prediction
from tests.support.gateway import CLASSIFIER, EMBEDDER, NLI, TOPICS, EngineServed

TEXTS = ["good", "not bad at all"]


@pytest.fixture
def client(served: EngineServed) -> Iterator[TestClient]:
    app = FastAPI()
    Envelopes(app).mount([router(served)])
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def expected(served: EngineServed) -> list[list[tuple[str, float]]]:
    """Labels and scores of TEXTS, best first."""
    return pairs(served.engines[CLASSIFIER].classify(TEXTS))


def pairs(answers: Any) -> list[list[tuple[str, float]]]:
    assert all(isinstance(answer, Prediction) for answer in answers)
    return [list(zip(answer.labels, answer.scores, strict=True)) for answer in answers]


def same(found: list[Any], wanted: list[tuple[str, float]]) -> None:
    assert [one["label"] for one in found] == [label for label, _ in wanted]
    assert [one["score"] for one in found] == pytest.approx([score for _, score in wanted], rel=1e-5)


@pytest.mark.parametrize("body", [{"input_data": TEXTS}, {"inputs": {"input_string": TEXTS}}])
def test_each_text_gets_its_best_label(client: TestClient, expected: Any, body: dict[str, Any]) -> None:
    response = client.post("/score", json=body)
    assert response.status_code == 200
    same(response.json(), [scores[0] for scores in expected])


def test_input_string_in_input_data_gets_labels_alone(client: TestClient, expected: Any) -> None:
    found = client.post("/score", json={"input_data": {"input_string": TEXTS}}).json()
    assert found == [{"0": scores[0][0]} for scores in expected]


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"return_all_scores": True}, 3),
        ({"top_k": 2}, 2),
        ({"top_k": 9}, 3),
        ({"top_k": 1}, 1),
        ({"top_k": None}, 3),
        ({"return_all_scores": True, "truncation": True, "batch_size": 8}, 3),
    ],
)
def test_several_labels_come_as_a_list_for_each_text(
    client: TestClient, served: EngineServed, params: dict[str, Any], count: int
) -> None:
    found = client.post("/score", json={"input_data": TEXTS, "params": params}).json()
    (request, *_) = served.asked
    answers = pairs(served.engines[CLASSIFIER].classify([request._replace(text=text) for text in TEXTS]))
    assert [len(scores) for scores in found] == [count, count]
    for scores, wanted in zip(found, answers, strict=True):
        same(scores, wanted)


@pytest.mark.parametrize("place", ["header", "path"])
def test_model_is_named_by_header_or_path(client: TestClient, served: EngineServed, place: str) -> None:
    path, headers = (
        ("/score", {"azureml-model-deployment": TOPICS}) if place == "header" else (f"/models/{TOPICS}/score", {})
    )
    found = client.post(path, json={"input_data": ["good"]}, headers=headers).json()
    same(found, pairs(served.engines[TOPICS].classify(["good"]))[0][:1])


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 422, "body: Field required"),
        (b"{", 400, "the body is not JSON; send a JSON object"),
        (b"{}", 422, "body: give one of input_data and inputs"),
        (b'{"input_data":["a"],"inputs":{"input_string":["a"]}}', 422, "body: give one of input_data and inputs"),
        (b'{"input":["a"]}', 422, "body: unknown field input; did you mean inputs?"),
        (b'{"inputdata":["a"]}', 422, "body: unknown field inputdata; did you mean input_data?"),
        (b'{"input_data":["a",1]}', 422, "input_data: must be a list of texts, or {"),
        (b'{"input_data":["a",""]}', 422, "input_data[1]: the text is empty or blank"),
        (b'{"inputs":{"input_string":[" "]}}', 422, "inputs.input_string[0]: the text is empty or blank"),
        (b'{"inputs":{"texts":["a"]}}', 422, "inputs.input_string: Field required"),
        (b'{"input_data":["a"],"params":{"top_k":0}}', 422, "params.top_k"),
        (b'{"input_data":["\\ud800"]}', 422, "input_data"),
    ],
)
def test_wrong_body_is_refused_by_its_field(client: TestClient, body: bytes, status: int, message: str) -> None:
    response = client.post("/score", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert response.json()["message"].startswith(message)


def test_unknown_model_is_404_and_names_the_known_ones(client: TestClient) -> None:
    response = client.post("/models/other/score", json={"input_data": ["good"]})
    assert (response.status_code, TOPICS in response.json()["message"]) == (404, True)


def test_model_of_another_task_is_refused(client: TestClient) -> None:
    response = client.post("/score", json={"input_data": ["a"]}, headers={"azureml-model-deployment": EMBEDDER})
    assert (response.status_code, CLASSIFIER in response.json()["message"]) == (422, True)


def test_zero_shot_without_labels_names_the_text(client: TestClient) -> None:
    response = client.post(f"/models/{NLI}/score", json={"input_data": ["good"]})
    assert (response.status_code, response.json()["message"][:14]) == (422, "input_data[0]:")


def test_busy_gateway_says_when_to_try_again(client: TestClient, served: EngineServed) -> None:
    served.refusal = Busy("2 requests are in flight", 3)
    response = client.post("/score", json={"input_data": ["good"]})
    assert (response.status_code, response.headers["retry-after"]) == (429, "3")
    assert response.json() == {"message": "2 requests are in flight"}


def test_no_texts_give_no_answers(client: TestClient) -> None:
    assert client.post("/score", json={"input_data": []}).json() == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
INPUTS = st.lists(st.text(max_size=20), max_size=4) | JSON
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "input_data": INPUTS | st.fixed_dictionaries({"input_string": INPUTS}),
        "inputs": INPUTS | st.fixed_dictionaries({"input_string": INPUTS}),
        "params": JSON
        | st.fixed_dictionaries(
            {}, optional={"top_k": st.integers() | JSON, "return_all_scores": st.booleans() | JSON}
        ),
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60) | (BODIES | JSON).map(lambda value: json.dumps(value).encode()))
def test_any_body_gets_scores_or_the_envelope(client: TestClient, body: bytes) -> None:
    response = client.post("/score", content=body, headers={"content-type": "application/json"})
    found = response.json()
    if response.status_code == 200:
        assert isinstance(found, list)
    else:
        assert response.status_code in (400, 413, 422)
        assert found.keys() == {"message"}
