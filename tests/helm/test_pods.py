"""The pods as KubeRay's own code makes them: ready, restricted, with secrets by reference only."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ray._private.ray_constants import RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S

from tests.helm.rendering import CHART, EVERYTHING, LEAST, SETTINGS, Helm, cluster_of, config_of, groups_of, of_kind

every_setting = pytest.mark.parametrize("values", SETTINGS, ids=lambda path: path.stem)
without_http = pytest.mark.parametrize(
    "values", [path for path in SETTINGS if "\n  http:" not in path.read_text()], ids=lambda path: path.stem
)


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def matches(selector: dict[str, str], pod: dict[str, Any]) -> bool:
    return selector.items() <= pod["metadata"]["labels"].items()


@every_setting
def test_restricted_pods(helm: Helm, values: Path) -> None:
    """The init container and the autoscaler's, which KubeRay adds, included."""
    made = helm.kuberay_makes(helm.text(values))
    assert made["violations"] == {}
    names = {container["name"] for pod in made["pods"].values() for container in containers(pod)}
    assert {"ray-head", "ray-worker", "wait-gcs-ready"} <= names


def test_a_pod_that_is_not_restricted_is_found(helm: Helm) -> None:
    text = helm.text(LEAST, "--set", "containerSecurityContext.allowPrivilegeEscalation=true")
    assert set(helm.kuberay_makes(text)["violations"]) == {"head", "workers", "gpu"}


@without_http
def test_no_probe_asks_for_a_proxy(helm: Helm, values: Path) -> None:
    """KubeRay's own does for a RayService's workers, and there is none: they would never be ready."""
    for pod in helm.kuberay_makes(helm.text(values))["pods"].values():
        ray = pod["spec"]["containers"][0]
        for probe in (ray["readinessProbe"], ray["livenessProbe"]):
            assert probe["httpGet"]["path"] == "/api/healthz"
            assert "8000" not in str(probe)


def test_without_our_probe_kuberay_asks_the_proxy(helm: Helm) -> None:
    """Why there is one. When this fails, KubeRay has learnt of clusters without proxies."""
    service = of_kind(helm.objects(LEAST), "RayService")
    for group in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]:
        del group["template"]["spec"]["containers"][0]["readinessProbe"]
    pods = helm.kuberay_makes(yaml.safe_dump(service))["pods"]
    assert ":8000/-/healthz" in str(pods["workers"]["spec"]["containers"][0]["readinessProbe"])


@every_setting
def test_services_find_their_pods(helm: Helm, values: Path) -> None:
    made = helm.kuberay_makes(helm.text(values))
    pods, services = made["pods"], made["services"]
    for service in ("cluster head", "head"):
        found = [name for name, pod in pods.items() if matches(services[service]["spec"]["selector"], pod)]
        assert found == ["head"]
        assert {port["name"] for port in services[service]["spec"]["ports"]} >= {"dashboard", "gcs-server"}
    # KubeRay counts the ready pods behind this Service, and calls the RayService ready when there is one.
    serving = {name for name, pod in pods.items() if matches(services["serve"]["spec"]["selector"], pod)}
    assert serving == set(pods) - {"head"}
    assert [port["name"] for port in services["serve"]["spec"]["ports"]] == ["serve"]


@every_setting
def test_policies_budgets_and_monitors_find_their_pods(helm: Helm, values: Path) -> None:
    objects = helm.objects(values)
    pods = helm.kuberay_makes(helm.text(values))["pods"]
    for thing in objects:
        selector = {"NetworkPolicy": "podSelector", "PodDisruptionBudget": "selector", "PodMonitor": "selector"}
        if thing["kind"] not in selector:
            continue
        labels = thing["spec"][selector[thing["kind"]]]["matchLabels"]
        found = {name for name, pod in pods.items() if matches(labels, pod)}
        component = labels.get("app.kubernetes.io/component")
        assert found == ({component} if component else set(pods))


def test_two_releases_leave_each_other_alone(helm: Helm) -> None:
    pods = helm.kuberay_makes(helm.text(LEAST, release="other"))["pods"]
    for thing in helm.objects(LEAST, release="demo"):
        if thing["kind"] == "NetworkPolicy":
            assert not any(matches(thing["spec"]["podSelector"]["matchLabels"], pod) for pod in pods.values())


def test_the_monitor_names_ports_that_there_are(helm: Helm) -> None:
    pods = helm.kuberay_makes(helm.text(EVERYTHING))["pods"]
    monitored = {e["port"] for e in of_kind(helm.objects(EVERYTHING), "PodMonitor")["spec"]["podMetricsEndpoints"]}
    ports = {port["name"]: port["containerPort"] for port in pods["head"]["spec"]["containers"][0]["ports"]}
    assert {name: ports[name] for name in monitored} == {"metrics": 8080, "as-metrics": 44217, "dash-metrics": 44227}
    for pod in pods.values():
        assert "--metrics-export-port=8080" in pod["spec"]["containers"][0]["args"][0]


def test_ray_is_told_what_the_pods_have(helm: Helm) -> None:
    pods = helm.kuberay_makes(helm.text(EVERYTHING))["pods"]
    starts = {name: pod["spec"]["containers"][0]["args"][0] for name, pod in pods.items()}
    assert "--num-cpus=0" in starts["head"]
    assert "--num-cpus=2" in starts["workers"]
    assert "--num-gpus=0" in starts["workers"]
    assert "--num-cpus=16" in starts["large"]
    assert "--num-gpus=4" in starts["large"]
    assert all("--object-store-memory=200000000" in start for start in starts.values())
    limits = {name: pod["spec"]["containers"][0]["resources"]["limits"] for name, pod in pods.items()}
    assert limits["large"]["nvidia.com/gpu"] == "4"
    assert "nvidia.com/gpu" not in limits["workers"]
    assert limits["workers"]["ephemeral-storage"] == "10Gi"


KAFKA_FILES = {"/etc/labelstream/kafka-tls", "/etc/labelstream/kafka-login"}
HUB_FILES = {"/etc/labelstream/hub-token"}


def test_pod_has_only_the_secrets_that_it_needs(helm: Helm) -> None:
    pods = helm.kuberay_makes(helm.text(EVERYTHING))["pods"]
    found = {
        name: {m["mountPath"] for m in pod["spec"]["containers"][0]["volumeMounts"]} & (KAFKA_FILES | HUB_FILES)
        for name, pod in pods.items()
    }
    assert found == {
        "head": KAFKA_FILES,
        "workers": KAFKA_FILES | HUB_FILES,
        "gpu": HUB_FILES,
        "large": HUB_FILES,
    }


def test_secrets_are_files_with_the_keys_that_were_named(helm: Helm) -> None:
    volumes = {v["name"]: v for v in helm.kuberay_makes(helm.text(EVERYTHING))["pods"]["workers"]["spec"]["volumes"]}
    assert volumes["kafka-tls"]["secret"] == {"secretName": "kafka-tls", "defaultMode": 0o440}
    assert volumes["kafka-login"]["projected"]["defaultMode"] == 0o440
    assert [source["secret"] for source in volumes["kafka-login"]["projected"]["sources"]] == [
        {"name": "kafka-key", "items": [{"key": "password", "path": "key_password"}]},
        {"name": "kafka-login", "items": [{"key": "password", "path": "password"}]},
    ]
    items = [{"key": "token", "path": "token"}]
    assert volumes["hub-token"]["secret"] == {"secretName": "hub-login", "items": items, "defaultMode": 0o440}


def test_environment_holds_no_secret_but_rays_own(helm: Helm) -> None:
    for name, pod in helm.kuberay_makes(helm.text(EVERYTHING))["pods"].items():
        variables = environment(pod["spec"]["containers"][0])
        references = {key for key, value in variables.items() if isinstance(value, dict) and "secretKeyRef" in value}
        user = {"LABELSTREAM_KAFKA__SECURITY__USERNAME"} if name in ("head", "workers") else set()
        assert references - {"REDIS_PASSWORD"} == {"RAY_AUTH_TOKEN"} | user
        assert variables["RAY_AUTH_MODE"] == "token"
        assert variables.get("HF_TOKEN_PATH") == (None if name == "head" else "/etc/labelstream/hub-token/token")


def test_ray_knows_which_pods_reach_kafka(helm: Helm) -> None:
    """KubeRay hands the labels to `ray start`, and Ray's autoscaler reads them of the group."""
    made, objects = helm.kuberay_makes(helm.text(EVERYTHING))["pods"], helm.objects(EVERYTHING)
    told = {
        n for n, pod in made.items() if "--labels=labelstream/kafka=allowed" in pod["spec"]["containers"][0]["args"][0]
    }
    assert told == {"head", "workers"}
    (labels,) = {tuple(config_of(objects)["kafka"]["node_labels"].items())}
    assert dict(labels) == groups_of(objects)["workers"]["labels"] == cluster_of(objects)["headGroupSpec"]["labels"]


@every_setting
def test_only_mounted_folders_can_be_written_to(helm: Helm, values: Path) -> None:
    for pod in helm.kuberay_makes(helm.text(values))["pods"].values():
        for container in containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
        assert {"name": "tmp", "emptyDir": {"sizeLimit": "20Gi"}} in pod["spec"]["volumes"]


def test_the_autoscaler_asks_with_the_token_too(helm: Helm) -> None:
    head = helm.kuberay_makes(helm.text(LEAST))["pods"]["head"]
    autoscaler = next(container for container in head["spec"]["containers"] if container["name"] == "autoscaler")
    assert environment(autoscaler)["RAY_AUTH_MODE"] == "token"
    assert environment(head["spec"]["containers"][0])["RAY_enable_autoscaler_v2"] == "true"
    assert head["spec"]["restartPolicy"] == "Never"


def test_the_heads_state_in_a_redis(helm: Helm) -> None:
    pods = helm.kuberay_makes(helm.text(EVERYTHING))["pods"]
    variables = environment(pods["head"]["spec"]["containers"][0])
    assert variables["RAY_REDIS_ADDRESS"] == "rediss://redis.cache:6380"
    assert variables["REDIS_USERNAME"] == "ray"
    workers = environment(pods["workers"]["spec"]["containers"][0])
    assert workers["RAY_gcs_rpc_server_reconnect_timeout_s"] == "600"
    assert "gcsFaultToleranceOptions" not in cluster_of(helm.objects(LEAST))


@pytest.mark.parametrize(
    ("setting", "volume", "variables"),
    [
        ("modelCache.kind=emptyDir", {"emptyDir": {"sizeLimit": "20Gi"}}, {"HF_HOME": "/var/cache/huggingface"}),
        (
            "modelCache.kind=claim",
            {"persistentVolumeClaim": {"claimName": "demo-models"}},
            {"HF_HOME": "/var/cache/huggingface"},
        ),
        (
            "modelCache.kind=existingClaim,modelCache.existingClaim=x,modelCache.mountPath=/m,hub.offline=true",
            {"persistentVolumeClaim": {"claimName": "x"}},
            {"HF_HOME": "/m", "HF_HUB_OFFLINE": "1"},
        ),
        ("modelCache.kind=none,hub.offline=true", None, {"HF_HUB_OFFLINE": "1"}),
    ],
    ids=str,
)
def test_model_cache(helm: Helm, setting: str, volume: Any, variables: dict[str, str]) -> None:
    for pod in helm.kuberay_makes(helm.text(LEAST, "--set", setting))["pods"].values():
        volumes = {v["name"]: {k: part for k, part in v.items() if k != "name"} for v in pod["spec"]["volumes"]}
        assert volumes.get("model-cache") == volume
        ray = pod["spec"]["containers"][0]
        mounted = {mount["name"]: mount["mountPath"] for mount in ray["volumeMounts"]}
        assert mounted.get("model-cache") == (variables.get("HF_HOME") if volume else None)
        found = {name: value for name, value in environment(ray).items() if name.startswith("HF_")}
        assert found == variables


def test_what_a_group_sets_wins(helm: Helm) -> None:
    specs = {name: group["template"] for name, group in groups_of(helm.objects(EVERYTHING)).items()}
    assert specs["gpu"]["spec"]["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert specs["gpu"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"
    assert specs["workers"]["spec"]["tolerations"][0]["key"] == "pool"
    assert specs["workers"]["metadata"]["labels"]["cost"] == "stream"
    assert specs["workers"]["metadata"]["annotations"]["team"] == "text"
    assert specs["gpu"]["spec"]["runtimeClassName"] == "nvidia"
    assert specs["workers"]["spec"]["priorityClassName"] == "usual"
    assert cluster_of(helm.objects(EVERYTHING))["headGroupSpec"]["template"]["spec"]["priorityClassName"] == "important"


def test_only_the_autoscaler_has_a_token_of_the_api_server(helm: Helm) -> None:
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"

    def holders(*arguments: str) -> set[str]:
        pods = helm.kuberay_makes(helm.text(LEAST, *arguments))["pods"].values()
        assert not any(pod["spec"].get("automountServiceAccountToken", True) for pod in pods)
        mounted = [(c["name"], m["mountPath"]) for pod in pods for c in containers(pod) for m in c["volumeMounts"]]
        return {name for name, path in mounted if path == folder}

    assert holders() == {"autoscaler"}
    assert holders("--set", "autoscaler.enabled=false") == set()


@every_setting
def test_ray_is_done_before_the_pod_is_killed(helm: Helm, values: Path) -> None:
    for pod in helm.kuberay_makes(helm.text(values))["pods"].values():
        variables = environment(pod["spec"]["containers"][0])
        drain_s = float(variables.get("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S))
        assert 0 < drain_s <= pod["spec"]["terminationGracePeriodSeconds"] - 30


def test_service_accounts(helm: Helm) -> None:
    def names(objects: list[dict[str, Any]]) -> set[Any]:
        cluster = cluster_of(objects)
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        return {group["template"]["spec"].get("serviceAccountName") for group in groups}

    made = helm.objects(EVERYTHING)
    assert names(made) == {of_kind(made, "ServiceAccount")["metadata"]["name"]} == {"reviews"}
    assert names(helm.objects(LEAST)) == {None}
    assert names(helm.objects(LEAST, "--set", "serviceAccount.name=ours")) == {"ours"}


def test_no_secret_is_a_value_of_the_chart() -> None:
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    assert "password:" not in values.replace("key: password", "")
