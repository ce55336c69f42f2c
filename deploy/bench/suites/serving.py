"""Compares a model replica of the application with a textbook replica, behind Ray Serve and without Kafka."""

import statistics
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from typing import Any

import transformers
from ray import serve

from labelstream.deploy.app import model_application
from labelstream.deploy.bench.baselines import serve_batch
from labelstream.deploy.bench.baselines.transformers_pipeline import BATCH_SIZES, padding_waste
from labelstream.deploy.bench.harness.application import model_stats
from labelstream.deploy.bench.harness.topics import MODEL, settings_for, topics_of
from labelstream.deploy.bench.measures.choice import fastest
from labelstream.deploy.bench.measures.flops import Flops, matmul_peak
from labelstream.deploy.bench.measures.hardware import hardware
from labelstream.deploy.bench.measures.timing import Took, median, percentiles, timed
from labelstream.deploy.bench.suites.engine import ALONE, Plan, Say
from labelstream.deploy.cluster import runtime
from labelstream.deploy.cluster.application import rollout
from labelstream.deploy.deployments.usable_cores import usable_cores
from labelstream.deploy.model_client.serve_classifier import ServeClassifier
from labelstream.deploy.names import APP, model_deployment
from labelstream.workers.classifier import Answer, RecordError, Request
from labelstream.workers.engine.loading.device import device_for, name_of
from labelstream.workers.engine.loading.hub import resolve
from labelstream.workers.engine.tasks import task_for
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.kafka import KafkaSettings

CALL, IN_FLIGHT = 256, 4  # texts per call at most, and calls in flight, as in a worker
MIN_TEXTS, SHARE, TRIAL = 64, 10, 64  # the slow textbook replica gets 1/SHARE of the texts
BUSY = 0.85
NAMES = {"ours": "the application's replica", "theirs": "textbook, @serve.batch"}
TIMEOUT_S = 300.0


def measure(plan: Plan, say: Say) -> dict[str, Any]:
    """The figures from a new local Ray: medians over the rounds. Raises LabelstreamError."""
    with runtime.ray_for(_settings(plan)):
        return _measure(plan, say)


def _measure(plan: Plan, say: Say) -> dict[str, Any]:
    say("Ray runs; loading both models")
    with _deployed(plan, _settings(plan)) as classifier:
        return _Comparison(plan, classifier, say).measure(say)


def _settings(plan: Plan) -> Settings:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1")  # no worker starts
    model = {"source": plan.source, "dtype": plan.precision.name, "device": plan.device, "top_k": None}
    return settings_for(nowhere, model, {"p": topics_of("none")})


@contextmanager
def _deployed(plan: Plan, settings: Settings) -> Iterator[ServeClassifier]:
    """Deploy both applications. Yields the classifier of Labelstream's, whose replica is the real one."""
    rollout.deploy(settings, app=model_application(MODEL, settings))
    device = device_for(plan.source, plan.device)
    folder, _ = resolve(plan.source, None)
    app = serve_batch.textbook_application(str(folder.resolve()), plan.precision.name, device.type, usable_cores())
    serve.run(app, name=serve_batch.APP, route_prefix=None)
    handle = serve.get_deployment_handle(model_deployment(MODEL), APP)
    try:
        with closing(ServeClassifier(MODEL, handle, TIMEOUT_S, TIMEOUT_S)) as classifier:
            yield classifier
    finally:
        serve.delete(serve_batch.APP)
        serve.delete(APP)


class _Comparison:
    def __init__(self, plan: Plan, classifier: ServeClassifier, say: Say) -> None:
        self._plan, self._classifier, self._theirs = plan, classifier, serve_batch.ServeBatch()
        description = classifier.description
        self._texts = plan.texts_for(description)
        self._few = self._texts[: max(MIN_TEXTS, len(self._texts) // SHARE)]
        requests = [Request(text) for text in self._texts]
        self._lengths = task_for(description).prepare(requests).packed.lengths
        self._device = device_for(plan.source, plan.device)
        self._dtype = plan.precision.dtype
        folder, _ = resolve(plan.source, None)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
        self._flops = {
            way: Flops(model, description.max_length, narrowed=way == "ours").of(self._lengths) / len(self._texts)
            for way in NAMES
        }
        self._call = max(1, min(CALL, len(self._texts) // IN_FLIGHT))
        self._latencies: dict[str, list[float]] = {"ours": [], "theirs": []}
        self._tokenize_s = min(timed(lambda: task_for(description).prepare(requests)).seconds for _ in range(3))
        self.batch_size = self._best_batch_size(say)
        self._answer(self._texts)  # warms the caches

    def _best_batch_size(self, say: Say) -> int:
        def seconds(size: int) -> float:
            self._theirs.set_batch_size(size)
            return timed(lambda: self._theirs.answer(self._few[:TRIAL])).seconds

        seconds(1)  # warm-up
        best = fastest(BATCH_SIZES[self._device.type], seconds)
        self._theirs.set_batch_size(best)
        say(f"{NAMES['theirs']}: fastest with batches of {best}")
        return best

    def measure(self, say: Say) -> dict[str, Any]:
        rounds = []
        for turn in range(self._plan.rounds):
            rounds.append(self._round())
            say(
                f"round {turn + 1} of {self._plan.rounds}: the application's replica {rounds[-1]['ours']:.1f} texts/s, "
                f"the textbook replica {rounds[-1]['theirs']:.1f}"
            )
        return self._figures(rounds)

    def _round(self) -> dict[str, float]:
        peak, before = matmul_peak(self._device, self._dtype), model_stats()
        took = timed(lambda: self._answer(self._texts))
        after = model_stats()
        for text in self._few[:ALONE]:
            self._latencies["ours"].append(timed(lambda text=text: self._answer([text])).seconds * 1000)
        theirs = timed(lambda: self._theirs.answer(self._few))
        self._theirs.answer(self._few[:ALONE], open_calls=1)
        self._latencies["theirs"] += self._theirs.latencies_ms
        slots = after["run_slots"] - before["run_slots"]
        return {
            **_rates("ours", took, len(self._texts)),
            **_rates("theirs", theirs, len(self._few)),
            "peak": peak,
            "waste": 1 - (after["run_tokens"] - before["run_tokens"]) / slots if slots else 0.0,
            "device_busy": (after["busy_s"] - before["busy_s"]) / took.seconds,
            "caller_busy": took.cpu_s / took.seconds,
        }

    def _answer(self, texts: Sequence[str]) -> None:
        """Classify the texts in calls like a worker's, `IN_FLIGHT` at once."""
        open_calls: deque[Future[list[Answer]]] = deque()
        for first in range(0, len(texts), self._call):
            if len(open_calls) == IN_FLIGHT:
                _check(open_calls.popleft().result())
            open_calls.append(self._classifier.submit([Request(text) for text in texts[first : first + self._call]]))
        for call in open_calls:
            _check(call.result())

    def _figures(self, rounds: list[dict[str, float]]) -> dict[str, Any]:
        every = {name: [measured[name] for measured in rounds] for name in rounds[0]}
        stats = model_stats()
        rows = {
            "ours": {"batches": f"{stats['max_batch_tokens']} tokens", "padding_waste": median(every["waste"])},
            "theirs": {
                "batches": f"{self.batch_size} texts",
                "padding_waste": round(padding_waste(self._lengths, self.batch_size), 4),
            },
        }
        ways = [
            {
                "way": NAMES[way],
                "texts_per_s": median(every[way]),
                **row,
                "mfu": median([one[way] * self._flops[way] / one["peak"] for one in rounds]),
                "cpu_us_per_message": round(statistics.median(every[f"{way}_cpu_us"]), 1),
                "latency_ms": percentiles(self._latencies[way]),
            }
            for way, row in rows.items()
        ]
        ratio = median([one["ours"] / one["theirs"] for one in rounds])
        tokenize_us = self._tokenize_s / len(self._texts) * 1e6
        return {
            "hardware": hardware(self._device),
            "texts": {"count": len(self._texts), "mean_tokens": round(float(self._lengths.mean()), 1)},
            "serve": {
                "texts_per_s": ways[0]["texts_per_s"],
                "mfu": ways[0]["mfu"],
                "padding_waste": ways[0]["padding_waste"],
                "dtype": name_of(self._dtype),
                "dtype_why": self._plan.precision.why,
                "device_busy": median(every["device_busy"]),
                "caller_busy": median(every["caller_busy"]),
            },
            "textbook": {"texts_per_s": ways[1]["texts_per_s"], "batch_size": self.batch_size},
            "ways": ways,
            "ratios": {"the application's replica / textbook": ratio},
            "limit": limit(
                statistics.median(every["device_busy"]),
                statistics.median(every["caller_busy"]),
                tokenize_us,
                statistics.median(every["ours_cpu_us"]),
            ),
        }


def limit(device: float, caller: float, tokenize_us: float, caller_us: float) -> str:
    """The bottleneck, from the busy shares of the device and of the caller's core, and the tokenizer's part of it."""
    shares = f"the device is busy for {device:.0%} of the time, the caller for {caller:.0%} of one core"
    if device >= BUSY:
        return f"device: {shares}"
    if caller >= BUSY and tokenize_us > caller_us / 2:
        return f"tokenizer: {shares}, more than half of it for tokenizing"
    return f"Serve: {shares}"


def _rates(name: str, took: Took, count: int) -> dict[str, float]:
    """Texts per second, and CPU time per text of the calling process."""
    return {name: count / took.seconds, f"{name}_cpu_us": took.cpu_s / count * 1e6}


def _check(answers: list[Answer]) -> None:
    refused = [answer for answer in answers if isinstance(answer, RecordError)]
    if refused:
        raise ValueError(f"{len(refused)} texts were refused: {refused[0].message}")
