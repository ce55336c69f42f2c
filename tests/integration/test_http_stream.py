"""One `labelstream run` with a stream and HTTP: every dialect gives the scores of the output topic, and the death of
replicas loses no request.
"""

import json
import os
import random
import signal
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from labelstream import Client
from labelstream.workers.engine.description import TaskName
from tests.kafka import Broker
from tests.kafka.broker import free_port
from tests.support.gateway import CLASSIFIER, EMBEDDER, ENTAILMENT, MASKED, NLI
from tests.support.gateway import TOPICS as INDEPENDENT
from tests.support.models import TEXTS, build
from tests.support.running_command import RunningCommand
from tests.support.streams import Topics, committed, produce, read_letters, read_results, wait_until

pytestmark = [pytest.mark.timeout(600), pytest.mark.ray, pytest.mark.long]
Message = dict[str, Any]
COUNT = 200  # texts for each model
WORDS = (*" ".join(TEXTS).split(), "日本語", "नमस्ते", "مرحبا", "👩🏽‍🚀", "e\u0301", "\u200d", "ﬁ", "Ω", "\u00a0", "\x07")
LENGTHS = (1, 2, 5, 12, 40, 150)  # words; the models take 64 tokens
CLASSIFIERS, ALL = (CLASSIFIER, INDEPENDENT), (CLASSIFIER, INDEPENDENT, NLI, MASKED, EMBEDDER)
PLACES = 16  # requests in flight
BLANK = "\u2003"


def messages_for(model: str) -> list[Message]:
    """Different texts of all lengths; each third one of a classifier has a second text."""
    chooser = random.Random(model)
    found: list[Message] = []
    for number in range(COUNT):
        words = chooser.choices(WORDS, k=chooser.choice(LENGTHS))
        text = " ".join([f"{number}" if model != MASKED else f"[MASK] {number}", *words])
        message = {"id": f"{model}/{number}", "model": model, "text": text}
        if model in CLASSIFIERS and number % 3 == 0:
            message["text_pair"] = " ".join(chooser.choices(WORDS, k=7))
        found.append(message)
    return found


class Running:
    """The application, and the results of its output topic by message id."""

    def __init__(self, folder: Path, bootstrap: str, topics: Topics) -> None:
        self.bootstrap, self.topics, self.port = bootstrap, topics, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.messages = {model: messages_for(model) for model in ALL}
        config = folder / "labelstream.yaml"
        config.write_text(yaml.safe_dump(self._tree(folder)))
        self.run = RunningCommand("run", "-c", str(config))
        records = [message for messages in self.messages.values() for message in messages]
        records.append({"id": "blank", "model": CLASSIFIER, "text": BLANK})
        produce(bootstrap, topics.input, [(None, json.dumps(record).encode()) for record in records])
        self.records = len(records)
        self.run.until("everything runs", 300)
        found = read_results(bootstrap, topics.output, self.records - 1, 300)
        self.results: Mapping[str, Message] = {result["id"]: result for result in found}
        self.http = httpx2.Client(base_url=self.url, timeout=120)

    def post(self, path: str, body: Any) -> Any:
        response = self.http.post(path, json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def results_of(self, messages: Sequence[Message]) -> list[Message]:
        return [self.results[message["id"]] for message in messages]

    def replicas(self, part: str) -> list[int]:
        """Process ids of a deployment's replicas. Ray adds the running method to the names of actors."""
        return [process for process, line in self.run.processes().items() if "ray::" in line and f":{part}" in line]

    def _tree(self, folder: Path) -> dict[str, Any]:
        labels = ("x", "y", "z")
        sources = {
            CLASSIFIER: (build(folder / CLASSIFIER, labels=("a", "b", "c")), {"top_k": None}),
            INDEPENDENT: (
                build(folder / INDEPENDENT, "roberta", labels=labels, problem_type="multi_label_classification"),
                {"top_k": None},
            ),
            NLI: (
                build(folder / NLI, "bert", labels=ENTAILMENT),
                {"task": TaskName.ZERO_SHOT.value, "candidate_labels": ["refund", "delivery"], "top_k": None},
            ),
            MASKED: (build(folder / MASKED, "bert", architecture="ForMaskedLM"), {"task": TaskName.FILL_MASK.value}),
            EMBEDDER: (build(folder / EMBEDDER, "mpnet", architecture="Model"), {"task": TaskName.EMBEDDING.value}),
        }
        every = {"device": "cpu", "dtype": "float32", "backend": "torch"}
        return {
            "kafka": {"bootstrap_servers": self.bootstrap},
            "models": {
                name: {"source": str(source), **every, **options} for name, (source, options) in sources.items()
            },
            "pipelines": {
                "all": {
                    "input": self.topics.input,
                    "output": self.topics.output,
                    "dead_letter": self.topics.dead_letter,
                    "group_id": self.topics.input,
                    "model": CLASSIFIER,
                    "models": list(ALL),
                }
            },
            "http": {"port": self.port, "max_ongoing_requests": PLACES},
        }


@pytest.fixture(scope="module")
def running(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    name = f"http-stream-{os.getpid()}"
    topics = Topics(f"{name}-in", f"{name}-out", f"{name}-dead")
    for topic in (topics.input, topics.output, topics.dead_letter):
        kafka.create_topic(topic, 1, None)
    made = Running(tmp_path_factory.mktemp("http-stream"), kafka.bootstrap, topics)
    yield made
    made.run.process.send_signal(signal.SIGINT)
    made.run.wait(120)


def scores_of(scores: Sequence[Message]) -> Any:
    return pytest.approx({one["label"]: one["score"] for one in scores}, abs=1e-5)


def singles(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if "text_pair" not in message]


def assert_scores(answers: Sequence[Sequence[Message]], results: Sequence[Message]) -> None:
    """Each answer has all labels of its result."""
    for answer, result in zip(answers, results, strict=True):
        assert {one["label"]: one["score"] for one in answer} == scores_of(result["scores"])


@pytest.mark.parametrize("model", ALL)
def test_own_results_equal_those_of_the_topic(running: Running, model: str) -> None:
    messages = running.messages[model]
    answers = running.post("/classify", messages)
    for answer, result in zip(answers, running.results_of(messages), strict=True):
        assert answer.keys() == result.keys()
        for name in ("id", "model", "model_revision", "task", "tokens", "truncated", "labels", "label", "abstained"):
            assert answer.get(name) == result.get(name)
        if "scores" in result:
            assert {one["label"]: one["score"] for one in answer["scores"]} == scores_of(result["scores"])
        if "embedding" in result:
            assert answer["embedding"] == pytest.approx(result["embedding"], abs=1e-5)
        for mask, expected in zip(answer.get("masks", ()), result.get("masks", ()), strict=True):
            assert [one["score"] for one in mask] == pytest.approx([one["score"] for one in expected], abs=1e-5)
    assert {result["truncated"] for result in running.results_of(messages)} == {True, False}


@pytest.mark.parametrize("model", [CLASSIFIER, INDEPENDENT, NLI])
def test_azure_scores_equal_those_of_the_topic(running: Running, model: str) -> None:
    messages = singles(running.messages[model])
    body = {"input_data": [message["text"] for message in messages], "params": {"top_k": None}}
    assert_scores(running.post(f"/models/{model}/score", body), running.results_of(messages))


@pytest.mark.parametrize("model", [CLASSIFIER, INDEPENDENT, NLI])
def test_huggingface_scores_equal_those_of_the_topic(running: Running, model: str) -> None:
    messages = running.messages[model]
    inputs = [
        {"text": message["text"], "text_pair": message["text_pair"]} if "text_pair" in message else message["text"]
        for message in messages
    ]
    assert_scores(running.post(f"/models/{model}", {"inputs": inputs}), running.results_of(messages))


def test_huggingface_fills_equal_those_of_the_topic(running: Running) -> None:
    messages = running.messages[MASKED]
    answers = running.post(f"/models/{MASKED}", {"inputs": [message["text"] for message in messages]})
    for answer, result in zip(answers, running.results_of(messages), strict=True):
        (expected,) = result["masks"]
        assert [one["score"] for one in answer] == pytest.approx([one["score"] for one in expected], abs=1e-5)


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_tei_scores_equal_those_of_the_topic(running: Running, model: str) -> None:
    messages = running.messages[model]
    inputs = [[message[name] for name in ("text", "text_pair") if name in message] for message in messages]
    assert_scores(running.post(f"/models/{model}/predict", {"inputs": inputs}), running.results_of(messages))


@pytest.mark.parametrize("path", ["/embed", f"/models/{EMBEDDER}"])
def test_vectors_equal_those_of_the_topic(running: Running, path: str) -> None:
    messages = running.messages[EMBEDDER]
    answers = running.post(path, {"inputs": [message["text"] for message in messages], "normalize": False})
    for answer, result in zip(answers, running.results_of(messages), strict=True):
        assert answer == pytest.approx(result["embedding"], abs=1e-5)


@pytest.mark.parametrize("model", [CLASSIFIER, INDEPENDENT, NLI])
@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_v2_scores_equal_those_of_the_topic(running: Running, model: str, pairs: bool) -> None:
    messages = [message for message in running.messages[model] if ("text_pair" in message) == pairs]
    if not messages:
        assert model == NLI
        return
    body = {"inputs": _tensors(messages), "parameters": {"top_k": 3}}
    outputs = {one["name"]: one for one in running.post(f"/v2/models/{model}/infer", body)["outputs"]}
    columns = outputs["label"]["shape"][1]
    flat = [
        {"label": label, "score": score}
        for label, score in zip(outputs["label"]["data"], outputs["score"]["data"], strict=True)
    ]
    rows = [flat[start : start + columns] for start in range(0, len(flat), columns)]
    assert_scores(rows, running.results_of(messages))


def test_v2_vectors_equal_those_of_the_topic(running: Running) -> None:
    messages = running.messages[EMBEDDER]
    (output,) = running.post(f"/v2/models/{EMBEDDER}/infer", {"inputs": _tensors(messages)})["outputs"]
    assert output["data"] == pytest.approx(
        [one for result in running.results_of(messages) for one in result["embedding"]], abs=1e-5
    )


def _tensors(messages: Sequence[Message]) -> list[Message]:
    names = [name for name in ("text", "text_pair") if name in messages[0]]
    return [
        {"name": name, "shape": [len(messages)], "datatype": "BYTES", "data": [message[name] for message in messages]}
        for name in names
    ]


def test_requests_leave_offsets_and_dead_letters_alone(running: Running) -> None:
    """After the requests of the other tests, and of a blank and a wrong one."""
    for body in ({"text": BLANK}, {"text": 1}, {"text": "a", "model": MASKED}):
        assert running.http.post("/classify", json=body).status_code == 422
    letters = read_letters(running.bootstrap, running.topics.dead_letter, 1)
    assert len(letters) == 1  # of the blank message
    group = running.topics.input
    wait_until(
        lambda: committed(running.bootstrap, group, running.topics.input) == {0: running.records}, 60, "the offsets"
    )
    assert "paused" not in running.run.output


def test_client_that_is_gone_frees_its_place(running: Running) -> None:
    """The frozen model answers nobody. `http.timeout_s` would end the calls after a minute."""
    body = json.dumps({"input_data": ["good"]}).encode()
    head = f"POST /models/{CLASSIFIER}/score HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    sent = head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    (replica,) = running.replicas(f"model-{CLASSIFIER}")
    os.kill(replica, signal.SIGSTOP)
    try:
        clients = [socket.create_connection(("127.0.0.1", running.port), 30) for _ in range(PLACES)]
        for client in clients:
            client.sendall(sent)
        wait_until(lambda: running.http.get("/v2/models").status_code == 429, 10, "a full gateway")
        for client in clients:
            client.close()
        wait_until(lambda: running.http.get("/v2/models").status_code == 200, 20, "a free place")
    finally:
        os.kill(replica, signal.SIGCONT)


def test_death_of_replicas_loses_and_changes_no_request(running: Running) -> None:
    """A model replica, a gateway replica and Serve's proxy are killed under load; the client repeats requests."""
    messages = singles(running.messages[CLASSIFIER])
    victims = {40: f"model-{CLASSIFIER}", 120: "gateway", 200: "ProxyActor"}
    killed: list[str] = []
    lock = threading.Lock()
    with Client(running.url, timeout_s=240) as client:

        def ask(number: int) -> None:
            if part := victims.get(number):
                for process in running.replicas(part):
                    os.kill(process, signal.SIGKILL)
                    with lock:
                        killed.append(part)
            message = messages[number % len(messages)]
            answer = client.predict(CLASSIFIER, message["text"])
            assert {one["label"]: one["score"] for one in answer} == scores_of(running.results[message["id"]]["scores"])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(300)))
    assert set(killed) == set(victims.values())
