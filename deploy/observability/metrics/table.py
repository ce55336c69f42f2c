"""The table of all metrics, by Prometheus' rules for names and units (https://prometheus.io/docs/practices/naming/).

Ray prefixes each name with `ray_`, appends `_total` to counters, and adds labels for node and process.
"""

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """One metric. A histogram is exported as counters: `NAME_bucket_total` with the label `le`, and `NAME_sum_total`.

    `histogram_quantile` accepts these counters. Ray's own histogram costs a call per observation in the worker and in
    the node's agent, and the agent loses the sum (ray 2.60, `record_histogram_aggregated_batch`).
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    help: str

    def exported(self) -> tuple[str, ...]:
        """The names in Prometheus."""
        name = f"ray_{self.name}"
        if self.kind == "histogram":
            return f"{name}_bucket_total", f"{name}_sum_total"
        return (f"{name}_total",) if self.kind == "counter" else (name,)


_PARTITION, _PIPELINE, _MODEL = ("pipeline", "topic", "partition"), ("pipeline",), ("model",)

WORKER = (
    Metric("labelstream_messages_received", "counter", _PARTITION, "Messages that workers have polled"),
    Metric(
        "labelstream_results", "counter", _PARTITION, "Results that the broker acknowledged or a transaction committed"
    ),
    Metric(
        "labelstream_dead_letters",
        "counter",
        (*_PARTITION, "reason"),
        "Dead letters that the broker acknowledged or a transaction committed",
    ),
    Metric(
        "labelstream_messages_skipped",
        "counter",
        _PARTITION,
        "Messages without a result by configuration: empty texts, tombstones, dropped results",
    ),
    Metric("labelstream_results_abstained", "counter", _PIPELINE, "Results in which no label reaches its threshold"),
    Metric("labelstream_results_retimed", "counter", _PIPELINE, "Results that could not carry their input's timestamp"),
    Metric(
        "labelstream_results_routed",
        "counter",
        ("pipeline", "topic"),
        "Results of a pipeline with rules in `route`, by the topic that gets them; (dropped) for none",
    ),
    Metric(
        "labelstream_failed_texts",
        "counter",
        ("pipeline", "reason"),
        "Texts of lists that have no answer, in results with other answers",
    ),
    Metric(
        "labelstream_labels",
        "counter",
        ("pipeline", "model", "label"),
        "Answers by their best label; a result of several texts has several answers",
    ),
    Metric("labelstream_retries", "counter", ("pipeline", "model"), "Calls to a model that were repeated"),
    Metric("labelstream_restarts", "counter", _PIPELINE, "Restarts of a worker's loop from the committed offsets"),
    Metric("labelstream_unknown_fields", "counter", _PIPELINE, "Unknown fields in messages"),
    Metric(
        "labelstream_offset_jumps",
        "counter",
        _PIPELINE,
        "Partitions continued at another offset after their next messages were deleted",
    ),
    Metric("labelstream_alarms_raised", "counter", _PIPELINE, "Alarms raised since the worker started"),
    Metric("labelstream_transactions", "counter", ("pipeline", "outcome"), "Transactions, committed or aborted"),
    Metric("labelstream_worker_cpu_seconds", "counter", _PIPELINE, "CPU time of the workers' processes"),
    Metric("labelstream_messages_in_flight", "gauge", _PARTITION, "Messages between poll and acknowledgement"),
    Metric(
        "labelstream_message_latency_seconds",
        "histogram",
        _PIPELINE,
        "Time from a message's Kafka timestamp to its acknowledged or committed result",
    ),
    Metric(
        "labelstream_micro_batch_stage_seconds",
        "histogram",
        ("pipeline", "stage"),
        "Time of a micro-batch in each stage: decode, classify, wait, produce",
    ),
    Metric("labelstream_commit_seconds", "histogram", _PIPELINE, "Time from an offset commit's request to its answer"),
    Metric(
        "labelstream_transaction_seconds", "histogram", _PIPELINE, "Time from a transaction's first record to its end"
    ),
)

BOARD = (
    Metric("labelstream_lag_messages", "gauge", _PARTITION, "Messages in the log without a result"),
    Metric(
        "labelstream_lag_tokens",
        "gauge",
        ("pipeline", "model"),
        "Estimated tokens of the messages that wait for a model",
    ),
    Metric("labelstream_oldest_message_age_seconds", "gauge", _PARTITION, "Age of the oldest message without a result"),
    Metric(
        "labelstream_arrival_messages_per_second",
        "gauge",
        _PIPELINE,
        "Messages that arrive per second, over ten seconds",
    ),
    Metric(
        "labelstream_backlog_stale",
        "gauge",
        _PIPELINE,
        "1 while the brokers do not report the ends of the logs, else 0",
    ),
    Metric("labelstream_workers", "gauge", ("pipeline", "state"), "Workers that report, by their state"),
    Metric("labelstream_alarms", "gauge", _PIPELINE, "Alarms that are active now"),
    Metric("labelstream_model_replicas", "gauge", _MODEL, "Replicas of a model that report"),
    Metric("labelstream_replicas_wanted", "gauge", ("deployment",), "Replicas that the autoscaling asks for"),
)

MODEL = (
    Metric(
        "labelstream_model_sequences", "counter", _MODEL, "Sequences classified; equal texts of a micro-batch are one"
    ),
    Metric("labelstream_model_tokens", "counter", _MODEL, "Tokens in the classified sequences"),
    Metric("labelstream_model_run_tokens", "counter", _MODEL, "Tokens in all forward passes, repeated passes included"),
    Metric("labelstream_model_run_slots", "counter", _MODEL, "Token slots in all forward passes, padding included"),
    Metric("labelstream_model_calls", "counter", _MODEL, "Calls from workers"),
    Metric("labelstream_model_batches", "counter", _MODEL, "Batches that calls were joined to"),
    Metric("labelstream_model_failed_batches", "counter", _MODEL, "Batches that failed for all of their calls"),
    Metric("labelstream_model_busy_seconds", "counter", _MODEL, "Time that the device was busy"),
    Metric(
        "labelstream_model_queue_wait_seconds",
        "histogram",
        _MODEL,
        "Time from a call's arrival to the start of its batch",
    ),
    Metric("labelstream_model_forward_seconds", "histogram", _MODEL, "Time of a batch on the device"),
    Metric("labelstream_model_batch_tokens", "histogram", _MODEL, "Tokens of a batch"),
    Metric(
        "labelstream_model_max_batch_tokens",
        "gauge",
        ("model", "replica"),
        "Highest number of tokens in a forward pass now, padding included",
    ),
    Metric(
        "labelstream_model_memory_bytes",
        "gauge",
        ("model", "replica", "kind"),
        "GPU memory: used, reserved, total",
    ),
)

GATEWAY = (
    Metric("labelstream_http_requests", "counter", ("dialect", "status"), "HTTP requests, by dialect and status"),
    Metric(
        "labelstream_http_request_seconds",
        "histogram",
        ("dialect",),
        "Time from an HTTP request's arrival at the gateway to the start of its response",
    ),
    Metric("labelstream_http_texts", "counter", _MODEL, "Texts of HTTP requests that were sent to a model"),
    Metric(
        "labelstream_http_texts_waiting",
        "gauge",
        ("model", "replica"),
        "Texts of HTTP requests that wait for a model's answer, by gateway replica",
    ),
    Metric(
        "labelstream_http_requests_in_flight",
        "gauge",
        ("replica",),
        "HTTP requests that a gateway replica is handling",
    ),
)

METRICS = {metric.name: metric for metric in (*WORKER, *BOARD, *MODEL, *GATEWAY)}
