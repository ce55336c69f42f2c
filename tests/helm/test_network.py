"""The NetworkPolicies: who may come in, and where the pods may go."""

from pathlib import Path
from typing import Any

import pytest

from tests.helm.rendering import EVERYTHING, LEAST, Helm, of_kind

CPU_ONLY = LEAST.with_name("cpu-only.yaml")
DNS, HUB, API_SERVER = {("UDP", 53), ("TCP", 53)}, {("TCP", 443)}, {("TCP", 443), ("TCP", 6443)}


def policy(helm: Helm, values: Path, name: str, *arguments: str) -> dict[str, Any]:
    return of_kind(helm.objects(values, *arguments), "NetworkPolicy", name)["spec"]


def ports(rule: dict[str, Any]) -> set[tuple[str, int]]:
    return {(port["protocol"], port["port"]) for port in rule.get("ports", [])}


def everything_out(spec: dict[str, Any]) -> list[set[tuple[str, int]]]:
    """The ports of each rule that names ports."""
    return [ports(rule) for rule in spec["egress"] if "ports" in rule]


@pytest.mark.parametrize(
    ("values", "arguments", "expected"),
    [
        (LEAST, (), [DNS, {("TCP", 9092)}, HUB]),
        (LEAST, ("--set", "hub.offline=true"), [DNS, {("TCP", 9092)}]),
        (LEAST, ("--set", "config.kafka.bootstrap_servers=a:1\\,[::1]:2\\,c:1"), [DNS, {("TCP", 1), ("TCP", 2)}, HUB]),
        (LEAST, ("--set", "config.kafka.bootstrap_servers={a:1,b:3}"), [DNS, {("TCP", 1), ("TCP", 3)}, HUB]),
        (CPU_ONLY, (), [DNS, {("TCP", 9092), ("TCP", 9093), ("TCP", 9094)}]),
    ],
    ids=["defaults", "offline", "a list in a string", "a list", "more ports"],
)
def test_out(helm: Helm, values: Path, arguments: tuple[str, ...], expected: list[Any]) -> None:
    spec = policy(helm, values, "demo", *arguments)
    assert everything_out(spec) == expected
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (own,) = [rule for rule in spec["egress"] if "ports" not in rule]
    assert own["to"] == [{"podSelector": {"matchLabels": spec["podSelector"]["matchLabels"]}}]


def test_peers_that_are_named(helm: Helm) -> None:
    rule = policy(helm, CPU_ONLY, "demo")["egress"][2]
    assert rule["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kafka"}}}]


def test_the_head_goes_further(helm: Helm) -> None:
    assert everything_out(policy(helm, LEAST, "demo-head")) == [API_SERVER]
    assert everything_out(policy(helm, EVERYTHING, "reviews-head")) == [API_SERVER, {("TCP", 6380)}]
    assert policy(helm, CPU_ONLY, "demo-head")["egress"] == []


def test_in(helm: Helm) -> None:
    own, prometheus = policy(helm, LEAST, "demo")["ingress"]
    assert "ports" not in own
    assert own["from"] == [{"podSelector": policy(helm, LEAST, "demo")["podSelector"]}]
    assert ports(prometheus) == {("TCP", 8080), ("TCP", 44217), ("TCP", 44227)}
    (operator,) = policy(helm, LEAST, "demo-head")["ingress"]
    assert ports(operator) == {("TCP", 8265)}
    # Both selectors in one peer: pods of that name in any namespace, not all pods of all namespaces.
    (peer,) = operator["from"]
    assert peer["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}


def test_nobody_scrapes_when_nobody_is_named(helm: Helm) -> None:
    assert len(policy(helm, LEAST, "demo", "--set-json", "networkPolicy.prometheus.from=[]")["ingress"]) == 1


def test_rules_of_ones_own(helm: Helm) -> None:
    spec = policy(helm, EVERYTHING, "reviews")
    assert {"from": [{"podSelector": {"matchLabels": {"app": "debug"}}}]} in spec["ingress"]
    assert {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]} in spec["egress"]


def test_none_when_it_is_off(helm: Helm) -> None:
    kinds = [o["kind"] for o in helm.objects(LEAST, "--set", "networkPolicy.enabled=false")]
    assert kinds == ["RayService"]
