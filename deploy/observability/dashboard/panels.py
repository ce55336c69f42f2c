"""Panels of the dashboard: rows with their queries, in the order of an operator's questions."""

from typing import NamedTuple


class Panel(NamedTuple):
    """`unit`: Grafana's name of the unit. `queries`: PromQL with a legend. `stacked`: the series are parts
    of a whole.
    """

    title: str
    text: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    stacked: bool = False


class Row(NamedTuple):
    title: str
    panels: tuple[Panel, ...]


_P = '{pipeline=~"$pipeline"}'
_M = '{model=~"$model"}'
_RATE = "[$__rate_interval]"


def _by(labels: str, expression: str) -> str:
    return f"sum by ({labels}) ({expression})"


def _rate(name: str, where: str) -> str:
    return f"rate(ray_labelstream_{name}_total{where}{_RATE})"


def _quantile(share: float, name: str, where: str, by: str) -> str:
    return f"histogram_quantile({share}, {_by(f'{by}, le', _rate(f'{name}_bucket', where))})"


def _p50_p99(name: str, where: str, by: str) -> tuple[tuple[str, str], ...]:
    return tuple((_quantile(share, name, where, by), f"{{{{{by}}}}} p{share * 100:.0f}") for share in (0.5, 0.99))


def _mean(name: str, where: str, by: str) -> str:
    all_of_them = where[:-1] + ', le="+Inf"}'
    return f"{_by(by, _rate(f'{name}_sum', where))} / {_by(by, _rate(f'{name}_bucket', all_of_them))}"


ROWS = (
    Row(
        "Is it well?",
        (
            Panel(
                "Messages that wait",
                "Messages in the log without a result.",
                "short",
                (
                    (
                        f"sum by (pipeline) (max by (pipeline, topic, partition) (ray_labelstream_lag_messages{_P}))",
                        "{{pipeline}}",
                    ),
                ),
            ),
            Panel(
                "Age of the oldest",
                "Age of the oldest message without a result.",
                "s",
                ((f"max by (pipeline) (ray_labelstream_oldest_message_age_seconds{_P})", "{{pipeline}}"),),
            ),
            Panel(
                "Alarms",
                "Active alarms; `labelstream status` shows their texts.",
                "short",
                ((f"max by (pipeline) (ray_labelstream_alarms{_P})", "{{pipeline}}"),),
            ),
            Panel(
                "In and out",
                "Messages per second: in, results, dead letters.",
                "ops",
                (
                    (_by("pipeline", _rate("messages_received", _P)), "{{pipeline}} in"),
                    (_by("pipeline", _rate("results", _P)), "{{pipeline}} results"),
                    (_by("pipeline", _rate("dead_letters", _P)), "{{pipeline}} dead letters"),
                ),
            ),
            Panel(
                "From message to result",
                "Time from a message's Kafka timestamp to its acknowledged or committed result.",
                "s",
                _p50_p99("message_latency_seconds", _P, "pipeline"),
            ),
            Panel(
                "Dead letters by reason",
                "Per second.",
                "ops",
                ((f"{_by('pipeline, reason', _rate('dead_letters', _P))} > 0", "{{pipeline}} {{reason}}"),),
                stacked=True,
            ),
        ),
    ),
    Row(
        "What runs",
        (
            Panel(
                "Workers by state",
                "Workers that report, by state.",
                "short",
                ((f"max by (pipeline, state) (ray_labelstream_workers{_P}) > 0", "{{pipeline}} {{state}}"),),
            ),
            Panel(
                "Model replicas",
                "Replicas that report.",
                "short",
                ((f"max by (model) (ray_labelstream_model_replicas{_M})", "{{model}}"),),
            ),
            Panel(
                "Replicas wanted",
                "Replicas that the autoscaling asks Serve for.",
                "short",
                (("max by (deployment) (ray_labelstream_replicas_wanted)", "{{deployment}}"),),
            ),
            Panel(
                "Arrivals",
                "Messages that arrive per second, as the autoscaling measures them.",
                "ops",
                ((f"max by (pipeline) (ray_labelstream_arrival_messages_per_second{_P})", "{{pipeline}}"),),
            ),
            Panel(
                "Waiting tokens",
                "Estimated tokens of the messages that wait for a model.",
                "short",
                ((f"max by (pipeline, model) (ray_labelstream_lag_tokens{_P})", "{{pipeline}} for {{model}}"),),
            ),
            Panel(
                "A worker's CPU per message",
                "CPU time of all threads of the process.",
                "s",
                (
                    (
                        f"{_by('pipeline', _rate('worker_cpu_seconds', _P))} / "
                        f"{_by('pipeline', _rate('messages_received', _P))}",
                        "{{pipeline}}",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "Models",
        (
            Panel("Sequences", "Per second.", "ops", ((_by("model", _rate("model_sequences", _M)), "{{model}}"),)),
            Panel(
                "Tokens",
                "Tokens per second, without padding.",
                "ops",
                ((_by("model", _rate("model_tokens", _M)), "{{model}}"),),
            ),
            Panel(
                "Busy",
                "Share of time in which the average device is busy.",
                "percentunit",
                ((f"avg by (model) ({_rate('model_busy_seconds', _M)})", "{{model}}"),),
            ),
            Panel(
                "Padding",
                "Share of padding in the tokens that the device computes.",
                "percentunit",
                (
                    (
                        f"1 - {_by('model', _rate('model_run_tokens', _M))} / "
                        f"{_by('model', _rate('model_run_slots', _M))}",
                        "{{model}}",
                    ),
                ),
            ),
            Panel(
                "Waiting for the device",
                "Time from a call's arrival at a replica to the start of its batch.",
                "s",
                _p50_p99("model_queue_wait_seconds", _M, "model"),
            ),
            Panel(
                "Batches on the device",
                "Time of a batch on the device.",
                "s",
                _p50_p99("model_forward_seconds", _M, "model"),
            ),
            Panel(
                "Tokens of a batch",
                "Average number of tokens.",
                "short",
                ((_mean("model_batch_tokens", _M, "model"), "{{model}}"),),
            ),
            Panel(
                "Failed batches",
                "Failed batches per second; each call of them is tried again.",
                "ops",
                ((_by("model", _rate("model_failed_batches", _M)), "{{model}}"),),
            ),
            Panel(
                "GPU memory",
                "GPU memory that the model and its batches use; empty on a CPU.",
                "bytes",
                (('ray_labelstream_model_memory_bytes{model=~"$model", kind="used"}', "{{model}} {{replica}}"),),
            ),
        ),
    ),
    Row(
        "What it says",
        (
            Panel(
                "Labels",
                "Share of each label among the results.",
                "percentunit",
                (
                    (
                        f"{_by('pipeline, model, label', _rate('labels', _P))} / on (pipeline, model) group_left "
                        f"{_by('pipeline, model', _rate('labels', _P))}",
                        "{{pipeline}} {{model}}: {{label}}",
                    ),
                ),
                stacked=True,
            ),
            Panel(
                "Shift",
                "Distance of the label shares of the last half hour from the day before; 0: equal, 1: disjoint.",
                "percentunit",
                (("labelstream:label_shift:ratio", "{{pipeline}} {{model}}"),),
            ),
            Panel(
                "Abstained",
                "Share of results without an accepted label.",
                "percentunit",
                (
                    (
                        f"{_by('pipeline', _rate('results_abstained', _P))} / {_by('pipeline', _rate('results', _P))}",
                        "{{pipeline}}",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "HTTP",
        (
            Panel(
                "HTTP requests",
                "Requests per second, by dialect and status.",
                "reqps",
                ((_by("dialect, status", _rate("http_requests", "")), "{{dialect}} {{status}}"),),
            ),
            Panel(
                "HTTP latency",
                "Time from a request's arrival to the start of its response.",
                "s",
                _p50_p99("http_request_seconds", "", "dialect"),
            ),
            Panel(
                "HTTP in flight",
                "Requests that each gateway replica is handling.",
                "short",
                (("max by (replica) (ray_labelstream_http_requests_in_flight)", "{{replica}}"),),
            ),
            Panel(
                "HTTP texts",
                "Texts per second, and texts that wait for a model's answer.",
                "short",
                (
                    (_by("model", _rate("http_texts", _M)), "{{model}} texts/s"),
                    (f"sum by (model) (ray_labelstream_http_texts_waiting{_M})", "{{model}} waiting"),
                ),
            ),
        ),
    ),
    Row(
        "Delivery",
        (
            Panel(
                "Waiting by partition",
                "Messages in the log without a result.",
                "short",
                (
                    (
                        f"max by (pipeline, topic, partition) (ray_labelstream_lag_messages{_P})",
                        "{{pipeline}} {{topic}}:{{partition}}",
                    ),
                ),
            ),
            Panel(
                "In flight by partition",
                "Messages between poll and acknowledgement.",
                "short",
                (
                    (
                        f"max by (pipeline, topic, partition) (ray_labelstream_messages_in_flight{_P})",
                        "{{pipeline}} {{topic}}:{{partition}}",
                    ),
                ),
            ),
            Panel(
                "Where a micro-batch's time goes",
                "Average seconds of a micro-batch in each stage.",
                "s",
                ((_mean("micro_batch_stage_seconds", _P, "pipeline, stage"), "{{pipeline}} {{stage}}"),),
            ),
            Panel("Commits", "Time from the request to the answer.", "s", _p50_p99("commit_seconds", _P, "pipeline")),
            Panel(
                "Transactions",
                "Time from the first record to the end of the commit; exactly once only.",
                "s",
                _p50_p99("transaction_seconds", _P, "pipeline"),
            ),
            Panel(
                "Retries and restarts",
                "Repeated calls to models, restarts of workers, aborted transactions.",
                "ops",
                (
                    (_by("pipeline", _rate("retries", _P)), "{{pipeline}} retries"),
                    (_by("pipeline", _rate("restarts", _P)), "{{pipeline}} restarts"),
                    (
                        _by("pipeline", _rate("transactions", '{pipeline=~"$pipeline", outcome="aborted"}')),
                        "{{pipeline}} aborted",
                    ),
                ),
            ),
            Panel(
                "Left out",
                "Messages skipped by configuration, and partitions continued at another offset.",
                "ops",
                (
                    (_by("pipeline", _rate("messages_skipped", _P)), "{{pipeline}} skipped"),
                    (_by("pipeline", _rate("offset_jumps", _P)), "{{pipeline}} offset jumps"),
                ),
            ),
        ),
    ),
)
