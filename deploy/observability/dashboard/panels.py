"""What the dashboard shows: rows of panels, each with its queries, in the order in which an operator asks."""

from typing import NamedTuple


class Panel(NamedTuple):
    """`unit`: Grafana's name of it. `queries`: PromQL and the legend of each. `stacked`: parts of a whole."""

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
                "In the log, without a result.",
                "short",
                (
                    (
                        f"sum by (pipeline) (max by (pipeline, partition) (ray_labelstream_lag_messages{_P}))",
                        "{{pipeline}}",
                    ),
                ),
            ),
            Panel(
                "Age of the oldest",
                "How long the first message without a result has been in the log.",
                "s",
                ((f"max by (pipeline) (ray_labelstream_oldest_message_age_seconds{_P})", "{{pipeline}}"),),
            ),
            Panel(
                "Alarms",
                "What `labelstream status` tells in words.",
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
                "From a message's Kafka timestamp to its acknowledged, or committed, result.",
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
                "Of each pipeline, those that report.",
                "short",
                ((f"max by (pipeline, state) (ray_labelstream_workers{_P}) > 0", "{{pipeline}} {{state}}"),),
            ),
            Panel(
                "Model replicas",
                "Those that report.",
                "short",
                ((f"max by (model) (ray_labelstream_model_replicas{_M})", "{{model}}"),),
            ),
            Panel(
                "Replicas wanted",
                "What the autoscaling asks Serve for.",
                "short",
                (("max by (deployment) (ray_labelstream_replicas_wanted)", "{{deployment}}"),),
            ),
            Panel(
                "Arrivals",
                "Messages per second that come in, as the autoscaling sees them.",
                "ops",
                ((f"max by (pipeline) (ray_labelstream_arrival_messages_per_second{_P})", "{{pipeline}}"),),
            ),
            Panel(
                "Work that waits",
                "Estimated tokens.",
                "short",
                ((f"max by (pipeline, model) (ray_labelstream_lag_tokens{_P})", "{{pipeline}} for {{model}}"),),
            ),
            Panel(
                "A worker's CPU per message",
                "All threads of the process.",
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
                "Per second, without padding.",
                "ops",
                ((_by("model", _rate("model_tokens", _M)), "{{model}}"),),
            ),
            Panel(
                "Busy",
                "Share of time that the average device works.",
                "percentunit",
                ((f"avg by (model) ({_rate('model_busy_seconds', _M)})", "{{model}}"),),
            ),
            Panel(
                "Padding",
                "Share of what the device computes.",
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
                "From a call's arrival at a replica to its batch's start.",
                "s",
                _p50_p99("model_queue_wait_seconds", _M, "model"),
            ),
            Panel("Batches on the device", "What a batch takes.", "s", _p50_p99("model_forward_seconds", _M, "model")),
            Panel(
                "Tokens of a batch", "On average.", "short", ((_mean("model_batch_tokens", _M, "model"), "{{model}}"),)
            ),
            Panel(
                "Failed batches",
                "Per second; each is tried again.",
                "ops",
                ((_by("model", _rate("model_failed_batches", _M)), "{{model}}"),),
            ),
            Panel(
                "GPU memory",
                "Used by the model and what it computes; none on a CPU.",
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
                "How far the shares of the last half hour are from those of the day before; 0: not, 1: wholly.",
                "percentunit",
                (("labelstream:label_shift:ratio", "{{pipeline}} {{model}}"),),
            ),
            Panel(
                "Abstained",
                "Share of the results without a label.",
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
        "Delivery",
        (
            Panel(
                "Waiting by partition",
                "Messages in the log, without a result.",
                "short",
                ((f"max by (pipeline, partition) (ray_labelstream_lag_messages{_P})", "{{pipeline}}:{{partition}}"),),
            ),
            Panel(
                "In flight by partition",
                "Messages between poll and acknowledgement.",
                "short",
                (
                    (
                        f"max by (pipeline, partition) (ray_labelstream_messages_in_flight{_P})",
                        "{{pipeline}}:{{partition}}",
                    ),
                ),
            ),
            Panel(
                "Where a micro-batch's time goes",
                "On average: until it is decoded, classified, its turn, acknowledged.",
                "s",
                ((_mean("micro_batch_stage_seconds", _P, "pipeline, stage"), "{{pipeline}} {{stage}}"),),
            ),
            Panel("Commits", "From the request to the answer.", "s", _p50_p99("commit_seconds", _P, "pipeline")),
            Panel(
                "Transactions",
                "From the first record to the end of the commit; exactly once only.",
                "s",
                _p50_p99("transaction_seconds", _P, "pipeline"),
            ),
            Panel(
                "Asked again, begun again",
                "Calls to models made again, workers begun again, transactions aborted.",
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
                "Messages skipped by configuration, and partitions gone on with elsewhere.",
                "ops",
                (
                    (_by("pipeline", _rate("messages_skipped", _P)), "{{pipeline}} skipped"),
                    (_by("pipeline", _rate("offset_jumps", _P)), "{{pipeline}} offset jumps"),
                ),
            ),
        ),
    ),
)
