"""The checks of this machine for one config: GPUs, and a port for metrics."""

import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.application import machine_check
from labelstream.deploy.cli.application.machine_check import local_findings
from labelstream.deploy.cluster.metrics_endpoint import MetricsAddress
from labelstream.workers.config_file import load_settings
from labelstream.workers.settings.application import Settings
from labelstream.workers.stream.broker.finding import Finding


@pytest.fixture(autouse=True)
def sound_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Finding("memory", "enough", logging.INFO), Finding("output", "ascii", logging.WARNING)]
    monkeypatch.setattr(machine_check, "machine_findings", lambda settings: found)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """gpus(2): this machine has 2 GPUs."""
    return lambda count: monkeypatch.setattr(machine_check, "gpus_here", lambda: count)


def settings(**models: dict[str, Any]) -> Settings:
    """Settings with one pipeline for each model except `unused`."""
    pipelines = {
        name: {"input": "in", "output": "out", "dead_letter": "dlq", "model": name, "group_id": name}
        for name in models
        if name != "unused"
    }
    sources = {name: {"source": "x", **model} for name, model in models.items()}
    return load_settings({"kafka": {"bootstrap_servers": "k:1"}, "models": sources, "pipelines": pipelines})


def texts(settings: Settings, metrics: MetricsAddress | None = None) -> list[str]:
    doubt, *findings = local_findings(settings, metrics)
    assert str(doubt) == "output: ascii"
    assert all(finding.is_problem for finding in findings)
    return [str(finding) for finding in findings]


def test_models_on_cpu_have_no_findings(gpus: Any) -> None:
    gpus(0)
    assert texts(settings(a={}, b={"device": "cpu"}, unused={"device": "cuda"})) == []


def test_model_with_gpu_on_machine_without_gpu_is_named(gpus: Any) -> None:
    gpus(0)
    wanted = "but this machine has none; set device to cpu, or run on a cluster with GPUs (--address)"
    assert texts(settings(a={"device": "cuda"}, b={"num_gpus": 0.5}, c={})) == [
        f"models.a.num_gpus: each replica reserves 1 GPU, {wanted}",
        f"models.b.num_gpus: each replica reserves 0.5 GPU, {wanted}",
    ]


def test_more_replicas_than_gpus_are_named(gpus: Any) -> None:
    gpus(2)
    replicas = {"min": 1, "max": 5}
    assert texts(settings(a={"device": "cuda", "replicas": replicas}, b={"num_gpus": 1})) == []
    [text] = texts(settings(a={"device": "cuda", "replicas": replicas}, b={"num_gpus": 1, "replicas": 2}))
    assert text.startswith("models.a,b: the replicas reserve 3 GPUs in total, but this machine has 2; lower")


def test_gpu_that_would_lie_idle_is_named(gpus: Any) -> None:
    gpus(1)
    [text] = texts(settings(a={"device": "cpu", "num_gpus": 1}))
    assert text.startswith("models.a.num_gpus: is 1 beside device cpu")


def test_hidden_gpus_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import accelerators

    class Manager:
        @staticmethod
        def get_current_node_num_accelerators() -> int:
            return 4

        visible: list[str] | None = None

        @classmethod
        def get_current_process_visible_accelerator_ids(cls) -> list[str] | None:
            return cls.visible

    monkeypatch.setattr(accelerators, "get_accelerator_manager_for_resource", lambda _: Manager)
    found = []
    for Manager.visible in (None, [], ["0", "2"]):
        found.append(machine_check.gpus_here())
    assert found == [4, 0, 2]


def test_occupied_metrics_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = MetricsAddress("127.0.0.1", taken.getsockname()[1])
        assert texts(settings(a={}), at) == [
            f"--metrics-port: port {at.port} is not free (Address already in use); give another one"
        ]
    assert texts(settings(a={}), at) == []


def http_settings(**http: Any) -> Settings:
    return load_settings({"models": {"a": {"source": "x", "device": "cpu"}}, "http": http})


def test_taken_http_port_is_named(gpus: Any) -> None:
    gpus(0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        [found] = texts(http_settings(port=port))
        others = local_findings(http_settings(port=port), runs=True)
    assert found == f"http.port: port {port} is not free (Address already in use); give another one"
    assert "http.port" not in [finding.key for finding in others]


def test_token_without_tls_is_a_warning(gpus: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    gpus(0)
    with socket.socket() as free:
        free.bind(("0.0.0.0", 0))
        port = free.getsockname()[1]
    _, found = local_findings(http_settings(host="0.0.0.0", port=port, token_file=str(token)))
    assert found.level == logging.WARNING
    assert str(found).startswith("http.cert_file: is not set, so the token and the texts travel unencrypted")
