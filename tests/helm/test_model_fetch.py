"""A job fills the claim, and nobody else writes to it."""

from pathlib import Path
from typing import Any

import pytest

from tests.helm.rendering import LEAST, Helm, cluster_of, of_kind

FILLED = LEAST.with_name("shared-claim.yaml")
CLAIM = ("--set", "modelCache.kind=claim,modelCache.existingClaim=")
CACHE = "/var/cache/huggingface"


def job(helm: Helm, values: Path = FILLED, *arguments: str) -> dict[str, Any]:
    return of_kind(helm.objects(values, *arguments), "Job")


def container(helm: Helm, *arguments: str) -> dict[str, Any]:
    return job(helm, FILLED, *arguments)["spec"]["template"]["spec"]["containers"][0]


def mounts(container: dict[str, Any]) -> dict[str, bool]:
    return {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}


def test_it_fetches_each_model_of_the_hub_once(helm: Helm) -> None:
    more = (
        "config.models.any.revision=714eb0f,config.models.words.source=owner/any,config.models.words.revision=714eb0f"
    )
    assert container(helm, "--set", more)["args"] == ["fetch", "owner/any@714eb0f"]
    folder = "config.models.any.source=/models/any"
    assert container(helm, "--set", folder)["args"] == ["fetch", "owner/words"]
    everything = f"{folder},config.models.words.source=/models/words"
    assert "Job" not in {o["kind"] for o in helm.objects(FILLED, "--set", everything)}


def test_it_alone_writes_and_has_the_token(helm: Helm) -> None:
    secret = "/etc/labelstream/hub-token"
    assert mounts(container(helm)) == {"/tmp": False, CACHE: False, secret: True}
    pods = helm.kuberay_makes(helm.text(FILLED))["pods"]
    for pod in pods.values():
        ray = pod["spec"]["containers"][0]
        assert mounts(ray)[CACHE] is True
        assert secret not in mounts(ray)
        variables = {entry["name"]: entry.get("value") for entry in ray["env"]}
        assert (variables["HF_HUB_OFFLINE"], variables["HF_ASSETS_CACHE"]) == ("1", "/tmp/assets")
        assert "HF_TOKEN_PATH" not in variables
    variables = {entry["name"]: entry.get("value") for entry in container(helm)["env"]}
    assert variables["HF_TOKEN_PATH"] == f"{secret}/token"
    assert "HF_HUB_OFFLINE" not in variables


def test_it_runs_before_the_pods_with_their_security(helm: Helm) -> None:
    made = job(helm)
    assert made["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    pod, head = made["spec"]["template"]["spec"], cluster_of(helm.objects(FILLED))["headGroupSpec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == head["securityContext"]
    assert pod["containers"][0]["securityContext"] == head["containers"][0]["securityContext"]


def test_the_claim_is_there_before_it_and_stays(helm: Helm) -> None:
    claim = of_kind(helm.objects(FILLED, *CLAIM), "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/hook": "pre-install", "helm.sh/hook-weight": "-1"}
    assert (
        of_kind(helm.objects(FILLED, *CLAIM), "Job")["metadata"]["annotations"].get("helm.sh/hook-weight", "0") == "0"
    )


def test_it_alone_reaches_the_hub(helm: Helm) -> None:
    policies = helm.objects(FILLED, "--set", "networkPolicy.enabled=true")
    hub = of_kind(policies, "NetworkPolicy", "demo-hub")["spec"]["podSelector"]["matchExpressions"]
    assert hub == [{"key": "app.kubernetes.io/component", "operator": "In", "values": ["fetch"]}]
    labels = job(helm)["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/component"] == "fetch"
    everybody = of_kind(policies, "NetworkPolicy", "demo")["spec"]["podSelector"]["matchLabels"]
    assert everybody.items() <= labels.items()


@pytest.mark.parametrize(
    ("setting", "words"),
    [("modelCache.kind=emptyDir", "modelCache.fetch.enabled"), ("hub.offline=true", "hub.offline")],
)
def test_what_it_cannot_do_is_refused(helm: Helm, setting: str, words: str) -> None:
    assert words in helm.refusal(FILLED, "--set", setting)
