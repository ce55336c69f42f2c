"""What Triton's own client gets from a server."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tritonclient.utils import InferenceServerException

from labelstream.deploy.gateway.dialects.v2.router import JSON_LENGTH, router
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.deploy.gateway.served import Busy, NotReady
from labelstream.workers.classifier import Embedding, MaskFill, Prediction, Request
from tests.support.gateway import CLASSIFIER, EMBEDDER, MASKED, NLI, TOPICS, EngineServed, serving

TEXTS = ["good", "not bad at all"]


@pytest.fixture
def app(served: EngineServed) -> FastAPI:
    made = FastAPI()
    Envelopes(made).mount([router(served)])
    return made


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def remote(app: FastAPI) -> Iterator[triton.InferenceServerClient]:
    with serving(app) as url, triton.InferenceServerClient(url.removeprefix("http://")) as found:
        yield found


def tensor(texts: list[str], name: str = "text", binary: bool = True, column: bool = False) -> triton.InferInput:
    values = np.array([text.encode() for text in texts], np.object_)
    values = values.reshape(-1, 1) if column else values
    made = triton.InferInput(name, list(values.shape), "BYTES")
    return made.set_data_from_numpy(values, binary_data=binary)


def predictions(served: EngineServed, model: str, *requests: Request) -> list[Prediction]:
    answers = served.engines[model].classify(requests)
    return [answer for answer in answers if isinstance(answer, Prediction)]


def texts_of(found: Any) -> list[Any]:
    return (
        np.vectorize(bytes.decode)(found).tolist()
        if found.dtype == np.object_ and type(found.flat[0]) is bytes
        else found.tolist()
    )


@pytest.mark.parametrize("outputs", [None, True, False])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("column", [True, False])
def test_triton_reads_labels_in_each_form(
    remote: Any, served: EngineServed, outputs: bool | None, binary: bool, column: bool
) -> None:
    wanted = None
    if outputs is not None:
        wanted = [triton.InferRequestedOutput(name, binary_data=outputs) for name in ("score", "label")]
    result = remote.infer(CLASSIFIER, [tensor(TEXTS, binary=binary, column=column)], outputs=wanted, request_id="7")
    answers = predictions(served, CLASSIFIER, *map(Request, TEXTS))
    labels, scores = result.as_numpy("label"), result.as_numpy("score")
    assert labels.shape == scores.shape == ((2, 1) if column else (2,))
    assert np.ravel(texts_of(labels)).tolist() == [answer.labels[0] for answer in answers]
    assert scores.ravel() == pytest.approx([answer.scores[0] for answer in answers], rel=1e-5)
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("7", CLASSIFIER, answers[0].revision)
    if outputs is not None:
        assert [one["name"] for one in response["outputs"]] == ["score", "label"]


def test_top_k_gives_a_row_for_each_text(remote: Any, served: EngineServed) -> None:
    result = remote.infer(CLASSIFIER, [tensor(TEXTS)], parameters={"top_k": 2})
    answers = predictions(served, CLASSIFIER, *(Request(text, top_k=2) for text in TEXTS))
    assert texts_of(result.as_numpy("label")) == [list(answer.labels) for answer in answers]
    assert result.as_numpy("score").ravel() == pytest.approx([s for answer in answers for s in answer.scores], rel=1e-5)


def test_zero_shot_takes_labels_as_an_input(remote: Any, served: EngineServed) -> None:
    inputs = [tensor(TEXTS), tensor(["fine", "broken"], "candidate_labels")]
    parameters = {"top_k": 2, "multi_label": True, "hypothesis_template": "It is {}."}
    result = remote.infer(NLI, inputs, parameters=parameters)
    requests = (Request(text, None, 2, ("fine", "broken"), "It is {}.", True) for text in TEXTS)
    answers = predictions(served, NLI, *requests)
    assert texts_of(result.as_numpy("label")) == [list(answer.labels) for answer in answers]
    assert result.as_numpy("score").ravel() == pytest.approx([s for answer in answers for s in answer.scores], rel=1e-5)


def test_pair_of_texts_is_classified_together(remote: Any, served: EngineServed) -> None:
    result = remote.infer(CLASSIFIER, [tensor(TEXTS), tensor(["bad", "good"], "text_pair")])
    answers = predictions(served, CLASSIFIER, Request(TEXTS[0], "bad"), Request(TEXTS[1], "good"))
    assert result.as_numpy("score") == pytest.approx([answer.scores[0] for answer in answers], rel=1e-5)


def test_embeddings_come_as_a_matrix(remote: Any, served: EngineServed) -> None:
    found = remote.infer(EMBEDDER, [tensor(TEXTS)]).as_numpy("embedding")
    answers = [answer for answer in served.engines[EMBEDDER].classify(TEXTS) if isinstance(answer, Embedding)]
    assert found == pytest.approx(np.array([answer.vector for answer in answers]), abs=1e-5)


def test_embeddings_take_dimensions_and_normalize(remote: Any, served: EngineServed) -> None:
    found = remote.infer(EMBEDDER, [tensor(TEXTS)], parameters={"dimensions": 4, "normalize": True})
    requests = [Request(text, dimensions=4, normalize=True) for text in TEXTS]
    answers = [answer for answer in served.engines[EMBEDDER].classify(requests) if isinstance(answer, Embedding)]
    assert found.as_numpy("embedding") == pytest.approx(np.array([answer.vector for answer in answers]), abs=1e-5)
    assert found.as_numpy("embedding").shape == (2, 4)


def test_function_to_apply_none_gives_logits(remote: Any, served: EngineServed) -> None:
    found = remote.infer(CLASSIFIER, [tensor(TEXTS)], parameters={"function_to_apply": "none", "top_k": 3})
    answers = predictions(served, CLASSIFIER, *(Request(text, None, 3, function_to_apply="none") for text in TEXTS))
    assert found.as_numpy("score").ravel() == pytest.approx([s for answer in answers for s in answer.scores], rel=1e-5)


def test_parameter_of_another_task_is_422(remote: Any) -> None:
    with pytest.raises(InferenceServerException, match="dimensions") as caught:
        remote.infer(CLASSIFIER, [tensor(TEXTS)], parameters={"dimensions": 4})
    assert caught.value.status() == "422"


def test_fills_come_with_their_token_ids(remote: Any, served: EngineServed) -> None:
    result = remote.infer(MASKED, [tensor(["a [MASK] day"])], parameters={"top_k": 3})
    (answer,) = served.engines[MASKED].classify([Request("a [MASK] day", top_k=3)])
    assert isinstance(answer, MaskFill)
    assert result.as_numpy("token_id").tolist() == [[[fill.token_id for fill in answer.masks[0]]]]
    assert texts_of(result.as_numpy("label")) == [[[fill.token for fill in answer.masks[0]]]]


def test_triton_sees_health_and_metadata(remote: Any, served: EngineServed) -> None:
    assert remote.is_server_live()
    assert remote.is_server_ready()
    assert remote.is_model_ready(TOPICS)
    assert not remote.is_model_ready("other")
    assert remote.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    revision = served.engines[NLI].description.revision
    metadata = remote.get_model_metadata(NLI, revision)
    assert (metadata["name"], metadata["versions"]) == (NLI, [revision])
    assert [one["name"] for one in metadata["inputs"]] == ["text", "candidate_labels"]
    assert remote.infer(CLASSIFIER, [tensor(["good"])], model_version=served.engines[CLASSIFIER].description.revision)


def test_triton_raises_the_message_of_an_error(remote: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"no model other") as caught:
        remote.infer("other", [tensor(TEXTS)])
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="no version '1'; leave the version out"):
        remote.infer(CLASSIFIER, [tensor(TEXTS)], model_version="1")


def test_health_paths_answer_with_bodies(client: TestClient, served: EngineServed) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get(f"/v2/models/{TOPICS}/ready").json() == {"name": TOPICS, "ready": True}
    assert client.get("/v2/models").json() == {"models": list(served.engines)}
    served.refusal = NotReady("no replica")
    for path in ("/v2/health/ready", f"/v2/models/{TOPICS}/ready"):
        response = client.get(path)
        assert (response.status_code, response.json()["ready"]) == (503, False)


def body_of(*inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"inputs": [{"datatype": "BYTES", "shape": [1], "data": ["good"], **one} for one in inputs], **more}


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"", 400, "the body is not JSON"),
        (b"{", 400, "the body is not JSON"),
        (b"[]", 422, "body: must be an object"),
        (b"{}", 422, "inputs: Field required"),
        (b'{"inputs":[]}', 422, "inputs: List should have at least 1 item"),
        (body_of({}), 422, "inputs.0.name: Field required"),
        (body_of({"name": "other"}), 422, "inputs[0].name: must be text, text_pair or candidate_labels"),
        (body_of({"name": "text_pair"}), 422, "inputs: the input text is missing"),
        (body_of({"name": "text", "data": [" "]}), 422, "inputs.text[0]: the text is empty or blank"),
        (body_of({"name": "text", "data": [], "shape": [0]}), 422, "inputs: the shape of text must be"),
        (body_of({"name": "text", "shape": [1, 1, 1]}), 422, "inputs: the shape of text must be"),
        (body_of({"name": "text", "shape": [1] * 17}), 422, "inputs.0.shape: List should have at most 16 items"),
        (body_of({"name": "text", "shape": [2**31]}), 422, "inputs.0.shape.0: must be less than"),
        (body_of(*[{"name": "text"}] * 17), 422, "inputs: List should have at most 16 items"),
        (body_of({"name": "text"}, {"name": "text_pair", "shape": [1, 1]}), 422, "inputs: text_pair must have"),
        (body_of({"name": "text"}, parameters={"top_k": 0}), 422, "parameters.top_k: must be greater than"),
        (body_of({"name": "text"}, outputs=[{"name": "logits"}]), 422, "outputs[0].name: must be one of"),
    ],
)
def test_wrong_request_is_refused_by_its_field(client: TestClient, body: Any, status: int, problem: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body)
    response = client.post(f"/v2/models/{CLASSIFIER}/infer", content=content)
    assert response.status_code == status
    assert response.json().keys() == {"error"}
    assert response.json()["error"].startswith(problem)


def test_labels_that_repeat_are_refused(client: TestClient) -> None:
    labels = {"name": "candidate_labels", "data": ["a", "a"], "shape": [2]}
    response = client.post(f"/v2/models/{NLI}/infer", json=body_of({"name": "text"}, labels))
    assert (response.status_code, response.json()["error"][:16]) == (422, "candidate labels")


@pytest.mark.parametrize("length", ["-1", "x", "9999", "\u00b2", "1" * 20])
def test_wrong_length_of_the_json_is_refused(client: TestClient, length: str) -> None:
    headers = [(JSON_LENGTH.encode(), length.encode())]
    response = client.post(f"/v2/models/{CLASSIFIER}/infer", content=b"{}", headers=headers)
    assert (response.status_code, response.json()["error"][:31]) == (422, f"{JSON_LENGTH}:"[:31])


def test_busy_gateway_says_when_to_try_again(client: TestClient, served: EngineServed) -> None:
    served.refusal = Busy("2 requests are in flight", 3)
    response = client.post(f"/v2/models/{CLASSIFIER}/infer", json=body_of({"name": "text"}))
    assert (response.status_code, response.headers["retry-after"], response.json()["error"]) == (
        429,
        "3",
        "2 requests are in flight",
    )


def test_openapi_shows_the_request(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v2/models/{model}/infer"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert schema["properties"].keys() == {"id", "parameters", "inputs", "outputs"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
INPUTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["text", "text_pair", "candidate_labels"]) | JSON,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
        "datatype": st.sampled_from(["BYTES", "FP32"]) | JSON,
    },
    optional={
        "data": st.lists(st.text(max_size=9), max_size=3) | JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 20) | JSON}) | JSON,
    },
)
BODIES = st.fixed_dictionaries(
    {"inputs": st.lists(INPUTS, max_size=3) | JSON},
    optional={
        "id": JSON,
        "parameters": st.fixed_dictionaries(
            {}, optional={"top_k": st.integers(-1, 9) | JSON, "binary_data_output": st.booleans() | JSON}
        )
        | JSON,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["label", "score", "embedding"]) | JSON}))
        | JSON,
    },
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(
    st.sampled_from([CLASSIFIER, NLI, MASKED, EMBEDDER, "other"]),
    st.binary(max_size=60) | (BODIES | JSON).map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=30),
    st.none() | st.integers(-1, 100),
)
def test_any_body_gets_outputs_or_the_envelope(
    client: TestClient, model: str, body: bytes, binary: bytes, shift: int | None
) -> None:
    headers = {} if shift is None else {JSON_LENGTH: str(len(body) if shift % 3 else len(body) - shift)}
    response = client.post(f"/v2/models/{model}/infer", content=body + binary, headers=headers)
    if response.status_code == 200:
        length = int(response.headers.get(JSON_LENGTH, len(response.content)))
        assert json.loads(response.content[:length])["model_name"] == model
    else:
        assert response.status_code in (400, 404, 413, 422)
        assert response.json().keys() == {"error"}
