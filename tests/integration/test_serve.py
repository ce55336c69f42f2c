"""A real local Ray with Serve: model client and replica together, replica deaths, and an orderly shutdown."""

import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle, serve

from labelstream.deploy.app import _deployment, application
from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.application import control_client, rollout
from labelstream.deploy.control.control_plane import ControlPlane
from labelstream.deploy.control.scaling.concurrency import MIN_CALLS
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.deploy.model_client.failed_attempts import MAX_ALONE
from labelstream.deploy.model_client.poison_isolation import TOGETHER_FAILURES
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.deploy.names import APP, BOARD
from labelstream.workers.classifier import Answer, Classifier, Fault, Prediction, Progress, RecordError, Request
from labelstream.workers.config_file import load_settings
from labelstream.workers.engine.description import ModelDescription
from labelstream.workers.engine.engine import Engine
from labelstream.workers.engine.ragged import RaggedSequences, ScoredSequences, split
from labelstream.workers.errors import InferenceError, ModelError
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.model import ModelSettings
from labelstream.workers.settings.ranges import Range
from labelstream.workers.stream.supervision.commands import Command, CommandAnswer
from labelstream.workers.stream.worker import PipelineWorker
from tests.kafka import Broker
from tests.support import fake_handle as fakes
from tests.support import models
from tests.support.reports import worker_report
from tests.support.streams import Topics, committed, produce, read_results, wait_until

pytestmark = [pytest.mark.timeout(240), pytest.mark.ray]
REQUESTS = [Request(text) for text in models.TEXTS] + [Request("good", text_pair="not bad"), Request("good " * 200)]
MAX_DELAY_MS = 300
HEAVY = ("torch", "transformers", "openvino", "nncf")
POISON = [0, 6, 6, 1]  # token ids of "d d" in tests.support.fake_handle
# Marks the environment of this run's Ray processes.
MARK = f"LABELSTREAM_TEST_{uuid.uuid4().hex}"
for _module in (sys.modules[__name__], fakes):
    cloudpickle.register_pickle_by_value(_module)  # replicas cannot import the tests


class FakeWorker:
    """Replaces PipelineWorker. `stop` calls the model once more and writes the answer to a file."""

    def __init__(self, name: str, settings: Settings, classifiers: Mapping[str, Classifier], worker_id: str) -> None:
        self._folder, self._id = Path(settings.models["m"].source), worker_id
        self._classifiers = classifiers
        self._calls = 0

    def start(self) -> None:
        pass

    def check(self) -> None:
        pass

    def stop(self, timeout_s: float | None = None) -> bool:
        answers = self._classifiers["m"].submit([Request("good")]).result(20)
        (self._folder / f"stopped-{self._id}").write_text(type(answers[0]).__name__)
        return True

    def command(self, command: Command, timeout_s: float) -> "Future[CommandAnswer]":
        answer: Future[CommandAnswer] = Future()
        answer.set_result(CommandAnswer("done", f"{self._id}: {command['name']}"))
        return answer

    def set_target_in_flight(self, calls: int) -> None:
        self._calls = calls

    def stats(self) -> Any:
        heavy = [name for name in HEAVY if name in sys.modules]
        return worker_report(worker=self._id, calls=self._calls, heavy=heavy)


def make_worker(
    name: str, settings: Settings, classifiers: Mapping[str, Classifier], worker_id: str
) -> FakeWorker | PipelineWorker:
    kind = FakeWorker if name == "fake" else PipelineWorker
    return kind(name, settings, classifiers, worker_id)


class MortalPredictor(fakes.NoPredictor):
    """Kills its process when it reads POISON."""

    max_batch_tokens = 1024

    def __init__(self, deaths: Path) -> None:
        self._deaths = deaths

    def predict(self, packed: RaggedSequences, top_k: int) -> ScoredSequences:
        if POISON in (row.ids.tolist() for row in split(packed, 1, 1)):
            with self._deaths.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(packed, top_k)


class MortalReplica(ModelReplica):
    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, Any, float]:
        predictor = MortalPredictor(Path(settings.source) / "deaths")
        return fakes.description(), predictor, predictor.measure()

    def pid(self) -> int:
        return os.getpid()


class SlowPredictor(fakes.NoPredictor):
    """Processes 2,000 tokens a second; POISON takes 4 seconds."""

    def predict(self, packed: RaggedSequences, top_k: int) -> ScoredSequences:
        poison = POISON in (row.ids.tolist() for row in split(packed, 1, 1))
        time.sleep(len(packed.ids) / 2_000 + 4.0 * poison)
        return super().predict(packed, top_k)


class SlowReplica(ModelReplica):
    @staticmethod
    def _load(settings: ModelSettings, threads: int) -> tuple[ModelDescription, Any, float]:
        predictor = SlowPredictor()
        return fakes.description(), predictor, predictor.measure()


class Serving:
    """One model `m`, a fake worker of pipeline `fake`, and a real worker of pipeline `real`."""

    def __init__(self, folder: Path, kafka: Broker) -> None:
        self.folder, self.bootstrap = models.build(folder), kafka.bootstrap
        self.topics = Topics(*(f"{name}-{MARK}" for name in ("in", "out", "dead")))
        for topic in (self.topics.input, self.topics.output, self.topics.dead_letter):
            kafka.create_topic(topic, 2)
        self.settings = self.with_source(folder)
        self._stack = ExitStack()
        self._stack.enter_context(runtime.ray_for(self.with_fakes(2)))  # with cores for two fake workers

    def deploy(self, settings: Settings) -> None:
        rollout.deploy(settings, 180, application(settings, make_worker))

    def with_source(self, folder: Path) -> Settings:
        model = {
            "source": str(folder),
            "dtype": "float32",
            "device": "cpu",
            "backend": "openvino",
            "max_delay_ms": MAX_DELAY_MS,
            "call_timeout_s": 90,
        }
        topics = self.topics
        pipeline = {"input": topics.input, "output": topics.output, "dead_letter": topics.dead_letter, "model": "m"}
        return load_settings(
            {
                "kafka": {"bootstrap_servers": self.bootstrap, "session_timeout_ms": 6_000},
                "models": {"m": model},
                "pipelines": {"fake": pipeline, "real": {**pipeline, "group_id": MARK}},
            }
        )

    def with_fakes(self, workers: int) -> Settings:
        pipelines = self.settings.pipelines
        fake = pipelines["fake"].model_copy(update={"workers": Range(min=workers, max=workers)})
        return self.settings.model_copy(update={"pipelines": {**pipelines, "fake": fake}})

    @property
    def handle(self) -> Any:
        return serve.get_deployment_handle("model-m", APP)

    @contextmanager
    def connected(self) -> Iterator[ServeClassifier]:
        with closing(ServeClassifier("m", self.handle, 90, 60)) as classifier:
            yield classifier

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, kafka: Broker) -> Iterator[Serving]:
    """A Ray without a deployed application."""
    os.environ[MARK] = "1"
    made = Serving(tmp_path_factory.mktemp("serve") / "model", kafka)
    yield made
    made.close()
    del os.environ[MARK]


def test_missing_model_is_one_line(cluster: Serving, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        cluster.deploy(cluster.with_source(tmp_path / "missing"))
    assert str(error.value).startswith(f"{tmp_path / 'missing'}: ")
    assert len(str(error.value).splitlines()) == 1


@pytest.fixture(scope="module")
def serving(cluster: Serving) -> Serving:
    cluster.deploy(cluster.settings)
    return cluster


def test_replica_answers_equal_engine(serving: Serving) -> None:
    direct = Engine.load(str(serving.folder), dtype="float32", device="cpu", backend="torch")  # the replica: OpenVINO
    with closing(direct) as engine, serving.connected() as classifier:
        expected = engine.classify(REQUESTS)
        found = classifier.submit(REQUESTS).result(60)
    assert len(found) == len(expected) == len(REQUESTS)
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, Prediction)
        assert isinstance(other, Prediction)
        assert one._replace(scores=()) == other._replace(scores=())
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_command_reaches_worker_with_next_report(serving: Serving) -> None:
    # Pipelines are listed from the start, workers after their first report.
    wait_until(lambda: all(control_client.status()["pipelines"].values()), 30, "the workers' first reports")
    found = control_client.command("fake", {"name": "resume"})
    [worker] = found["workers"]
    assert found == {
        "known": ["fake", "real"],
        "workers": [worker],
        "answers": {worker: {"status": "done", "text": f"fake-{worker}: resume"}},
    }
    [answer] = control_client.command("real", {"name": "resume"})["answers"].values()
    assert answer == {"status": "absent", "text": "the pipeline is not paused"}


def test_worker_learns_target_in_flight(serving: Serving) -> None:
    def calls() -> list[int]:
        workers: Any = control_client.status()["pipelines"]["fake"].values()
        return [worker["calls"] for worker in workers]

    wait_until(lambda: calls() == [MIN_CALLS], 30, "what the control plane tells the worker")


def test_replica_batches_calls_of_two_callers(serving: Serving) -> None:
    with serving.connected() as one, serving.connected() as other:
        before = serving.handle.stats.remote().result(timeout_s=30)
        three = ("good", "not bad", "a good one")
        futures = [some.submit([Request(text, top_k=k) for text in three]) for k, some in ((1, one), (2, other))]
        results = [future.result(30) for future in futures]
        after = serving.handle.stats.remote().result(timeout_s=30)
    assert [len(result) for result in results] == [3, 3]
    assert [[len(answer.labels) for answer in result if isinstance(answer, Prediction)] for result in results] == [
        [1, 1, 1],
        [2, 2, 2],
    ]
    assert after["calls"] - before["calls"] == 2
    assert after["batches"] - before["batches"] == 1


def test_wrong_revision_is_refused(serving: Serving) -> None:
    with serving.connected() as classifier:
        stale = classifier.description.__class__(**{**vars(classifier.description), "revision": "older"})
        classifier._served.current = classifier._served.current._replace(description=stale)
        answer = classifier.submit([Request("good")]).result(30)[0]
        assert isinstance(answer, Prediction)
        assert answer.revision == classifier.description.revision != "older"


def test_worker_imports_no_torch_and_reports(serving: Serving) -> None:
    deadline = time.monotonic() + 20
    workers: dict[str, Any] = {}
    status: Any = {}
    while not workers and time.monotonic() < deadline:
        time.sleep(0.2)
        status = control_client.status()
        workers = status["pipelines"].get("fake", {})
    assert [worker["heavy"] for worker in workers.values()] == [[]]
    assert all(worker["age_s"] < 15 for worker in workers.values())
    assert workers.keys() <= set(status["replicas"]["pipeline-fake"])  # Serve's ids are those of the reports


def test_messages_reach_output_with_engine_labels(serving: Serving) -> None:
    topics, count = serving.topics, 500
    texts = [f"{models.TEXTS[i % len(models.TEXTS)]} {i // 2}" for i in range(count)]
    texts[1::50] = texts[::50]  # with duplicates
    values = [json.dumps({"text": text, "id": i}).encode() for i, text in enumerate(texts)]
    produce(serving.bootstrap, topics.input, [(b"%d" % (i % 9), value) for i, value in enumerate(values)])
    results = {result["id"]: result for result in read_results(serving.bootstrap, topics.output, count)}
    with closing(Engine.load(str(serving.folder), dtype="float32", device="cpu", backend="torch")) as engine:
        expected = {text: engine.classify([Request(text)])[0] for text in dict.fromkeys(texts)}
    assert len(results) == count
    for i, text in enumerate(texts):
        answer = expected[text]
        assert isinstance(answer, Prediction)
        assert results[i]["label"] == answer.labels[0]
        assert results[i]["score"] == pytest.approx(answer.scores[0], abs=1e-5)


def test_scaling_restarts_no_replica(serving: Serving) -> None:
    def replicas() -> dict[str, set[str]]:
        status: Any = control_client.status()
        return {name: set(found) for kind in ("pipelines", "models") for name, found in status[kind].items()}

    wait_until(lambda: all(replicas()[name] for name in ("m", "real", "fake")), 30)
    before = replicas()
    serving.deploy(serving.with_fakes(2))
    wait_until(lambda: len(replicas()["fake"]) == 2, 30)
    after = replicas()
    assert after["fake"] > before["fake"]
    assert {name: after[name] for name in ("m", "real")} == {name: before[name] for name in ("m", "real")}


def test_replica_killed_in_mid_call_costs_only_time(serving: Serving) -> None:
    with serving.connected() as classifier:
        (replica,) = control_client.status()["models"]["m"]
        actor = ray.get_actor(f"SERVE_REPLICA::{APP}#model-m#{replica}", namespace="serve")
        futures = [classifier.submit(REQUESTS) for _ in range(3)]
        # The calls are at the replica now, which waits MAX_DELAY_MS for other calls.
        killer = threading.Timer(MAX_DELAY_MS / 2_000, lambda: ray.kill(actor))
        killer.start()
        for future in futures:
            assert all(isinstance(answer, Prediction) for answer in future.result(90))
        killer.join()


@pytest.fixture(scope="module")
def mortal(serving: Serving) -> Any:
    """The handle of two replicas that POISON kills. They end with the cluster."""
    spec = serving.settings.models["m"].model_dump(mode="json")
    deployment = _deployment(
        MortalReplica,
        "model-mortal",
        "1",
        serving.settings.logs,
        num_replicas=2,
        max_ongoing_requests=64,
        ray_actor_options={"num_cpus": 0},
    )
    board = _deployment(ControlPlane, BOARD, "1", serving.settings.logs, ray_actor_options={"num_cpus": 0})
    shown = serving.settings.telemetry.model_dump(mode="json")
    serve.run(board.bind({"mortal": deployment.bind(spec, shown)}), name="mortal", route_prefix=None)
    return serve.get_deployment_handle("model-mortal", "mortal")


def test_death_of_one_replica_under_load_loses_nothing(mortal: Any) -> None:
    requests = [Request("a b"), Request("a")]
    with closing(ServeClassifier("mortal", mortal, 90, 60)) as classifier:
        pid = mortal.pid.remote().result(timeout_s=30)
        futures = [classifier.submit(requests) for _ in range(20)]
        # The calls are at both replicas now, which wait MAX_DELAY_MS for other calls.
        time.sleep(MAX_DELAY_MS / 2_000)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        futures += [classifier.submit(requests) for _ in range(20)]
        for future in futures:
            assert [answer.labels[0] for answer in future.result(90) if isinstance(answer, Prediction)] == ["no", "yes"]
        assert time.monotonic() - killed < 10  # under a second on two busy cores


def test_record_killing_replicas_is_refused_alone(serving: Serving, mortal: Any) -> None:
    different = (" ".join("abc"[i // 3**place % 3] for place in range(6)) for i in range(300))
    texts = [f"{text}{' a' * (i % 10)}" for i, text in enumerate(different)]
    texts[100] = "d d"
    with (
        closing(ServeClassifier("mortal", mortal, 200, 60)) as classifier,
        closing(ServeClassifier("mortal", mortal, 200, 60)) as other,
    ):
        poisoned = classifier.submit([Request(text) for text in texts])
        others = [other.submit([Request(text) for text in texts[:100]]) for _ in range(5)]
        answers = poisoned.result(200)
        for future in others:
            assert all(isinstance(answer, Prediction) for answer in future.result(200))
    deaths = len((serving.folder / "deaths").read_text())
    for text, answer in zip(texts, answers, strict=True):
        if text == "d d":
            assert isinstance(answer, RecordError)
            assert answer.fault is Fault.CRASHES_MODEL
            assert answer.attempts == deaths == TOGETHER_FAILURES + 1 + MAX_ALONE
        else:
            assert isinstance(answer, Prediction)
            assert answer.labels[0] == ("yes" if answer.tokens % 2 else "no")
            assert answer.tokens == len(text.split()) + 2


@pytest.fixture(scope="module")
def slow(serving: Serving) -> Any:
    """The handle of two slow replicas. They end with the cluster."""
    spec, shown = (part.model_dump(mode="json") for part in (serving.settings.models["m"], serving.settings.telemetry))
    deployment = _deployment(
        SlowReplica,
        "model-slow",
        "1",
        serving.settings.logs,
        num_replicas=2,
        max_ongoing_requests=64,
        ray_actor_options={"num_cpus": 0},
    )
    board = _deployment(ControlPlane, BOARD, "1", serving.settings.logs, ray_actor_options={"num_cpus": 0})
    serve.run(board.bind({"slow": deployment.bind(spec, shown)}), name="slow", route_prefix=None)
    return serve.get_deployment_handle("model-slow", "slow")


def ask_until_answered(classifier: ServeClassifier, texts: Sequence[str], max_failures: int) -> list[Answer]:
    """Retry like a worker: answers are kept between attempts."""
    requests, progress = [Request(text) for text in texts], Progress()
    for _ in range(max_failures):
        with suppress(InferenceError):
            return classifier.submit(requests, progress).result(60)
    return classifier.submit(requests, progress).result(60)


def test_slow_model_refuses_only_record_too_slow_alone(slow: Any) -> None:
    different = [" ".join("abc"[i // 3**place % 3] for place in range(6)) for i in range(180)]
    long = [f"{text} {'a b c d ' * 12}" for text in different]  # five seconds of work for one replica
    texts = [*different[:30], "d d"]
    with closing(ServeClassifier("slow", slow, 1.5, 60)) as classifier:
        # One attempt is enough, except on a stalled machine.
        answers = ask_until_answered(classifier, long, max_failures=2)
        assert all(isinstance(answer, Prediction) for answer in answers)
        *others, last = ask_until_answered(classifier, texts, max_failures=29)
    assert isinstance(last, RecordError)
    assert last.fault is Fault.TIMED_OUT
    for text, answer in zip(texts, others, strict=False):
        assert isinstance(answer, Prediction)
        assert answer.tokens == len(text.split()) + 2
        assert answer.labels[0] == ("yes" if answer.tokens % 2 else "no")


def test_shutdown_drains_and_leaves_no_process(serving: Serving) -> None:
    before = set(serving.folder.glob("stopped-*"))
    assert len(marked_processes()) > 3
    serving.close()
    stopped = set(serving.folder.glob("stopped-*")) - before
    assert {file.read_text() for file in stopped} == {"Prediction"}  # the model answered until the end
    deadline = time.monotonic() + 10
    while marked_processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert marked_processes() == []
    assert sum(committed(serving.bootstrap, MARK, serving.topics.input).values()) == 500


def marked_processes() -> list[str]:
    """Command lines of other processes with this run's mark."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = f"{MARK}=".encode() in (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, UnicodeDecodeError):
            continue
        if marked and command and int(folder.name) != os.getpid():
            found.append(command)
    return found
