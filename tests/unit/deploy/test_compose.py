"""The compose file agrees with the configs, the chart's files and the tests' Kafka. Its form: tests/deploy_files."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from labelstream.workers.config_file import read_config_file

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]


def default(text: str) -> str:
    """What Compose makes of ${NAME:-default} where the variable is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def mounts(service: str) -> dict[str, Path]:
    """Files and folders of ours, by where they are in the container."""
    found = {}
    for volume in SERVICES[service]["volumes"]:
        source, target = default(volume).removesuffix(":ro").split(":")
        if source.startswith("."):
            found[target] = (DEPLOY / source).resolve()
    return found


def test_kafka_is_the_tested_one() -> None:
    pom = (ROOT / "tests" / "kafka" / "pom.xml").read_text()
    version = re.search(r"<artifactId>kafka_2.13</artifactId>\s*<version>([^<]+)<", pom)
    assert version is not None
    assert SERVICES["kafka"]["image"] == SERVICES["topics"]["image"] == f"apache/kafka:{version[1]}"


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any("network_mode" in service or "privileged" in service for service in SERVICES.values())


def test_the_topics_are_those_of_the_config() -> None:
    config = read_config_file(mounts("worker")["/etc/labelstream.yaml"])
    named = {
        pipeline[key]
        for pipeline in config["pipelines"].values()
        for key in ("input", "output", "dead_letter", "review")
        if key in pipeline
    }
    assert set(default(SERVICES["topics"]["environment"]["TOPICS"]).split()) == named


def test_the_worker_finds_the_broker_inside() -> None:
    inside = SERVICES["worker"]["environment"]["LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS"]
    assert f"INSIDE://{inside}" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_what_is_mounted_is_there() -> None:
    for service in ("worker", "prometheus", "grafana"):
        for path in mounts(service).values():
            assert path.exists(), path


def test_prometheus_and_grafana_find_each_other_and_their_files() -> None:
    monitoring = DEPLOY / "monitoring"
    prometheus = yaml.safe_load((monitoring / "prometheus.yaml").read_text())
    assert mounts("prometheus")["/etc/prometheus/prometheus.yml"] == monitoring / "prometheus.yaml"
    (pattern,) = prometheus["rule_files"]
    assert any(Path(target).match(pattern) for target in mounts("prometheus"))
    for job in prometheus["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            assert target.split(":")[0] in SERVICES
    grafana = mounts("grafana")
    provisioned = grafana["/etc/grafana/provisioning/datasources"]
    (source,) = yaml.safe_load((provisioned / "prometheus.yaml").read_text())["datasources"]
    assert urlsplit(source["url"]).hostname in SERVICES
    provider = yaml.safe_load((grafana["/etc/grafana/provisioning/dashboards"] / "labelstream.yaml").read_text())
    folder = provider["providers"][0]["options"]["path"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in grafana
    assert home.startswith(f"{folder}/")
