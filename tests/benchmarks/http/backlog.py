"""Single texts over HTTP while a stream keeps the replica busy, with the lane and without."""

import json
import statistics
import threading
from collections.abc import Callable
from typing import Any

from ray import serve

from labelstream.deploy.bench.harness.load_generator import LoadGenerator, traffic
from labelstream.deploy.bench.measures.timing import percentiles
from labelstream.deploy.control.reports import ModelReport
from labelstream.deploy.names import APP, model_deployment
from tests.benchmarks.http.deployments import LANE, NO_LANE
from tests.benchmarks.http.load import Loaded, closed_loop, random_arrivals
from tests.benchmarks.http.system import System
from tests.benchmarks.throughput.material import make_texts

PER_S = 5.0
ALONE_S = 4.0
Say = Callable[[str], None]
NAMES = {LANE: "with the lane", NO_LANE: "without"}


def measure(system: System, rounds: int, count: int, say: Say) -> dict[str, Any]:
    """Latencies of single texts over all rounds, and the stream's texts/s, each the median of alternating rounds."""
    texts = make_texts(count)
    bodies = [json.dumps({"input_data": [text]}).encode() for text in make_texts(200, seed=7)]
    url, topics = system.lanes[LANE]
    other, other_topics = system.lanes[NO_LANE]
    idle, beside = [], {LANE: [], NO_LANE: []}
    rates: dict[str, list[float]] = {"without HTTP": [], **{f"beside HTTP, {name}": [] for name in NAMES.values()}}
    kafka = system.settings.kafka
    assert kafka is not None
    with traffic(kafka, topics, paced=True) as way, traffic(kafka, other_topics, paced=True) as other_way:
        for warm in (way, other_way):
            warm.stream(texts[: count // 4])
        before = _stats()
        for turn in range(rounds):
            idle += closed_loop(url, bodies, 1, ALONE_S).latencies_ms
            rates["without HTTP"].append(count / way.stream(texts))
            for model, target, stream in ((LANE, url, way), (NO_LANE, other, other_way)):
                seconds, loaded = _beside(stream, texts, target, bodies)
                beside[model] += loaded.latencies_ms
                rates[f"beside HTTP, {NAMES[model]}"].append(count / seconds)
                say(
                    f"round {turn + 1} of {rounds}: beside a backlog, {NAMES[model]}: "
                    f"{percentiles(loaded.latencies_ms)} ms, stream {count / seconds:.0f} texts/s"
                )
            say(f"round {turn + 1} of {rounds}: stream without HTTP: {rates['without HTTP'][-1]:.0f} texts/s")
        after = _stats()
    slots_per_s = (after["run_slots"] - before["run_slots"]) / (after["busy_s"] - before["busy_s"])
    return {
        "requests_per_s": PER_S,
        "full_forward_ms": after["max_batch_tokens"] / slots_per_s * 1000,
        "idle_ms": percentiles(idle),
        "beside_ms": {NAMES[model]: percentiles(found) for model, found in beside.items()},
        "requests": {NAMES[model]: len(found) for model, found in beside.items()},
        "stream_texts_per_s": {name: [statistics.median(of), min(of), max(of)] for name, of in rates.items()},
        "of_stream_without_http": statistics.median(
            beside / alone
            for beside, alone in zip(rates[f"beside HTTP, {NAMES[LANE]}"], rates["without HTTP"], strict=True)
        ),
    }


def _stats() -> ModelReport:
    """The numbers of the replica with the lane."""
    handle = serve.get_deployment_handle(model_deployment(LANE), APP).options(method_name="stats")
    return handle.remote().result(timeout_s=30)


def _beside(stream: LoadGenerator, texts: list[str], url: str, bodies: list[bytes]) -> tuple[float, Loaded]:
    """Seconds of the stream, and the requests that were sent while it ran."""
    taken: list[float] = []
    thread = threading.Thread(target=lambda: taken.append(stream.stream(texts)))
    thread.start()
    loaded = random_arrivals(url, bodies, PER_S, thread.is_alive)
    thread.join()
    return taken[0], loaded
