"""huggingface_hub's own client gets the answers of transformers' pipelines."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
import torch
import transformers
from fastapi import FastAPI
from fastapi.testclient import TestClient
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelstream.deploy.gateway.dialects.huggingface.router import router
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.served import Busy, NotReady
from tests.support.gateway import CLASSIFIER, EMBEDDER, MASKED, NLI, TOPICS, EngineServed, serving
from tests.support.models import TEXTS
from tests.support.request_bodies import JSON, WORDS, bodies

GOOD, BAD = TEXTS[0], TEXTS[5]
OLD_CLIENT = "unknown/None; hf_hub/1.1.4; python/3.11.2"


@pytest.fixture(scope="module")
def url(small: EngineServed) -> Iterator[str]:
    with serving(app_of(small)) as address:
        yield address


def app_of(served: EngineServed) -> FastAPI:
    app = FastAPI()
    Envelopes(app).mount([router(served)])
    return app


def client(url: str, model: str) -> InferenceClient:
    return InferenceClient(model=f"{url}/models/{model}")


def pipeline(small: EngineServed, task: Any, model: str) -> Any:
    source = small.engines[model].description.source
    return transformers.pipeline(task, source, dtype=torch.float32, device="cpu")


def post(url: str, path: str, inputs: Any, headers: dict[str, str] | None = None, **rest: Any) -> Any:
    return httpx.post(f"{url}{path}", json={"inputs": inputs, **rest}, headers=headers, timeout=60).json()


def approximately(expected: Any) -> Any:
    """`expected` with its scores to 1e-5."""
    if isinstance(expected, list):
        return [approximately(one) for one in expected]
    if isinstance(expected, dict):
        return {key: approximately(value) for key, value in expected.items()}
    return pytest.approx(expected, abs=1e-5) if isinstance(expected, float) else expected


def as_dicts(elements: Any) -> list[dict[str, Any]]:
    """The fields that the server sent; the client adds attributes without a value."""
    return [{key: value for key, value in dict(element).items() if value is not None} for element in elements]


@pytest.mark.parametrize("model", [CLASSIFIER, TOPICS])
@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"function_to_apply": "none"}, {"function_to_apply": "sigmoid"}])
def test_client_classifies_as_the_pipeline(small: EngineServed, url: str, model: str, options: dict[str, Any]) -> None:
    found = client(url, model).text_classification(GOOD, **options)
    expected = pipeline(small, "text-classification", model)(GOOD, **{"top_k": None, **options})
    assert as_dicts(found) == approximately(expected)


def test_one_text_is_answered_as_a_list_of_texts(url: str) -> None:
    (one,), (first, second) = post(url, f"/models/{CLASSIFIER}", GOOD), post(url, f"/models/{CLASSIFIER}", [GOOD, BAD])
    assert first == approximately(one)
    assert {entry["label"] for entry in second} == {"a", "b", "c"}


def test_pair_is_classified_as_the_pipeline(small: EngineServed, url: str) -> None:
    pair = {"text": GOOD, "text_pair": BAD}
    expected = pipeline(small, "text-classification", CLASSIFIER)(pair, top_k=None)
    assert post(url, f"/models/{CLASSIFIER}", pair) == [approximately(expected)]
    assert post(url, f"/models/{CLASSIFIER}", [pair]) == [approximately(expected)]


def test_older_parameter_asks_for_the_best_label(url: str) -> None:
    (best,) = post(url, f"/models/{CLASSIFIER}", GOOD, parameters={"return_all_scores": False})
    (every,) = post(url, f"/models/{CLASSIFIER}", GOOD, parameters={"return_all_scores": True})
    assert (len(best), len(every), best) == (1, 3, every[:1])


@pytest.mark.parametrize("multi_label", [False, True])
def test_client_gets_zero_shot_labels_of_the_pipeline(small: EngineServed, url: str, multi_label: bool) -> None:
    labels = [f"label {i}" for i in range(7)]
    template = "It is {}."
    found = client(url, NLI).zero_shot_classification(
        GOOD, labels, multi_label=multi_label, hypothesis_template=template
    )
    expected = pipeline(small, "zero-shot-classification", NLI)(
        GOOD, labels, multi_label=multi_label, hypothesis_template=template
    )
    assert [one.label for one in found] == expected["labels"]
    assert [one.score for one in found] == pytest.approx(expected["scores"], abs=1e-5)


@pytest.mark.parametrize("agent", ["hf_hub/0.36.2", "hf_hub/1.0.0", OLD_CLIENT])
def test_older_client_reads_one_object_for_a_text(small: EngineServed, url: str, agent: str) -> None:
    parameters = {"candidate_labels": ["x", "y"]}
    found = post(url, f"/models/{NLI}", GOOD, {"user-agent": agent}, parameters=parameters)
    assert found == approximately(pipeline(small, "zero-shot-classification", NLI)(GOOD, ["x", "y"]))
    assert post(url, f"/models/{NLI}", [GOOD], {"user-agent": agent}, parameters=parameters) == [found]


@pytest.mark.parametrize("agent", ["hf_hub/1.1.5", "hf_hub/1.2.0.dev0", "hf_hub/1.10.1", "hf_hub/2.4.0", "curl/8.5"])
def test_other_clients_read_labels_and_scores(url: str, agent: str) -> None:
    found = post(url, f"/models/{NLI}", [GOOD], {"user-agent": agent}, parameters={"candidate_labels": "x, y"})
    assert [sorted(entry) for entry in found[0]] == [["label", "score"]] * 2
    assert {entry["label"] for entry in found[0]} == {"x", "y"}


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"targets": ["good", "bad", "blender"]}])
def test_client_fills_as_the_pipeline(small: EngineServed, url: str, options: dict[str, Any]) -> None:
    text = "the [MASK] is quieter."
    found = client(url, MASKED).fill_mask(text, **options)
    assert as_dicts(found) == approximately(pipeline(small, "fill-mask", MASKED)(text, **options))


def test_masks_and_texts_nest_as_in_the_pipeline(small: EngineServed, url: str) -> None:
    texts = ["the [MASK] is [MASK]", "a [MASK]"]
    expected = pipeline(small, "fill-mask", MASKED)(texts)
    assert post(url, f"/models/{MASKED}", texts) == approximately(expected)
    assert post(url, f"/models/{MASKED}", texts[0]) == approximately(expected[0])


@pytest.mark.parametrize("normalize", [None, False, True])
@pytest.mark.parametrize("dimensions", [None, 5])
def test_client_embeds_as_the_pipeline(
    small: EngineServed, url: str, normalize: bool | None, dimensions: int | None
) -> None:
    found = client(url, EMBEDDER).feature_extraction([GOOD, BAD], normalize=normalize, dimensions=dimensions)
    tokens = pipeline(small, "feature-extraction", EMBEDDER)([GOOD, BAD])
    expected = np.array([np.array(one[0]).mean(0)[:dimensions] for one in tokens])
    if normalize:
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert found == pytest.approx(expected, abs=1e-5)
    one = client(url, EMBEDDER).feature_extraction(GOOD, normalize=normalize, dimensions=dimensions)
    assert one == pytest.approx(expected[:1], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "model"),
    [
        ({"inputs": GOOD}, CLASSIFIER),
        ({"inputs": GOOD, "parameters": {"function_to_apply": "none"}}, CLASSIFIER),
        ({"inputs": GOOD, "parameters": {"candidate_labels": ["x", "y"]}}, NLI),
        ({"inputs": "a [MASK]", "parameters": {"targets": "good"}}, MASKED),
        ({"inputs": [GOOD], "normalize": True}, EMBEDDER),
    ],
)
def test_bare_path_takes_the_model_of_the_parameters(url: str, body: dict[str, Any], model: str) -> None:
    found = httpx.post(url, json=body, timeout=60).json()
    assert found == httpx.post(f"{url}/models/{model}", json=body, timeout=60).json()


def test_path_may_name_the_task(url: str) -> None:
    path = f"/models/{EMBEDDER}/pipeline/feature-extraction"
    assert post(url, path, GOOD) == post(url, f"/models/{EMBEDDER}", GOOD)


def test_options_of_a_cache_and_a_user_change_nothing(url: str) -> None:
    headers = {"x-wait-for-model": "true", "x-use-cache": "0", "x-unknown": "1"}
    rest = {"options": {"wait_for_model": True, "use_cache": False}, "user": "me"}
    assert post(url, f"/models/{CLASSIFIER}", GOOD, headers, **rest) == post(url, f"/models/{CLASSIFIER}", GOOD)


def test_prompt_precedes_each_text(url: str) -> None:
    hf = client(url, EMBEDDER)
    assert hf.feature_extraction("good", prompt_name="query") == pytest.approx(hf.feature_extraction("query: good"))


LONG = "good " * 300


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/models/other", {"inputs": "a"}, 404, "no model other; the models are classifier,"),
        (f"/models/{NLI}/pipeline/fill-mask", {"inputs": "a"}, 422, "model: nli does not do fill-mask; masked does"),
        (f"/models/{NLI}/pipeline/summary", {"inputs": "a"}, 404, "unknown task 'summary'; the tasks are"),
        ("/", {"inputs": []}, 422, "inputs: must be a text, a pair"),
        ("/", {"inputs": [["a"]]}, 422, "inputs: must be a text, a pair"),
        ("/", {"inputs": ["a", " "]}, 422, "inputs[1]: the text is empty or blank"),
        ("/", {}, 422, "inputs: Field required"),
        ("/", {"inputs": "a", "parameters": {"topk": 1}}, 422, "parameters.topk: Extra inputs are not permitted"),
        ("/", {"inputs": "a", "parameters": {"top_k": 0}}, 422, "parameters.top_k: must be greater than or equal to 1"),
        (f"/models/{CLASSIFIER}", {"inputs": "a", "normalize": True}, 422, "inputs[0]: the task text-classification"),
        (f"/models/{MASKED}", {"inputs": "a"}, 422, "inputs[0]: the text has no [MASK]"),
        (
            f"/models/{NLI}",
            {"inputs": "a", "parameters": {"candidate_labels": ["x"] * 1_001}},
            422,
            "1001 candidate labels exceed",
        ),
        (f"/models/{NLI}", {"inputs": "a"}, 422, "inputs[0]: no candidate_labels"),
        (
            f"/models/{EMBEDDER}",
            {"inputs": "a", "prompt_name": "q"},
            422,
            "prompt_name: unknown prompt; the model's prompts are query",
        ),
        (f"/models/{EMBEDDER}", {"inputs": "a", "dimensions": 99}, 422, "inputs[0]: dimensions is 99; the model's"),
        (f"/models/{EMBEDDER}", {"inputs": LONG, "truncate": False}, 422, "inputs: the text has more than 64 tokens"),
        (f"/models/{EMBEDDER}", {"inputs": ["a", LONG], "truncate": False}, 413, "inputs[1]: the text has more than"),
        (
            f"/models/{EMBEDDER}",
            {"inputs": LONG, "truncate": True, "truncation_direction": "left"},
            422,
            "truncation_direction: this model does not cut texts off on the left",
        ),
    ],
)
def test_error_names_the_field(url: str, path: str, body: Any, status: int, message: str) -> None:
    response = httpx.post(f"{url}{path}", json=body, timeout=60)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert response.json()["error"].startswith(message)


def test_client_shows_the_error(url: str) -> None:
    with pytest.raises(HfHubHTTPError, match="the text has no"):
        client(url, MASKED).fill_mask("nothing to fill")


@pytest.mark.parametrize(("refusal", "status"), [(Busy("busy", 3), 429), (NotReady("not ready", 3), 503)])
def test_refusal_of_the_gateway_keeps_its_headers(served: EngineServed, refusal: Any, status: int) -> None:
    served.refusal = refusal
    response = TestClient(app_of(served)).post("/", json={"inputs": "a"})
    assert (response.status_code, response.headers["retry-after"]) == (status, "3")
    assert response.json() == {"error": refusal.message}


BODIES = bodies(
    inputs=WORDS | st.lists(WORDS, max_size=3) | st.fixed_dictionaries({"text": WORDS, "text_pair": WORDS}),
    parameters=bodies(
        top_k=st.integers(0, 5),
        function_to_apply=st.sampled_from(["softmax", "sigmoid", "none", "tanh"]),
        candidate_labels=st.lists(WORDS, max_size=3) | WORDS,
        hypothesis_template=st.sampled_from(["{}", "it is {}", "{} {}", ""]),
        multi_label=st.booleans(),
        targets=st.lists(WORDS, max_size=3) | WORDS,
        return_all_scores=st.booleans(),
    ),
    normalize=st.booleans(),
    truncate=st.booleans(),
    truncation_direction=st.sampled_from(["left", "right"]),
    dimensions=st.integers(0, 40),
    prompt_name=st.just("query") | WORDS,
    options=JSON,
)
PATHS = ("/", *(f"/models/{name}" for name in (CLASSIFIER, TOPICS, NLI, MASKED, EMBEDDER, "other")))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=BODIES, path=st.sampled_from(PATHS), agent=st.sampled_from(["curl/8.5", OLD_CLIENT]))
def test_any_body_gets_an_answer_or_the_envelope(small: EngineServed, body: Any, path: str, agent: str) -> None:
    http = TestClient(app_of(small), raise_server_exceptions=False)
    content = json.dumps(body)
    headers = {"content-type": "application/json", "user-agent": agent}
    response = http.post(path, content=content, headers=headers)
    assert response.status_code in {200, 400, 404, 413, 422}, response.text
    if response.status_code != 200:
        assert list(response.json()) == ["error"]
