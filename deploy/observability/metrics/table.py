"""All metrics, by Prometheus' rules for names and units (https://prometheus.io/docs/practices/naming/).

Ray puts `ray_` before each name and `_total` behind each counter's, and adds labels of its own for node and process.
"""

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """A histogram is exported as counters: `NAME_bucket_total`, with the label `le`, and `NAME_sum_total`.

    `histogram_quantile` takes them as they are. Ray's own histogram would cost a call per observation in the worker and
    another one in the node's agent, which also forgets the sum (ray 2.60, `record_histogram_aggregated_batch`).
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str

    def exported(self) -> tuple[str, ...]:
        """The names that a Prometheus sees."""
        name = f"ray_{self.name}"
        if self.kind == "histogram":
            return f"{name}_bucket_total", f"{name}_sum_total"
        return (f"{name}_total",) if self.kind == "counter" else (name,)


_PARTITION, _PIPELINE, _MODEL = ("pipeline", "partition"), ("pipeline",), ("model",)

WORKER = (
    Metric("labelstream_messages_received", "counter", _PARTITION, "Messages taken in"),
    Metric("labelstream_results", "counter", _PARTITION, "Results acknowledged by the broker, or committed"),
    Metric("labelstream_dead_letters", "counter", (*_PARTITION, "reason"), "Dead letters acknowledged, or committed"),
    Metric("labelstream_messages_skipped", "counter", _PARTITION, "Messages that get no result by configuration"),
    Metric("labelstream_results_abstained", "counter", _PIPELINE, "Results whose best label is below its threshold"),
    Metric("labelstream_results_retimed", "counter", _PIPELINE, "Results that could not carry their input's timestamp"),
    Metric("labelstream_labels", "counter", ("pipeline", "model", "label"), "Results by their best label"),
    Metric("labelstream_retries", "counter", ("pipeline", "model"), "Calls to a model that were made again"),
    Metric("labelstream_restarts", "counter", _PIPELINE, "Times that a worker began anew from the committed offsets"),
    Metric("labelstream_unknown_fields", "counter", _PIPELINE, "Fields of messages that nobody knows"),
    Metric("labelstream_offset_jumps", "counter", _PIPELINE, "Partitions gone on with where the log still has records"),
    Metric("labelstream_alarms_raised", "counter", _PIPELINE, "Alarms since the start of a worker"),
    Metric("labelstream_transactions", "counter", ("pipeline", "outcome"), "Transactions committed or aborted"),
    Metric("labelstream_worker_cpu_seconds", "counter", _PIPELINE, "CPU of the workers' processes"),
    Metric("labelstream_messages_in_flight", "gauge", _PARTITION, "Messages between poll and acknowledgement"),
    Metric(
        "labelstream_message_latency_seconds",
        "histogram",
        _PIPELINE,
        "From a message's Kafka timestamp to its acknowledged, or committed, result",
    ),
    Metric(
        "labelstream_micro_batch_stage_seconds",
        "histogram",
        ("pipeline", "stage"),
        "Parts of a micro-batch's way: decode, classify, wait for its turn, produce",
    ),
    Metric("labelstream_commit_seconds", "histogram", _PIPELINE, "From a commit's request to its answer"),
    Metric("labelstream_transaction_seconds", "histogram", _PIPELINE, "From a transaction's first record to its end"),
)

BOARD = (
    Metric("labelstream_lag_messages", "gauge", _PARTITION, "Messages in the log that have no result"),
    Metric("labelstream_lag_tokens", "gauge", ("pipeline", "model"), "What waits for a model, in estimated tokens"),
    Metric("labelstream_oldest_message_age_seconds", "gauge", _PARTITION, "How long the first of them has been there"),
    Metric("labelstream_arrival_messages_per_second", "gauge", _PIPELINE, "Messages that come in, over ten seconds"),
    Metric("labelstream_backlog_stale", "gauge", _PIPELINE, "1 while the brokers do not tell how long the logs are"),
    Metric("labelstream_workers", "gauge", ("pipeline", "state"), "Workers that report"),
    Metric("labelstream_alarms", "gauge", _PIPELINE, "Alarms that stand"),
    Metric("labelstream_model_replicas", "gauge", _MODEL, "Model replicas that report"),
    Metric("labelstream_replicas_wanted", "gauge", ("deployment",), "Replicas that the autoscaling asks for"),
)

MODEL = (
    Metric("labelstream_model_sequences", "counter", _MODEL, "Sequences classified"),
    Metric("labelstream_model_tokens", "counter", _MODEL, "Tokens in them"),
    Metric("labelstream_model_run_tokens", "counter", _MODEL, "Tokens in all forwards, repeated ones included"),
    Metric("labelstream_model_run_slots", "counter", _MODEL, "Places for tokens in all forwards: padding is the rest"),
    Metric("labelstream_model_calls", "counter", _MODEL, "Calls of workers"),
    Metric("labelstream_model_batches", "counter", _MODEL, "Batches that they were joined to"),
    Metric("labelstream_model_failed_batches", "counter", _MODEL, "Batches that failed for all their callers"),
    Metric("labelstream_model_busy_seconds", "counter", _MODEL, "Time that the device has worked"),
    Metric("labelstream_model_queue_wait_seconds", "histogram", _MODEL, "From a call's arrival to its batch's start"),
    Metric("labelstream_model_forward_seconds", "histogram", _MODEL, "What a batch took on the device"),
    Metric("labelstream_model_batch_tokens", "histogram", _MODEL, "Tokens of a batch"),
    Metric("labelstream_model_max_batch_tokens", "gauge", ("model", "replica"), "Padded tokens a forward may have"),
    Metric(
        "labelstream_model_memory_bytes",
        "gauge",
        ("model", "replica", "kind"),
        "Memory of the GPU: used, reserved, total",
    ),
)

METRICS = {metric.name: metric for metric in (*WORKER, *BOARD, *MODEL)}
