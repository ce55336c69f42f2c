"""The config on its way to Serve: the same tree as that of the local run, and what the chart adds to it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve._private.build_app import build_app
from ray.serve.schema import ServeDeploySchema

from labelstream.deploy import app
from labelstream.deploy.gateway.proxy.options import proxy_options
from labelstream.deploy.names import APP, deployment_names
from labelstream.workers.config_file import load_settings
from tests.helm.rendering import EVERYTHING, LEAST, ROOT, SETTINGS, Helm, config_of, groups_of, serve_config_of
from tests.support.pins import pins


def set_environment_of_a_pod(helm: Helm, values: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings that a Ray process finds in its environment there; a word in place of a secret."""
    head = helm.kuberay_makes(helm.text(values))["pods"]["head"]["spec"]["containers"][0]
    for entry in head["env"]:
        if entry["name"].startswith("LABELSTREAM_"):
            monkeypatch.setenv(entry["name"], entry.get("value", "secret"))


def given(values: Path) -> dict[str, Any]:
    return yaml.safe_load(values.read_text(encoding="utf-8"))["config"]


@pytest.mark.parametrize("values", SETTINGS, ids=lambda path: path.stem)
def test_serve_takes_it(helm: Helm, values: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment_of_a_pod(helm, values, monkeypatch)
    parsed = ServeDeploySchema.model_validate(serve_config_of(helm.objects(values)))
    (application,) = parsed.applications
    assert application.name == APP
    assert application.import_path == f"{app.__name__}:{app.build.__name__}"
    settings, expected = load_settings(dict(application.args)), given(values)
    assert (parsed.proxy_location, application.route_prefix) == (
        proxy_options(settings.http)["proxy_location"],
        app.route_prefix(settings),
    )
    assert set(settings.pipelines) == set(expected.get("pipelines", ()))
    assert settings.kafka is None or settings.kafka.bootstrap_servers.startswith("kafka")
    built = build_app(app.build(dict(application.args)), name=APP, default_runtime_env=None)
    assert len(built.deployments) == 1 + (settings.http is not None) + sum(map(len, deployment_names(settings)))


@pytest.mark.parametrize("values", SETTINGS, ids=lambda path: path.stem)
def test_nothing_of_the_config_is_lost_or_bent(helm: Helm, values: Path) -> None:
    rendered, expected = config_of(helm.objects(values)), given(values)
    for model in rendered["models"].values():
        model.pop("num_gpus", None)
    for model in expected["models"].values():
        model.pop("num_gpus", None)
    if "kafka" in expected:
        rendered["kafka"].pop("security", None)
        expected["kafka"].pop("security", None)
        assert rendered["kafka"].pop("node_labels") == {"labelstream/kafka": "allowed"}
    if "http" in expected:
        added = {key: rendered["http"].pop(key) for key in set(rendered["http"]) - set(expected["http"])}
        assert set(added) <= {"host", "port", "token_file", "cert_file", "key_file"}
    assert rendered == expected


def test_the_file_of_the_local_run_is_the_same(helm: Helm, tmp_path: Path) -> None:
    file, values = tmp_path / "labelstream.yaml", tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(given(LEAST)), encoding="utf-8")
    values.write_text(yaml.safe_dump({"image": {"repository": "labelstream"}}), encoding="utf-8")
    assert config_of(helm.objects(values, "--set-file", f"config={file}")) == config_of(helm.objects(LEAST))


def test_files_are_where_the_secrets_are_mounted(helm: Helm) -> None:
    folder, login = "/etc/labelstream/kafka-tls", "/etc/labelstream/kafka-login"
    assert config_of(helm.objects(EVERYTHING))["kafka"]["security"] == {
        "protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "ca_file": f"{folder}/ca.crt",
        "cert_file": f"{folder}/tls.crt",
        "key_file": f"{folder}/tls.key",
        "key_password_file": f"{login}/key_password",
        "password_file": f"{login}/password",
    }


def test_auto_takes_a_gpu_where_a_group_has_one(helm: Helm) -> None:
    def gpus(values: Path, *arguments: str) -> dict[str, Any]:
        models = config_of(helm.objects(values, *arguments))["models"]
        return {name: model.get("num_gpus") for name, model in models.items()}

    assert gpus(LEAST) == {"sentiment": 1}
    assert gpus(LEAST, "--set", "modelGroups.gpu=null") == {"sentiment": 0}
    assert gpus(LEAST, "--set", "config.models.sentiment.num_gpus=auto") == {"sentiment": 1}
    assert gpus(EVERYTHING) == {"sentiment": 1, "topics": 0.5, "tiny": None}  # its device says it


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"workers": (1, 1), "gpu": (0, 1)}),
        (["config.pipelines.feedback.workers=9"], {"workers": (3, 3), "gpu": (0, 1)}),
        (["config.pipelines.feedback.workers.min=5,config.pipelines.feedback.workers.max=9"], {"workers": (2, 3)}),
        (["config.pipelines.feedback.workers.max=9,workers.cpu=2"], {"workers": (1, 5)}),
        (["config.models.sentiment.replicas.max=7"], {"workers": (1, 1), "gpu": (0, 7)}),
        (["config.models.sentiment.replicas.max=7,modelGroups.gpu.gpu=4"], {"gpu": (0, 2)}),
        (["config.models.sentiment.replicas.max=7,config.models.sentiment.num_gpus=0.25"], {"gpu": (0, 2)}),
        (
            ["config.models.sentiment.replicas.max=7,config.models.sentiment.num_cpus=4,modelGroups.gpu.gpu=4"],
            {"gpu": (0, 7)},
        ),
        (["config.models.sentiment.replicas.max=7,modelGroups.gpu.maxReplicas=2"], {"gpu": (0, 2)}),
        # Without a group of their own the models without GPU share that of the workers.
        (["modelGroups.gpu=null,config.models.sentiment.replicas.max=6"], {"workers": (2, 3)}),
        (
            ["modelGroups.gpu=null,config.models.sentiment.num_cpus=3,config.models.sentiment.replicas=2"],
            {"workers": (3, 3)},
        ),
        (["modelGroups.gpu.gpu=0,config.models.sentiment.replicas.max=6"], {"workers": (1, 1), "gpu": (0, 2)}),
        (["autoscaler.idleTimeoutSeconds=5,workers.minReplicas=1,workers.maxReplicas=8"], {"workers": (1, 8)}),
    ],
    ids=str,
)
def test_how_many_machines(helm: Helm, arguments: list[str], expected: dict[str, tuple[int, int]]) -> None:
    groups = groups_of(helm.objects(LEAST, *(part for a in arguments for part in ("--set", a))))
    found = {name: (group["minReplicas"], group["maxReplicas"]) for name, group in groups.items()}
    assert {name: found[name] for name in expected} == expected
    for group in groups.values():
        assert group["replicas"] == group["minReplicas"]


def test_models_that_no_pipeline_uses_take_no_machines(helm: Helm) -> None:
    more = ("--set", "config.models.other.source=x,config.models.other.replicas=50,config.models.other.num_gpus=8")
    assert groups_of(helm.objects(LEAST, *more))["gpu"]["maxReplicas"] == 1


def test_without_the_autoscaler_all_pods_are_there(helm: Helm) -> None:
    groups = groups_of(helm.objects(LEAST, "--set", "autoscaler.enabled=false,config.models.sentiment.replicas.max=3"))
    assert groups["gpu"]["replicas"] == 3


def test_the_version_of_ray_is_that_of_the_tests() -> None:
    values = yaml.safe_load((ROOT / "helm" / "labelstream" / "values.yaml").read_text(encoding="utf-8"))
    assert values["rayVersion"] == pins()["ray"]
