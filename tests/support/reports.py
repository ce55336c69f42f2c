"""Complete reports of workers and model replicas, in which a test overrides what matters to it."""

from typing import Any

from labelstream.workers.histogram import Histogram
from labelstream.workers.stream.stats import Stats


def worker_report(**changes: Any) -> Any:
    """Of a worker that has just got its partitions."""
    return {
        **Stats().snapshot(),
        "worker": "p-r1",
        "state": "running",
        "alarms": [],
        "trouble": None,
        "lag": 0,
        "partitions": {},
        "cpu_s": 0.0,
        "in_flight": 0,
        "in_flight_by_partition": {},
        **changes,
    }


def pipeline_report(**changes: Any) -> Any:
    """Of a worker, as the control plane has it."""
    place = {"replica": "r1", "node": "n1", "pid": 7, "age_s": 0.1}
    return {**worker_report(), "tokens": {}, **place, **changes}


def model_report(**changes: Any) -> Any:
    """Of a replica that has done nothing, as the control plane has it."""
    numbers = ("sequences", "tokens", "calls", "batches", "failed_batches", "run_tokens", "run_slots", "full_tokens")
    return {
        **dict.fromkeys(numbers, 0),
        "busy_s": 0.0,
        "histograms": {name: Histogram().buckets() for name in ("queue_wait_s", "forward_s", "batch_tokens")},
        "source": "a/b",
        "revision": "r",
        "max_batch_tokens": 1,
        "measured_tokens_per_s": 0.0,
        "memory_bytes": {"used": 1, "reserved": 2, "total": 3},
        "replica": "r1",
        "node": "n1",
        "pid": 8,
        "age_s": 0.1,
        **changes,
    }


def gateway_report(**changes: Any) -> Any:
    """Of a gateway replica that has answered two requests, as the control plane has it."""
    histogram = Histogram()
    histogram.observe([0.01, 0.2])
    return {
        "in_flight": 1,
        "requests": {"azure": {"200": 1, "422": 1}},
        "latency_s": {"azure": histogram.buckets()},
        "models": {"m": {"texts": 2, "tokens": 9, "waiting": 1}},
        "replica": "g1",
        "node": "n1",
        "pid": 9,
        "age_s": 0.1,
        **changes,
    }


def board(results: int, **more: Any) -> Any:
    """The status of the pipeline `p` with two workers, each with `results`."""
    stats = {
        **pipeline_report(age_s=0.0, results_out=results, messages_in=results, lag=3, in_flight=2),
        "dead_letters": {"empty_text": 1},
        "latency_ms": {"p50": 4.0, "p99": 9.0},
        **more,
    }
    return {"pipelines": {"p": {"r1": stats, "r2": {**stats, "latency_ms": {}}}}, "models": {}}
