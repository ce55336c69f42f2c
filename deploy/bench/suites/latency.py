"""Measures the latency topic to topic: of single messages, and under a load."""

import random
import time
from collections import defaultdict
from typing import Any

from labelstream.deploy.bench.harness.application import model_stats, worker_stats_now
from labelstream.deploy.bench.harness.load_generator import LoadGenerator
from labelstream.deploy.bench.measures.timing import percentiles
from labelstream.deploy.bench.suites.engine import Say
from labelstream.workers.errors import StartError
from labelstream.workers.stream.report import WorkerReport

SHARES = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1)  # of the measured capacity: the loads, in this order
PAUSE_S = 0.02, 0.15  # between single messages: a worker's poll ends every 0.1 s
SETTLE_S = 10.0  # timeout from reading a result until the worker has counted it
Rounds = dict[str, list[float]]


def latency_figures(
    way: LoadGenerator, texts: list[str], capacity: float, light: int, load_s: float, say: Say
) -> dict[str, Any]:
    """`light`: latency of so many single messages. `load`: latency under shares of `capacity`, in messages per second.

    `load_s`: seconds of each load; 0 for no loads.
    """
    found: dict[str, Any] = {"light": _light(way, texts, light)}
    load = []
    for share in SHARES if load_s else ():
        latencies, back = way.offered(texts, share * capacity, load_s, seed=int(share * 100))
        load.append(
            {
                "share": share,
                "offered_per_s": round(share * capacity, 2),
                "results_per_s": round(back, 2),
                "messages": len(latencies),
                "latency_ms": percentiles(latencies),
            }
        )
        say(f"load of {share:.0%} of {capacity:.1f}/s: {load[-1]['latency_ms']} ms")
    return found | ({"load": load} if load else {})


def _light(way: LoadGenerator, texts: list[str], count: int) -> dict[str, Any]:
    """One message at a time: the latency from timestamp to result, the forward, and the rest.

    `worker_ms`: the part in the worker, from the poll of the message to the acknowledgement of its result.
    `stages_ms`: its stages, as in `labelstream.workers.stream.stats`.
    """
    rng = random.Random(3)  # noqa: S311
    found: Rounds = defaultdict(list)
    parts: Rounds = defaultdict(list)
    for turn in range(count):
        time.sleep(rng.uniform(*PAUSE_S))
        before, busy_s = worker_stats_now(), model_stats()["busy_s"]
        way_ms = way.one(texts[turn % len(texts)])
        forward_ms = (model_stats()["busy_s"] - busy_s) * 1000
        stages_ms = _stages_ms(before)
        worker_ms = sum(stages_ms.values())
        for name, value in stages_ms.items():
            parts[name].append(value)
        measured = {
            "way_ms": way_ms,
            "forward_ms": forward_ms,
            "over_forward_ms": way_ms - forward_ms,
            "worker_ms": worker_ms,
            "worker_over_forward_ms": worker_ms - forward_ms,
        }
        for name, value in measured.items():
            found[name].append(value)
    return {"messages": count, **_percentiles(found), "stages_ms": _percentiles(parts)}


def _stages_ms(before: WorkerReport) -> dict[str, float]:
    """The stages of the one message that the worker has processed since `before`. Raises StartError."""
    until = time.monotonic() + SETTLE_S
    while (now := worker_stats_now())["results_out"] == before["results_out"]:
        if time.monotonic() > until:
            raise StartError(f"a result was read, but the worker has not counted it for {SETTLE_S:g} s")
        time.sleep(0.005)
    return {name: 1000 * (buckets["sum"] - before["stages"][name]["sum"]) for name, buckets in now["stages"].items()}


def _percentiles(found: Rounds) -> dict[str, dict[str, float]]:
    return {name: percentiles(values) for name, values in found.items()}
