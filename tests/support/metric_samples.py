"""Reports of a worker and the control plane, as input of the metrics."""

from typing import Any

from labelstream.deploy.control.reports import BacklogStatus, ScalingStatus
from labelstream.deploy.observability.metrics.samples import Sample, of_board
from labelstream.workers.stream.stats import Stages, Stats, Tally
from tests.support.reports import pipeline_report


def worker_stats() -> Any:
    stats, tally = Stats(), Tally(abstained=1, latencies_ms=[3.0, 40.0, 1e9])
    tally.results.update({"in:0": 2, "in:3": 1})
    tally.dead_letters.update({("in:3", "empty_text"): 2})
    tally.labels.update({("m", "POSITIVE"): 2, ("m", "(abstained)"): 1})
    tally.routed.update({"out": 2})
    tally.failed_texts.update({"empty_text": 1})
    stats.received({"in:0": 2, "in:3": 4}, 1)  # type: ignore[arg-type]
    stats.sent(tally, Stages(0.001, 0.03, 0.0, 0.004))
    stats.retried("m")
    stats.took("commit_s", 0.02)
    partitions, in_flight = {"in:0": (0, 2), "in:3": (1, 5)}, {"in:3": 1}
    return pipeline_report(
        **stats.snapshot(), partitions=partitions, in_flight_by_partition=in_flight, tokens={"m": 90}, cpu_s=1.5
    )


def board_samples() -> list[Sample]:
    workers = {"p": {"r": pipeline_report(alarms=["a", "b"])}, "q": {}}
    return list(of_board(scaling_status({"model-m": 2}), workers, {"m": {}}))


def scaling_status(targets: dict[str, int], stale: bool = False) -> ScalingStatus:
    backlog: BacklogStatus = {
        "lag": 2,
        "oldest_s": 1.0,
        "stale": stale,
        "arrival_per_s": 3.0,
        "partitions": 1,
        "tokens": {"m": 70},
        "by_partition": {"in:0": {"lag": 2, "oldest_s": 1}},
    }
    return {"backlog": {"p": backlog}, "targets": targets, "reasons": {}, "warnings": {}}
