"""Every setting renders, and passes what an API server, KubeRay and Prometheus' operator ask for."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import openapi
from tests.helm.rendering import CHART, EVERYTHING, LEAST, SETTINGS, Helm, of_kind

KINDS = {
    "ConfigMap",
    "Ingress",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "PodMonitor",
    "PrometheusRule",
    "RayService",
    "ServiceAccount",
}
every_setting = pytest.mark.parametrize("values", SETTINGS, ids=lambda path: path.stem)


@every_setting
def test_lint(helm: Helm, values: Path) -> None:
    found = helm.run("lint", "--strict", CHART, "--values", values)
    assert found.returncode == 0, found.stdout + found.stderr


@every_setting
def test_types_and_schemas_are_kept(helm: Helm, kubernetes_schemas: Path, values: Path) -> None:
    text = helm.text(values)
    assert helm.judge(text) == []
    own = [o for o in yaml.safe_load_all(text) if o and o["apiVersion"] in openapi.FILES]
    assert [problem for o in own for problem in openapi.problems(kubernetes_schemas, o)] == []


@every_setting
def test_pods_as_kuberay_makes_them_are_pods(helm: Helm, kubernetes_schemas: Path, values: Path) -> None:
    made = helm.kuberay_makes(helm.text(values))
    for what in (*made["pods"].values(), *made["services"].values()):
        what.pop("status")
        kind = "Pod" if "containers" in what["spec"] else "Service"
        what = {"apiVersion": "v1", "kind": kind, **_without_nulls(what)}
        assert openapi.problems(kubernetes_schemas, what) == []


def test_one_setting_shows_every_kind(helm: Helm) -> None:
    assert {o["kind"] for o in helm.objects(EVERYTHING)} == KINDS  # and a Job, in place of the pods that download


def test_notes_are_rendered(helm: Helm) -> None:
    found = helm.run("install", "demo", CHART, "--values", LEAST, "--dry-run=client", "-n", "text")
    assert found.returncode == 0, found.stderr
    notes = found.stdout.partition("NOTES:")[2]
    assert "rayservice/demo" in notes
    assert "-n text" in notes
    assert "labelstream status --address auto" in notes
    assert "No revision: sentiment" in notes


def test_notes_tell_of_too_few_pods(helm: Helm) -> None:
    few = ("--set", "workers.maxReplicas=1,config.pipelines.feedback.workers.max=9")
    found = helm.run("install", "demo", CHART, "--values", LEAST, "--dry-run=client", *few)
    assert "workers.maxReplicas is 1, and the config allows replicas for 3 pods" in " ".join(found.stdout.split())


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("spec", "rayClusterConfig", "autoscalerOption"), {}, "autoscalerOption"),
        (
            ("spec", "rayClusterConfig", "headGroupSpec", "template", "spec", "containers", 0, "imagePolicy"),
            "x",
            "imagePo",
        ),
        (("spec", "upgradeStrategy", "type"), "Sometimes", "Sometimes"),
        (("spec", "rayClusterConfig", "autoscalerOptions", "version"), "v3", "v3"),
        (("spec", "rayClusterConfig", "rayVersion"), "", "RayVersion"),
        (("spec", "rayClusterConfig", "workerGroupSpecs", 0, "minReplicas"), 99, "minReplicas"),
        (("metadata", "name"), "x" * 48, "47"),
    ],
)
def test_the_validator_finds_what_is_wrong(helm: Helm, path: tuple[Any, ...], value: Any, message: str) -> None:
    service = copy.deepcopy(of_kind(helm.objects(LEAST), "RayService"))
    assert helm.judge(yaml.safe_dump(service)) == []
    _put(service, path, value)
    problems = helm.judge(yaml.safe_dump(service))
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("PodMonitor", ("spec", "podMetricsEndpoint"), []),
        ("PrometheusRule", ("spec", "groups", 0, "rules", 0, "fore"), "5m"),
        ("NetworkPolicy", ("spec", "egress", 0, "port"), []),
        ("ConfigMap", ("datum",), {}),
    ],
)
def test_unknown_fields_are_found_in_every_kind(helm: Helm, kind: str, path: tuple[Any, ...], value: Any) -> None:
    found = next(o for o in helm.objects(EVERYTHING) if o["kind"] == kind)
    assert helm.judge(yaml.safe_dump(found)) == []
    _put(found, path, value)
    assert helm.judge(yaml.safe_dump(found)) != []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "policyTypes"), "Ingress"),
        (("spec", "podSelecto"), {}),
        (("spec", "egress", 0, "ports"), [{"port": {}}]),
    ],
)
def test_the_schemas_of_kubernetes_find_what_is_wrong(
    helm: Helm, kubernetes_schemas: Path, path: tuple[Any, ...], value: Any
) -> None:
    policy = of_kind(helm.objects(LEAST), "NetworkPolicy", "demo")
    assert openapi.problems(kubernetes_schemas, policy) == []
    _put(policy, path, value)
    assert openapi.problems(kubernetes_schemas, policy) != []


def test_files_go_in_as_they_are(helm: Helm, tmp_path: Path) -> None:
    """Alerts and dashboards have templates of their own, which are not for Helm."""
    objects = helm.objects(EVERYTHING)
    rules = of_kind(objects, "PrometheusRule")["spec"]
    assert rules == yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    board = of_kind(objects, "ConfigMap")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    written = (CHART / "files" / "dashboard.json").read_text(encoding="utf-8")
    assert json.loads(board["data"]["labelstream.json"]) == json.loads(written)
    rules_file = (
        "groups:\n  - name: a\n    rules:\n      - alert: B\n        expr: x > 0\n"
        "        annotations: {summary: 'lag {{ $value }} of {{ $labels.topic }}'}\n"
    )
    assert _summary_through(helm, tmp_path, rules_file) == "lag {{ $value }} of {{ $labels.topic }}"


def test_runbook_base_url_is_put_before_each_alerts_name(helm: Helm) -> None:
    base = "metrics.prometheusRule.runbookBaseUrl=https://docs.example.com/runbooks/"
    rules = of_kind(helm.objects(EVERYTHING, "--set", base), "PrometheusRule")["spec"]["groups"][-1]["rules"]
    urls = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules}
    assert urls == {name: f"https://docs.example.com/runbooks/{name}.md" for name in urls}


def _summary_through(helm: Helm, folder: Path, alerts: str) -> str:
    chart = folder / "labelstream"
    for file in CHART.rglob("*"):
        if file.is_file():
            (chart / file.relative_to(CHART)).parent.mkdir(parents=True, exist_ok=True)
            (chart / file.relative_to(CHART)).write_bytes(file.read_bytes())
    (chart / "files" / "alerts.yaml").write_text(alerts, encoding="utf-8")
    found = helm.run("template", "demo", chart, "--values", EVERYTHING)
    assert found.returncode == 0, found.stderr
    rule = of_kind([o for o in yaml.safe_load_all(found.stdout) if o], "PrometheusRule")
    return rule["spec"]["groups"][0]["rules"][0]["annotations"]["summary"]


def _put(tree: Any, path: tuple[Any, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value


def _without_nulls(node: Any) -> Any:
    """Go writes empty times as null; nothing of that comes from the chart."""
    if isinstance(node, dict):
        return {key: _without_nulls(part) for key, part in node.items() if part is not None}
    return [_without_nulls(part) for part in node] if isinstance(node, list) else node
