"""Requests and answers are those of text-embeddings-inference's OpenAPI description (version 1.9.3)."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import jsonschema
import numpy as np
import pytest
import torch
import transformers
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelstream.deploy.gateway.dialects.tei.router import router
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.served import Busy, NotReady
from tests.support.gateway import CLASSIFIER, EMBEDDER, MASKED, NLI, TOPICS, EngineServed, serving
from tests.support.models import TEXTS
from tests.support.request_bodies import WORDS, bodies

GOOD, BAD = TEXTS[0], TEXTS[5]
ERROR_TYPES = ("Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty")
LABELS = {
    "type": "object",
    "required": ["id2label", "label2id"],
    "properties": {
        "id2label": {"type": "object", "additionalProperties": {"type": "string"}},
        "label2id": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
    },
}
POOLING = {"type": "object", "required": ["pooling"], "properties": {"pooling": {"type": "string"}}}
SIZE, TEXT, OPTIONAL_TEXT = {"type": "integer", "minimum": 0}, {"type": "string"}, {"type": ["string", "null"]}
INFO = {  # components.schemas.Info of the description
    "type": "object",
    "required": [
        "model_id",
        "model_dtype",
        "served_model_name",
        "model_type",
        "max_concurrent_requests",
        "max_input_length",
        "max_batch_tokens",
        "max_client_batch_size",
        "auto_truncate",
        "tokenization_workers",
        "version",
    ],
    "additionalProperties": False,
    "properties": {
        "auto_truncate": {"type": "boolean"},
        "docker_label": OPTIONAL_TEXT,
        "max_batch_requests": {"type": ["integer", "null"]},
        "max_batch_tokens": SIZE,
        "max_client_batch_size": SIZE,
        "max_concurrent_requests": SIZE,
        "max_input_length": SIZE,
        "model_dtype": TEXT,
        "model_id": TEXT,
        "model_sha": OPTIONAL_TEXT,
        "model_type": {
            "oneOf": [
                {"type": "object", "required": ["classifier"], "properties": {"classifier": LABELS}},
                {"type": "object", "required": ["embedding"], "properties": {"embedding": POOLING}},
            ]
        },
        "served_model_name": TEXT,
        "sha": OPTIONAL_TEXT,
        "tokenization_workers": SIZE,
        "version": TEXT,
    },
}


@pytest.fixture(scope="module")
def url(small: EngineServed) -> Iterator[str]:
    with serving(app_of(small)) as address:
        yield address


def app_of(served: EngineServed) -> FastAPI:
    app = FastAPI()
    Envelopes(app).mount([router(served)])
    return app


def pipeline(small: EngineServed, task: Any, model: str) -> Any:
    source = small.engines[model].description.source
    return transformers.pipeline(task, source, dtype=torch.float32, device="cpu")


def post(url: str, path: str, inputs: Any, **rest: Any) -> Any:
    response = httpx.post(f"{url}{path}", json={"inputs": inputs, **rest}, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def scores(expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"score": pytest.approx(one["score"], abs=1e-5), "label": one["label"]} for one in expected]


@pytest.mark.parametrize("model", [CLASSIFIER, TOPICS])
@pytest.mark.parametrize("raw", [False, True])
def test_predict_equals_the_pipeline(small: EngineServed, url: str, model: str, raw: bool) -> None:
    oracle, path = pipeline(small, "text-classification", model), f"/models/{model}/predict"
    options = {"top_k": None, **({"function_to_apply": "none"} if raw else {})}
    one, both = scores(oracle(GOOD, **options)), scores(oracle({"text": GOOD, "text_pair": BAD}, **options))
    assert post(url, path, GOOD, raw_scores=raw) == one
    assert post(url, path, [GOOD], raw_scores=raw) == one
    assert post(url, path, [GOOD, BAD], raw_scores=raw) == both
    assert post(url, path, [[GOOD], [GOOD, BAD]], raw_scores=raw) == [one, both]
    assert post(url, path, [[GOOD]], raw_scores=raw) == [one]


def test_embed_equals_the_pipeline(small: EngineServed, url: str) -> None:
    tokens = pipeline(small, "feature-extraction", EMBEDDER)([GOOD, BAD])
    plain = np.array([np.array(one[0]).mean(0) for one in tokens])
    for dimensions in (None, 4):
        cut = plain[:, :dimensions]
        scaled = cut / np.linalg.norm(cut, axis=1, keepdims=True)
        rest = {} if dimensions is None else {"dimensions": dimensions}
        assert np.array(post(url, "/embed", [GOOD, BAD], **rest)) == pytest.approx(scaled, abs=1e-5)
        assert np.array(post(url, "/embed", GOOD, **rest)) == pytest.approx(scaled[:1], abs=1e-5)
        assert np.array(post(url, "/embed", GOOD, normalize=False, **rest)) == pytest.approx(cut[:1], abs=1e-5)


def test_prompt_precedes_each_text(url: str) -> None:
    expected = post(url, "/embed", ["query: good", "query: bad"])
    assert np.array(post(url, "/embed", ["good", "bad"], prompt_name="query")) == pytest.approx(np.array(expected))


LONG = "good " * 300


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "message"),
    [
        ("/predict", {"inputs": ["a", "b", "c"]}, 422, "Validation", 'inputs: must be a text, a pair ["a", "b"], or'),
        ("/predict", {"inputs": []}, 422, "Validation", "inputs: must be a text, a pair"),
        ("/predict", {"inputs": [["a"], "b"]}, 422, "Validation", "inputs: must be a text, a pair"),
        ("/predict", {"inputs": [["a"], []]}, 422, "Validation", "inputs: must be a text, a pair"),
        ("/predict", {"inputs": ""}, 422, "Validation", "inputs[0]: the text is empty or blank"),
        ("/predict", {"inputs": "a", "raw_scores": "x"}, 422, "Validation", "raw_scores: must be a valid boolean"),
        ("/predict", {"inputs": LONG, "truncate": False}, 422, "Validation", "inputs: the text has more than 64"),
        ("/predict", {"inputs": [["a"], [LONG]], "truncate": False}, 413, "Validation", "inputs[1]: the text has more"),
        (
            "/predict",
            {"inputs": LONG, "truncation_direction": "Left"},
            422,
            "Validation",
            "truncation_direction: this model does not cut",
        ),
        (f"/models/{EMBEDDER}/predict", {"inputs": "a"}, 422, "Validation", "model: embedder does not do text-class"),
        ("/models/other/predict", {"inputs": "a"}, 404, "Validation", "no model other; the models are"),
        ("/embed", {"inputs": []}, 400, "Empty", "inputs: the list is empty"),
        ("/embed", {"inputs": [1]}, 422, "Validation", "inputs: must be a text or a list of texts"),
        ("/embed", {"inputs": "a", "dimensions": 0}, 422, "Validation", "dimensions: must be greater than or equal"),
        ("/embed", {"inputs": "a", "dimensions": 99}, 422, "Tokenizer", "inputs[0]: dimensions is 99; the model's"),
        ("/embed", {"inputs": "a", "prompt_name": "x"}, 422, "Validation", "prompt_name: unknown prompt; the model's"),
        ("/embed", {"inputs": LONG, "truncate": False}, 422, "Validation", "inputs: the text has more than 64"),
    ],
)
def test_error_has_its_type(url: str, path: str, body: Any, status: int, kind: str, message: str) -> None:
    response = httpx.post(f"{url}{path}", json=body, timeout=60)
    assert response.status_code == status
    assert list(response.json()) == ["error", "error_type"]
    assert response.json()["error"].startswith(message)
    assert response.json()["error_type"] == kind


@pytest.mark.parametrize("direction", ["Right", "right", None])
def test_long_text_is_truncated_unless_refused(url: str, direction: str | None) -> None:
    rest = {} if direction is None else {"truncation_direction": direction}
    assert post(url, "/predict", LONG, truncate=True, **rest) == post(url, "/predict", LONG)


@pytest.mark.parametrize(
    ("refusal", "status", "kind"),
    [(Busy("busy", 3), 429, "Overloaded"), (NotReady("not ready", 3), 503, "Unhealthy")],
)
def test_refusal_of_the_gateway_has_its_type(served: EngineServed, refusal: Any, status: int, kind: str) -> None:
    served.refusal = refusal
    response = TestClient(app_of(served)).post("/predict", json={"inputs": "a"})
    assert (response.status_code, response.headers["retry-after"]) == (status, "3")
    assert response.json() == {"error": refusal.message, "error_type": kind}


@pytest.mark.parametrize("path", ["/info", f"/models/{TOPICS}/info", f"/models/{EMBEDDER}/info"])
def test_info_has_the_published_schema(url: str, path: str) -> None:
    found = httpx.get(f"{url}{path}", timeout=60).json()
    jsonschema.validate(found, INFO)
    assert found["model_dtype"] == "float32"


def test_info_of_another_task_is_refused(url: str) -> None:
    assert httpx.get(f"{url}/models/{NLI}/info", timeout=60).status_code == 422


def test_health_is_200_or_503(served: EngineServed) -> None:
    http = TestClient(app_of(served))
    healthy = http.get("/health")
    assert (healthy.status_code, healthy.content) == (200, b"")
    served.refusal = NotReady("draining")
    assert http.get("/health").status_code == 503
    assert http.get("/health").json() == {"error": "unhealthy", "error_type": "Unhealthy"}


def test_metrics_count_requests_and_texts(served: EngineServed) -> None:
    http = TestClient(app_of(served))
    http.post("/predict", json={"inputs": GOOD})
    http.post("/predict", json={"inputs": [[GOOD], [BAD]]})
    http.post("/embed", json={"inputs": []})
    response = http.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = response.text.splitlines()
    assert 'te_request_count{method="single"} 1' in lines
    assert 'te_request_count{method="batch"} 2' in lines
    assert 'te_request_success{method="batch"} 1' in lines
    assert 'te_request_failure{err="validation"} 1' in lines
    assert "te_predict_success 3" in lines
    assert "te_request_input_length_count 3" in lines


PREDICT = bodies(
    inputs=WORDS | st.lists(WORDS, max_size=3) | st.lists(st.lists(WORDS, max_size=3), max_size=3),
    raw_scores=st.booleans(),
    truncate=st.booleans(),
    truncation_direction=st.sampled_from(["Left", "Right", "left"]),
)
EMBED = bodies(
    inputs=WORDS | st.lists(WORDS, max_size=3),
    normalize=st.booleans(),
    truncate=st.booleans(),
    dimensions=st.integers(0, 40),
    prompt_name=st.just("query") | WORDS,
)
MODELS = ("", *(f"/models/{name}" for name in (CLASSIFIER, TOPICS, NLI, MASKED, EMBEDDER, "other")))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    request=st.tuples(st.just("/predict"), PREDICT) | st.tuples(st.just("/embed"), EMBED), model=st.sampled_from(MODELS)
)
def test_any_body_gets_an_answer_or_the_envelope(small: EngineServed, request: tuple[str, Any], model: str) -> None:
    path, body = request
    http = TestClient(app_of(small), raise_server_exceptions=False)
    response = http.post(model + path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code in {200, 400, 404, 413, 422}, response.text
    if response.status_code != 200:
        assert list(response.json()) == ["error", "error_type"]
        assert response.json()["error_type"] in ERROR_TYPES
