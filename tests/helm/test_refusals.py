"""What cannot work, or would show a secret, is refused by its key and with the fix."""

from pathlib import Path

import pytest
import yaml

from tests.helm.rendering import CHART, EVERYTHING, LEAST, Helm

MODEL, PIPELINE, SECURITY = "config.models.sentiment", "config.pipelines.feedback", "config.kafka.security"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("image.repository=", ("image.repository", "deploy/Dockerfile")),
        ("metrics.prometheusRule.runbookBaseUrl=https://h/runbooks", ("runbookBaseUrl", "pattern '/$'")),
        (f"{SECURITY}.password=hunter2", ("config.kafka.security.password", "kafka.passwordSecret.name")),
        (
            f"{SECURITY}.key_password=hunter2",
            ("config.kafka.security.key_password", "kafka.tls.keyPasswordSecret.name"),
        ),
        (
            "extraEnv[0].name=LABELSTREAM_KAFKA__SECURITY__PASSWORD,extraEnv[0].value=hunter2",
            ("extraEnv", "LABELSTREAM_KAFKA__SECURITY__PASSWORD", "valueFrom.secretKeyRef"),
        ),
        ("extraEnv[0].name=HF_TOKEN,extraEnv[0].value=hunter2", ("extraEnv", "HF_TOKEN", "valueFrom.secretKeyRef")),
        *(
            (f"extraEnv[0].name={name},extraEnv[0].value=hunter2", (name, "valueFrom.secretKeyRef"))
            for name in ("OTEL_EXPORTER_OTLP_HEADERS", "AWS_SECRET_ACCESS_KEY", "REDIS_PASS", "SSL_KEY")
        ),
        (
            f"kafka.passwordSecret.name=x,{SECURITY}.protocol=SASL_SSL,{SECURITY}.password_file=/p",
            (f"{SECURITY}.password_file", "kafka.passwordSecret.name", "remove one"),
        ),
        (f"{SECURITY}.protocol=SASL_SSL", ("kafka.passwordSecret.name", "SASL_SSL")),
        ("kafka.passwordSecret.name=x", ("kafka.passwordSecret.name", "SASL_SSL")),
        ("modelGroups.gpu.env[0].name=HF_TOKEN,modelGroups.gpu.env[0].value=hunter2", ("HF_TOKEN", "secretKeyRef")),
        ("kafka.tls.secret=x", ("kafka.tls.secret", "config.kafka.security.protocol")),
        (f"kafka.tls.secret=x,{SECURITY}.protocol=SSL,{SECURITY}.ca_file=/ca", (f"{SECURITY}.ca_file", "remove one")),
        ("config.models=null", ("config.models", "--set-file config=")),
        (f"{PIPELINE}.model=other", ("other", "config.models", "sentiment")),
        ("modelGroups.gpu=null,config.models.sentiment.num_gpus=1", ("modelGroups", MODEL, "num_gpus to 0")),
        (f"{MODEL}.num_gpus=2", ("modelGroups", MODEL, "gpu")),
        (f"{MODEL}.num_cpus=64", ("modelGroups", MODEL, "num_cpus")),
        (f"{MODEL}.replicas=5,modelGroups.gpu.maxReplicas=2", ("modelGroups", MODEL, "5 replicas", "maxReplicas")),
        (
            f"{MODEL}.replicas=5,modelGroups.b.cpu=4,modelGroups.b.memory=8Gi,modelGroups.b.gpu=1",
            ("modelGroups.b.maxReplicas", "is empty"),
        ),
        (f"{PIPELINE}.workers=9,workers.maxReplicas=2", ("workers.maxReplicas", "minimum of 3")),
        ("modelGroups.gpu.minReplicas=5,modelGroups.gpu.maxReplicas=2", ("modelGroups.gpu.minReplicas", "maxReplicas")),
        ("modelGroups.workers.cpu=4,modelGroups.workers.memory=8Gi", ("modelGroups.workers", "another")),
        ("modelGroups.head.cpu=4,modelGroups.head.memory=8Gi", ("modelGroups.head", "another")),
        ("podDisruptionBudgets.other=1", ("podDisruptionBudgets.other", "known: head, workers, gpu")),
        ("gcsFaultTolerance.enabled=true", ("gcsFaultTolerance.redisAddress", "redis:6379")),
        ("modelCache.kind=existingClaim", ("modelCache.existingClaim", "name the")),
        (r"podLabels.app\.kubernetes\.io/name=x", ("podLabels", "app.kubernetes.io/name")),
        (r"modelGroups.gpu.labels.ray\.io/group=x", ("podLabels", "ray.io/group")),
        ("fullnameOverride=1st", ("fullnameOverride", "1st")),
    ],
    ids=str,
)
def test_refused(helm: Helm, setting: str, words: tuple[str, ...]) -> None:
    message = helm.refusal(LEAST, "--set", setting)
    assert all(word in message for word in words), message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("unknown=1", "unknown"),
        ("image.repo=x", "repo"),
        ("workers.replicas=3", "replicas"),
        ("modelGroups.gpu.gpus=1", "gpus"),
        ("kafka.password=hunter2", "password"),
        ("workers.cpu=0", "cpu"),
        ("networkPolicy.kafka.port=1", "port"),
        ("upgrade.strategy=NewClusterWithIncrementalUpgrade", "strategy"),
        ("modelCache.kind=disk", "kind"),
        ("modelGroups.GPU.cpu=1", "GPU"),
        ("metrics.podMonitor.interval=often", "interval"),
        ("image.digest=latest", "digest"),
        ("config=5", "config"),
        ("podDisruptionBudgets.head=50%", "head"),
    ],
    ids=str,
)
def test_values_that_the_schema_refuses(helm: Helm, setting: str, word: str) -> None:
    message = helm.refusal(LEAST, "--set", setting)
    assert "values don't meet the specifications of the schema" in message
    assert word in message
    assert "hunter2" not in message


def test_nothing_is_installed_by_the_defaults_alone(helm: Helm, tmp_path: Path) -> None:
    empty = tmp_path / "values.yaml"
    empty.write_text("{}")
    assert "config.kafka: is missing" in helm.refusal(empty)


def test_a_file_that_is_no_yaml(helm: Helm, tmp_path: Path) -> None:
    file = tmp_path / "labelstream.yaml"
    file.write_text("kafka: {bootstrap")
    values = tmp_path / "values.yaml"
    values.write_text("image: {repository: x}")
    assert "config: is not valid YAML" in helm.refusal(values, "--set-file", f"config={file}")


def test_the_schema_knows_every_value(helm: Helm) -> None:
    """A value without its place in the schema could not be set at all; one that is only there would do nothing."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert set(schema["properties"]) - {"global"} == set(values)
    assert schema["additionalProperties"] is False


def test_names_that_are_too_long(helm: Helm) -> None:
    assert "fullnameOverride" in helm.refusal(LEAST, release="x" * 48)
    assert helm.objects(EVERYTHING, release="x" * 48)  # it has one
