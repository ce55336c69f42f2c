"""A real run, scraped by a real Prometheus: every dashboard query returns data and every rule evaluates."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from labelstream.deploy.observability.metrics.table import METRICS
from tests.kafka import KafkaBroker
from tests.monitoring.collector import Collector
from tests.monitoring.prometheus import Prometheus, free_port
from tests.support.models import build
from tests.support.streams import produce, read_results, wait_until

DASHBOARD = Path(__file__).parents[2] / "helm/labelstream/files/dashboard.json"
START_S, SHOWN_S = 240.0, 60.0
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GOOD, BAD, SKIPPED = 3_000, 40, 10
# Metrics that this run cannot have.
NO_GPU = {"labelstream_model_memory_bytes"}
NOT_HERE = ('kind="used"', "labelstream:label_shift:ratio")  # a GPU; a day of labels (tested in alerts_test.yaml)


class Run(NamedTuple):
    """`folder`: contains the run's log, `run.log`."""

    prometheus: Prometheus
    collector: Collector
    folder: Path


def _config(broker: KafkaBroker, collector: Collector, folder: Path, http_port: int) -> Path:
    for topic in ("in", "out", "bad", "once-in", "once-out", "once-bad", "once-routed", "list-in", "list-out"):
        broker.create_topic(topic, 2)
    pipeline = {"model": "tiny", "on_empty_text": "skip"}
    config = folder / "labelstream.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "kafka": {"bootstrap_servers": broker.bootstrap, "session_timeout_ms": 6_000},
                "logs": {"format": "json"},
                "tracing": {"endpoint": collector.endpoint, "sample": 1},
                "models": {
                    "tiny": {"source": str(build(folder / "model")), "replicas": {"min": 1, "max": 2}, "threshold": 0.5}
                },
                "http": {"port": http_port},
                "pipelines": {
                    "lists": {
                        **pipeline,
                        "fields": {"text": "texts[*]"},
                        "input": "list-in",
                        "output": "list-out",
                        "dead_letter": "bad",
                    },
                    "plain": {**pipeline, "input": "in", "output": "out", "dead_letter": "bad"},
                    "once": {
                        **pipeline,
                        "input": "once-in",
                        "output": "once-out",
                        "dead_letter": "once-bad",
                        "delivery": "exactly_once",
                        "route": [{"min_score": 0, "topic": "once-routed"}],  # all of them
                    },
                },
            }
        )
    )
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder, port, http_port = tmp_path_factory.mktemp("monitored"), free_port(), free_port()
    with KafkaBroker() as broker, Collector() as collector, (folder / "run.log").open("wb") as log:
        config = _config(broker, collector, folder, http_port)
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("labelstream")), "run", "-c", str(config), "--metrics-port", str(port)],
            stdout=log,
            stderr=log,
            start_new_session=True,
            # Metrics every second, so that a test sees them; the default is every ten seconds.
            env={**os.environ, "RAY_metrics_report_interval_ms": "1000"},
        )
        try:
            with Prometheus(f"127.0.0.1:{port}", folder) as prometheus:
                assert prometheus.wait_for('count(ray_labelstream_workers{state="running"} == 1) == 3', START_S), (
                    _end_of(folder)
                )
                _ask(http_port)
                produce(broker.bootstrap, "list-in", [(b"key", b'{"texts": ["a good text", ""]}')])
                assert len(read_results(broker.bootstrap, "list-out", 1, START_S)) == 1, _end_of(folder)
                for topic in ("in", "once-in"):
                    produce(broker.bootstrap, topic, _messages(), headers=[("traceparent", TRACE.encode())])
                for topic in ("out", "once-routed"):
                    assert len(read_results(broker.bootstrap, topic, GOOD, START_S)) == GOOD, _end_of(folder)
                shown = f"count(sum by (pipeline) (ray_labelstream_results_total) == {GOOD}) == 2"
                assert prometheus.wait_for(shown, SHOWN_S)
                # Autoscaling observes for a while before it acts.
                assert prometheus.wait_for("count(ray_labelstream_replicas_wanted) == 4", SHOWN_S), _end_of(folder)
                yield Run(prometheus, collector, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def _ask(http_port: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{http_port}/classify", b'{"text": "a good text"}', {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.status == 200


def _messages() -> list[tuple[bytes, bytes]]:
    texts = [f"a good text, number {number}" for number in range(GOOD)] + [""] * SKIPPED
    values = [json.dumps({"text": text}).encode() for text in texts] + [b"not json"] * BAD
    return [(b"key-%d" % number, value) for number, value in enumerate(values)]


def _end_of(folder: Path) -> str:
    return (folder / "run.log").read_text()[-3000:]


def _number(run: Run, expression: str) -> float:
    (found,) = run.prometheus.query(expression)
    return float(found["value"][1])


def _panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def _filled(expression: str) -> str:
    """The expression as Grafana sends it, for all pipelines and models."""
    for name, value in {"$__rate_interval": "5m", "$pipeline": ".*", "$model": ".*"}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_log_lines_are_json_without_texts(run: Run) -> None:
    lines = [json.loads(line) for line in (run.folder / "run.log").read_text().splitlines()]
    assert any("everything runs" in line["message"] for line in lines)
    files = Path("/tmp").glob("labelstream-*/ray/session_latest/logs/worker-*.err")
    ours = [text for file in files if '"pipeline-plain"' in (text := file.read_text())]
    (text,) = ours
    said = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    letters = [line for line in said if line.get("reason") == "invalid_json"]
    assert letters
    assert {line["partition"] for line in letters} <= {0, 1}
    assert all(
        line["topic"] == "in" and line["offset"] >= 0 and line["deployment"] == "pipeline-plain" for line in letters
    )
    assert "not json" not in text
    assert "a good text" not in text


def test_trace_links_message_to_micro_batch_and_forward(run: Run) -> None:
    """Each process exports its spans at its own times."""

    def deployments() -> set[str]:
        return {place["labelstream.deployment"] for place, _ in run.collector.spans}

    def calls_of_batches() -> bool:
        batches = {batch.span_id for batch in run.collector.named("process in")}
        return bool(batches) and {call.parent_span_id for call in run.collector.named("classify tiny")} >= batches

    def forwards_of_calls() -> bool:
        known = {call.span_id for call in run.collector.named("classify tiny")}
        return any({link.span_id for link in forward.links} & known for forward in run.collector.named("forward"))

    everybody = {"pipeline-lists", "pipeline-plain", "pipeline-once", "model-tiny", "gateway"}
    wait_until(lambda: deployments() >= everybody, 30, "everybody's spans")
    wait_until(calls_of_batches, 30, "the calls' spans")
    wait_until(forwards_of_calls, 30, "the forwards' spans")
    assert deployments() == everybody
    assert all(
        [link.trace_id.hex() for link in batch.links] == [TRACE.split("-")[1]]
        for batch in run.collector.named("process in")
    )


def test_every_documented_metric_is_exported_with_labels(run: Run) -> None:
    for metric in METRICS.values():
        for name in metric.exported():
            found = run.prometheus.query(name)
            assert bool(found) is (metric.name not in NO_GPU), name
            wanted = {*metric.labels, "le"} if name.endswith("_bucket_total") else set(metric.labels)
            assert all(wanted <= series["metric"].keys() for series in found), name


def test_every_exported_metric_is_documented(run: Run) -> None:
    names = {series["metric"]["__name__"] for series in run.prometheus.query('{__name__=~"ray_labelstream.*"}')}
    assert names <= {name for metric in METRICS.values() for name in metric.exported()}


def test_metric_values_match_produced_messages(run: Run) -> None:
    for pipeline in ("plain", "once"):
        where = f'{{pipeline="{pipeline}"}}'
        assert _number(run, f"sum(ray_labelstream_messages_received_total{where})") == GOOD + BAD + SKIPPED
        assert _number(run, f"sum(ray_labelstream_results_total{where})") == GOOD
        assert _number(run, f"sum(ray_labelstream_labels_total{where})") == GOOD
        assert _number(run, f"sum(ray_labelstream_messages_skipped_total{where})") == SKIPPED
        dead = f'ray_labelstream_dead_letters_total{{pipeline="{pipeline}",reason="invalid_json"}}'
        assert _number(run, f"sum({dead})") == BAD
        counted = f'sum(ray_labelstream_message_latency_seconds_bucket_total{{pipeline="{pipeline}",le="+Inf"}})'
        wait_until(lambda counted=counted: _number(run, counted) == GOOD + BAD, 30, "the last latencies")
        wait_until(lambda where=where: _number(run, f"sum(ray_labelstream_lag_messages{where})") == 0, 30, "no lag")
    assert _number(run, 'sum(ray_labelstream_results_routed_total{topic="once-routed"})') == GOOD
    assert _number(run, "sum(ray_labelstream_model_sequences_total)") == 2 * GOOD + 2
    assert _number(run, 'sum(ray_labelstream_transactions_total{outcome="committed"})') >= 1
    run_tokens = _number(run, "sum(ray_labelstream_model_run_tokens_total)")
    assert 0.5 < run_tokens / _number(run, "sum(ray_labelstream_model_run_slots_total)") < 1


@pytest.mark.parametrize("panel", _panels(), ids=lambda panel: panel["title"])
def test_every_dashboard_query_returns_data(run: Run, panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        found = run.prometheus.query(_filled(target["expr"]))
        assert bool(found) is not any(part in target["expr"] for part in NOT_HERE), target["expr"]
        legend = re.findall(r"{{(\w+)}}", target["legendFormat"])
        assert all(label in series["metric"] for series in found for label in legend), target["legendFormat"]


def test_rules_evaluate_and_no_alert_fires(run: Run) -> None:
    wait_until(lambda: all(rule["health"] == "ok" for rule in run.prometheus.rules()), 90, "an evaluation of all rules")
    assert len(run.prometheus.rules()) > 10
    assert run.prometheus.query('ALERTS{alertstate="firing"}') == []
