"""`labelstream bench stream` and `bench serve` on a real Ray and a real Kafka: complete and consistent figures."""

from pathlib import Path

import pytest

from labelstream.deploy.bench.suites import engine, latency, serving, stream
from labelstream.deploy.cli.bench import view
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.stats import Stages
from tests.kafka import Broker
from tests.support import models

pytestmark = pytest.mark.timeout(600)


def test_bench_stream_reports_consistent_figures(
    kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = stream.StreamPlan(
        str(models.build(tmp_path)),
        None,
        40,
        12,
        "float32",
        "cpu",
        1,
        kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap),
        run=tmp_path.name,
        light=3,
        load_s=0.5,
        null_count=600,
    )
    for topic in plan.topics():
        kafka.create_topic(topic, 2)
    told = stream.measure(plan, lambda text: None)
    assert told["stream"]["texts_per_s"] > 0
    assert told["stream"]["of_engine"] == pytest.approx(
        told["stream"]["texts_per_s"] / told["engine"]["texts_per_s"], rel=0.01
    )
    assert told["stream"]["dead_letters"] == 0
    assert 0 < told["engine"]["mfu"] < 1 > told["engine"]["padding_waste"] >= 0
    assert min(told["pipeline"]["default_texts_per_s"], told["pipeline"]["same_dtype_texts_per_s"]) > 0
    worker = told["worker"]
    assert worker["own_cpu_us_per_message"] == pytest.approx(
        worker["cpu_us_per_message"] - worker["kafka_python_us_per_message"], abs=0.1
    )
    light = told["latency"]["light"]
    assert 0 < light["forward_ms"]["p50"] < min(light["worker_ms"]["p50"], light["way_ms"]["p50"])
    assert set(light["stages_ms"]) == set(Stages._fields)
    assert min(stage["p50"] for stage in light["stages_ms"].values()) >= 0
    assert light["stages_ms"]["classify"]["p50"] > light["forward_ms"]["p50"]
    view.show_stream(told)
    said = " ".join(capsys.readouterr().out.split())
    inside = light["worker_over_forward_ms"]["p50"]
    assert f"in the worker, from the poll to the acknowledgement, without the forward: p50 {inside:.1f}" in said
    assert [point["share"] for point in told["latency"]["load"]] == list(latency.SHARES)
    assert told["hardware"]
    assert told["limit"].partition(":")[0] in ("device", "Serve", "Kafka", "tokenizer", "worker")


def test_bench_serve_reports_consistent_figures(tmp_path: Path) -> None:
    plan = engine.Plan(str(models.build(tmp_path)), None, 40, 12, "float32", "cpu", 1)
    told = serving.measure(plan, lambda text: None)
    assert told["hardware"]
    assert told["serve"]["texts_per_s"] > 0 < told["textbook"]["texts_per_s"]
    assert [len(way["latency_ms"]) for way in told["ways"]] == [2, 2]
