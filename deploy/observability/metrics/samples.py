"""Turns reports into samples of the metrics in `table`. Pure, without Ray."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from labelstream.deploy.control.reports import GatewayReport, ModelReport, PipelineReport, ScalingStatus
from labelstream.schemas.dead_letter import Reason
from labelstream.workers.histogram import Buckets
from labelstream.workers.stream.report import PartitionCounts, WorkerReport

_NOTHING: PartitionCounts = {"in": 0, "results": 0, "skipped": 0, "dead_letters": {}}
STATES = ("starting", "running", "paused", "restarting", "draining", "failed")


class Sample(NamedTuple):
    """`value`: of a counter or a histogram, the total since the process started."""

    name: str
    labels: Mapping[str, str]
    value: float | Buckets


def of_worker(pipeline: str, stats: PipelineReport) -> Iterator[Sample]:
    here = {"pipeline": pipeline}
    for partition in sorted(stats["by_partition"].keys() | stats["partitions"].keys()):
        counts = stats["by_partition"].get(partition, _NOTHING)
        place = {**here, **_labels(partition)}
        yield Sample("labelstream_messages_received", place, counts["in"])
        yield Sample("labelstream_results", place, counts["results"])
        yield Sample("labelstream_messages_skipped", place, counts["skipped"])
        for reason in Reason:  # all reasons from the start: Prometheus sees no growth in a counter that appears
            count = counts["dead_letters"].get(reason.value, 0)
            yield Sample("labelstream_dead_letters", {**place, "reason": reason.value}, count)
    for partition in stats["partitions"]:
        in_flight = stats["in_flight_by_partition"].get(partition, 0)
        yield Sample("labelstream_messages_in_flight", {**here, **_labels(partition)}, in_flight)
    for model, labels in stats["labels"].items():
        for label, count in labels.items():
            yield Sample("labelstream_labels", {**here, "model": model, "label": label}, count)
    for model in stats["tokens"]:
        yield Sample("labelstream_retries", {**here, "model": model}, stats["retries_by_model"].get(model, 0))
    yield Sample("labelstream_restarts", here, stats["restarts"])
    yield Sample("labelstream_unknown_fields", here, stats["unknown_fields"])
    yield Sample("labelstream_offset_jumps", here, stats["offset_jumps"])
    yield Sample("labelstream_alarms_raised", here, stats["alarms_raised"])
    yield Sample("labelstream_results_retimed", here, stats["results_retimed"])
    yield Sample("labelstream_results_abstained", here, stats["abstained"])
    for topic, count in stats.get("results_routed", {}).items():
        yield Sample("labelstream_results_routed", {**here, "topic": topic}, count)
    for reason, count in stats.get("failed_texts", {}).items():
        yield Sample("labelstream_failed_texts", {**here, "reason": reason}, count)
    yield Sample("labelstream_transactions", {**here, "outcome": "committed"}, stats["transactions"])
    yield Sample("labelstream_transactions", {**here, "outcome": "aborted"}, stats["transactions_aborted"])
    yield Sample("labelstream_worker_cpu_seconds", here, stats["cpu_s"])
    histograms = stats["histograms"]
    yield Sample("labelstream_message_latency_seconds", here, histograms["latency_s"])
    for stage, buckets in stats["stages"].items():
        yield Sample("labelstream_micro_batch_stage_seconds", {**here, "stage": stage}, buckets)
    yield Sample("labelstream_commit_seconds", here, histograms["commit_s"])
    yield Sample("labelstream_transaction_seconds", here, histograms["transaction_s"])


def of_gateway(stats: GatewayReport, replica: str) -> Iterator[Sample]:
    for dialect, statuses in stats["requests"].items():
        for status, count in statuses.items():
            yield Sample("labelstream_http_requests", {"dialect": dialect, "status": status}, count)
    for dialect, buckets in stats["latency_s"].items():
        yield Sample("labelstream_http_request_seconds", {"dialect": dialect}, buckets)
    for model, counts in stats["models"].items():
        yield Sample("labelstream_http_texts", {"model": model}, counts["texts"])
        yield Sample("labelstream_http_texts_waiting", {"model": model, "replica": replica}, counts["waiting"])
    yield Sample("labelstream_http_requests_in_flight", {"replica": replica}, stats["in_flight"])


def of_model(model: str, stats: ModelReport, replica: str) -> Iterator[Sample]:
    here, alone = {"model": model}, {"model": model, "replica": replica}
    yield Sample("labelstream_model_sequences", here, stats["sequences"])
    yield Sample("labelstream_model_tokens", here, stats["tokens"])
    yield Sample("labelstream_model_run_tokens", here, stats["run_tokens"])
    yield Sample("labelstream_model_run_slots", here, stats["run_slots"])
    yield Sample("labelstream_model_calls", here, stats["calls"])
    yield Sample("labelstream_model_batches", here, stats["batches"])
    yield Sample("labelstream_model_failed_batches", here, stats["failed_batches"])
    yield Sample("labelstream_model_busy_seconds", here, stats["busy_s"])
    histograms = stats["histograms"]
    yield Sample("labelstream_model_queue_wait_seconds", here, histograms["queue_wait_s"])
    yield Sample("labelstream_model_forward_seconds", here, histograms["forward_s"])
    yield Sample("labelstream_model_batch_tokens", here, histograms["batch_tokens"])
    yield Sample("labelstream_model_max_batch_tokens", alone, stats["max_batch_tokens"])
    for kind, size in stats["memory_bytes"].items():
        yield Sample("labelstream_model_memory_bytes", {**alone, "kind": kind}, size)


def of_board(
    status: ScalingStatus,
    pipelines: Mapping[str, Mapping[str, WorkerReport]],
    models: Mapping[str, Mapping[str, ModelReport]],
) -> Iterator[Sample]:
    """`pipelines`, `models`: all of them, with their reports."""
    for name, backlog in status["backlog"].items():
        here = {"pipeline": name}
        yield Sample("labelstream_backlog_stale", here, float(backlog["stale"]))
        if backlog["stale"]:
            continue  # the other values are from before the brokers stopped answering
        yield Sample("labelstream_arrival_messages_per_second", here, backlog["arrival_per_s"])
        for model, tokens in backlog["tokens"].items():
            yield Sample("labelstream_lag_tokens", {**here, "model": model}, tokens)
        for partition, waiting in backlog["by_partition"].items():
            place = {**here, **_labels(partition)}
            yield Sample("labelstream_lag_messages", place, waiting["lag"])
            yield Sample("labelstream_oldest_message_age_seconds", place, waiting["oldest_s"])
    for deployment, wanted in status["targets"].items():
        yield Sample("labelstream_replicas_wanted", {"deployment": deployment}, wanted)
    for name, workers in pipelines.items():
        states = Counter[str](worker["state"] for worker in workers.values())
        for state in (*STATES, *sorted(states.keys() - set(STATES))):
            yield Sample("labelstream_workers", {"pipeline": name, "state": state}, states[state])
        alarms = {text for worker in workers.values() for text in worker["alarms"]}
        yield Sample("labelstream_alarms", {"pipeline": name}, len(alarms))
    for name, replicas in models.items():
        yield Sample("labelstream_model_replicas", {"model": name}, len(replicas))


def _labels(partition: str) -> dict[str, str]:
    """The labels of TOPIC:PARTITION."""
    topic, _, number = partition.rpartition(":")
    return {"topic": topic, "partition": number}
