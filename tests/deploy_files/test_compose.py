"""compose.yaml as Compose reads it, with its overrides, and the files that it mounts for Prometheus."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy_files.conftest import ROOT, Refused, deploycheck

DEPLOY = ROOT / "deploy"
COMPOSE, GPU, HTTP = (DEPLOY / f"compose{part}.yaml" for part in ("", ".gpu", ".http"))
Change = Callable[[Path, str, str], Path]


def test_compose_accepts_it() -> None:
    services = deploycheck("compose", COMPOSE)["services"]
    assert set(services) == {"kafka", "topics", "worker", "prometheus", "grafana"}
    worker = services["worker"]
    assert worker["build"] == {"context": str(ROOT), "dockerfile": "deploy/Dockerfile", "args": {"DEVICE": "cpu"}}
    assert (ROOT / worker["build"]["dockerfile"]).is_file()
    assert worker["read_only"] is True
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_the_override_asks_for_gpus_and_changes_nothing_else() -> None:
    plain, gpu = (deploycheck("compose", *files)["services"]["worker"] for files in ([COMPOSE], [COMPOSE, GPU]))
    assert gpu["deploy"]["resources"]["reservations"]["devices"] == [
        {"driver": "nvidia", "count": -1, "capabilities": ["gpu"]}
    ]
    assert gpu["build"]["args"] == {"DEVICE": "gpu"}
    changed = {key for key in gpu if gpu[key] != plain.get(key)}
    assert changed == {"deploy", "build", "image"}


def test_compose_http_publishes_on_loopback_with_a_token() -> None:
    services = deploycheck("compose", COMPOSE, HTTP, environment={"LABELSTREAM_HTTP__TOKEN": "word"})["services"]
    (port,) = services["worker"]["ports"]
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "8000", 8000)
    variables = services["worker"]["environment"]
    assert {key: value for key, value in variables.items() if "HTTP" in key} == {
        "LABELSTREAM_HTTP__HOST": "0.0.0.0",
        "LABELSTREAM_HTTP__PORT": "8000",
        "LABELSTREAM_HTTP__TOKEN": "word",
    }
    assert variables["LABELSTREAM_KAFKA__BOOTSTRAP_SERVERS"] == "kafka:19092"


def test_compose_http_without_token_is_refused() -> None:
    with pytest.raises(Refused, match="LABELSTREAM_HTTP__TOKEN is missing a value: set it to"):
        deploycheck("compose", COMPOSE, HTTP)


def test_another_config_and_its_topics_come_from_the_environment() -> None:
    environment = {"LABELSTREAM_CONFIG": "./examples/zero-shot.yaml", "LABELSTREAM_TOPICS": "a b"}
    services = deploycheck("compose", COMPOSE, environment=environment)["services"]
    assert services["worker"]["volumes"][0]["source"] == str(DEPLOY / "examples" / "zero-shot.yaml")
    assert services["topics"]["environment"] == {"TOPICS": "a b"}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    restart: unless-stopped", "    restrat: unless-stopped", "restrat"),
        ("condition: service_healthy", "condition: healthy", "service_healthy"),
        ("      kafka: {condition", "      kafak: {condition", "kafak"),
        ('["127.0.0.1:9092:9092"]', '["127.0.0.1:9092:90920"]', "90920"),
        ("  - models:/models", "  - model:/models", "model"),
        ("interval: 5s", "interval: 5 fathoms", "fathoms"),
    ],
)
def test_compose_would_refuse(changed: Change, old: str, new: str, problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        deploycheck("compose", changed(COMPOSE, old, new))


def test_prometheus_accepts_its_config() -> None:
    assert deploycheck("prometheus", DEPLOY / "monitoring" / "prometheus.yaml")["jobs"] == ["labelstream"]


def test_prometheus_would_refuse(changed: Change) -> None:
    wrong = changed(DEPLOY / "monitoring" / "prometheus.yaml", "scrape_interval", "scrape_intervall")
    with pytest.raises(Refused, match="scrape_intervall"):
        deploycheck("prometheus", wrong)
