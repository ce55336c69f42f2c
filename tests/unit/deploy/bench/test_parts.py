"""What the benchmarks of Serve and of the stream are made of, without either."""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelstream.deploy.bench.baselines.null_model import NullPredictor
from labelstream.deploy.bench.baselines.transformers_pipeline import padding_waste
from labelstream.deploy.bench.harness.application import cpu_s
from labelstream.deploy.bench.harness.load_generator import librdkafka_config
from labelstream.deploy.bench.harness.texts import nth_text
from labelstream.deploy.bench.harness.topics import group_of, plain, settings_for, topics_of
from labelstream.deploy.bench.measures.plot import against_latency
from labelstream.deploy.bench.measures.timing import percentiles, timed
from labelstream.deploy.bench.suites import serving, stream
from labelstream.workers.engine.ragged import RaggedSequences
from labelstream.workers.settings import KafkaSettings
from tests.support.fake_handle import description

KAFKA = KafkaSettings(bootstrap_servers="h:1")


def test_percentiles_are_of_what_was_measured() -> None:
    assert percentiles([float(value) for value in range(101)]) == {"p50": 50.0, "p99": 99.0}
    assert percentiles([7.0]) == {"p50": 7.0, "p99": 7.0}
    assert percentiles([]) == {}


def test_cpu_is_of_all_threads_and_of_other_processes_as_well() -> None:
    before = cpu_s(os.getpid())
    took = timed(lambda: sum(range(300_000)))
    assert took.cpu_s > 0
    assert cpu_s(os.getpid()) - before >= took.cpu_s
    assert cpu_s(os.getppid()) >= 0
    assert abs(cpu_s(os.getpid()) - time.process_time()) < 1


def test_no_text_comes_twice_however_many_are_asked_for() -> None:
    texts = ["a", "b c", "d"]
    many = [nth_text(texts, number) for number in range(300)]
    assert many[:5] == [*texts, "a 1", "b c 1"]
    assert len(set(many)) == 300


def test_padding_is_what_the_order_of_arrival_makes_of_it() -> None:
    assert padding_waste(np.array([1, 3, 2, 2, 4]), 2) == pytest.approx(1 - 12 / (6 + 4 + 4))
    assert padding_waste(np.array([1, 3]), 1) == 0


@pytest.mark.parametrize(
    ("busy", "parts", "named"),
    [
        ((0.95, 0.2), (30, 60, 10), "device"),
        ((0.5, 0.3), (30, 60, 10), "Serve"),
        ((0.5, 0.95), (30, 60, 10), "Kafka"),
        ((0.5, 0.95), (30, 90, 50), "tokenizer"),
        ((0.5, 0.95), (30, 90, 10), "worker"),
    ],
)
def test_who_is_busy_is_what_limits(busy: tuple[float, float], parts: tuple[float, float, float], named: str) -> None:
    assert stream.limit(*busy, *parts).startswith(f"{named}: the device is busy for {busy[0]:.0%}")


@pytest.mark.parametrize(
    ("shares", "named"),
    [
        ((0.9, 0.1), "device"),
        ((0.5, 0.5), "Serve"),
        ((0.5, 0.9), "tokenizer"),
    ],
)
def test_what_limits_behind_serve(shares: tuple[float, float], named: str) -> None:
    assert serving.limit(*shares, tokenize_us=30, caller_us=40).startswith(f"{named}: ")
    assert serving.limit(*shares, tokenize_us=10, caller_us=40).startswith("device" if named == "device" else "Serve")


def test_a_model_that_takes_no_time_answers_as_the_real_one_would() -> None:
    packed = RaggedSequences(np.zeros(5, np.int32), np.array([2, 3], np.int32))
    scored = NullPredictor(description(labels=("a", "b", "c"))).predict(packed, 2)
    assert scored.label_ids is not None
    assert scored.label_ids.tolist() == [[0, 1], [0, 1]]
    assert scored.scores.shape == (2, 2)
    assert not scored.errors


def test_the_application_has_topics_and_groups_of_its_own() -> None:
    topics = {"p": topics_of("one"), "x": topics_of("two")}
    settings = settings_for(KAFKA, {"source": "x"}, topics, {"x": "exactly_once"})
    assert settings.pipelines["p"].input == "labelstream-bench.one.texts"
    assert settings.group_id("x") == group_of(topics_of("two")) == "labelstream-bench.two"
    assert [settings.pipelines[name].delivery for name in ("p", "x")] == ["at_least_once", "exactly_once"]
    plan = stream.StreamPlan("m", None, 1, 8, "auto", "auto", 2, kafka=KAFKA, run="r")
    assert len(set(plan.topics())) == 7
    assert len(set(plan.groups())) == 5


def test_secrets_are_given_to_librdkafka_and_to_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hidden\n")
    security: Any = {
        "protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "username": "u",
        "ca_file": "/ca",
        "password_file": str(tmp_path / "password"),
    }
    kafka = KafkaSettings(bootstrap_servers="h:1", security=security)
    config = librdkafka_config(kafka)
    assert config["sasl.password"] == "hidden"
    assert (config["security.protocol"], config["ssl.ca.location"]) == ("SASL_SSL", "/ca")
    assert "ssl.key.location" not in config
    assert "hidden" not in json.dumps(plain(kafka))
    assert librdkafka_config(KAFKA) == {"bootstrap.servers": "h:1", "security.protocol": "PLAINTEXT", "log_level": 2}


def test_a_picture_has_a_point_for_each_load(tmp_path: Path) -> None:
    load = [
        {"share": share, "results_per_s": 50 * share, "latency_ms": {"p50": 30 / (1.2 - share), "p99": 300.0}}
        for share in (0.1, 0.5, 1.0)
    ]
    figures = {
        "hardware": "2 cores",
        "stream": {"texts_per_s": 50.0},
        "latency": {"light": {"forward_ms": {"p50": 20.0}}, "load": load},
    }
    against_latency(figures, "a model", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
