"""The NetworkPolicies: who may come in, and where the pods may go."""

from ipaddress import ip_address, ip_network
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
    ("values", "arguments", "kafka", "hub"),
    [
        (LEAST, (), {("TCP", 9092)}, True),
        (LEAST, ("--set", "hub.offline=true"), {("TCP", 9092)}, False),
        (LEAST, ("--set", "config.kafka.bootstrap_servers=a:1\\,[::1]:2\\,c:1"), {("TCP", 1), ("TCP", 2)}, True),
        (LEAST, ("--set", "config.kafka.bootstrap_servers={a:1,b:3}"), {("TCP", 1), ("TCP", 3)}, True),
        (CPU_ONLY, (), {("TCP", 9092), ("TCP", 9093), ("TCP", 9094)}, False),
    ],
    ids=["defaults", "offline", "a list in a string", "a list", "more ports"],
)
def test_out(helm: Helm, values: Path, arguments: tuple[str, ...], kafka: set[Any], hub: bool) -> None:
    spec = policy(helm, values, "demo", *arguments)
    assert everything_out(spec) == [DNS]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (own,) = [rule for rule in spec["egress"] if "ports" not in rule]
    assert own["to"] == [{"podSelector": {"matchLabels": spec["podSelector"]["matchLabels"]}}]
    assert everything_out(policy(helm, values, "demo-kafka", *arguments)) == [kafka]
    names = {o["metadata"]["name"] for o in helm.objects(values, *arguments) if o["kind"] == "NetworkPolicy"}
    assert names == {"demo", "demo-head", "demo-kafka"} | ({"demo-hub"} if hub else set())
    if hub:
        assert everything_out(policy(helm, values, "demo-hub", *arguments)) == [HUB]


def test_pods_of_models_do_not_reach_kafka_nor_the_head_the_hub(helm: Helm) -> None:
    kafka, hub = (policy(helm, LEAST, f"demo-{name}")["podSelector"]["matchExpressions"] for name in ("kafka", "hub"))
    assert kafka == [{"key": "app.kubernetes.io/component", "operator": "In", "values": ["head", "workers"]}]
    assert hub == [{"key": "app.kubernetes.io/component", "operator": "NotIn", "values": ["head"]}]


def test_the_hub_is_looked_for_at_public_addresses(helm: Helm) -> None:
    (rule,) = policy(helm, LEAST, "demo-hub")["egress"]
    refused = [ip_network(one) for peer in rule["to"] for one in peer["ipBlock"]["except"]]
    inside = [
        "10.1.2.3",
        "172.20.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "127.0.0.1",
        "fd00::1",
        "fe80::1",
    ]
    assert all(any(ip_address(one) in network for network in refused) for one in inside)
    assert not any(ip_address(one) in network for one in ("18.164.0.1", "2600:9000::1") for network in refused)


def test_peers_that_are_named(helm: Helm) -> None:
    (rule,) = policy(helm, CPU_ONLY, "demo-kafka")["egress"]
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
    # Both selectors in one peer: pods of that name in these namespaces, not all pods of the namespaces.
    for rule, name, namespaces in (
        (operator, "kuberay-operator", ["default", "kuberay-operator", "kuberay-system"]),
        (prometheus, "prometheus", ["monitoring", "prometheus", "prometheus-system"]),
    ):
        (peer,) = rule["from"]
        assert peer["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": name}}
        (expression,) = peer["namespaceSelector"]["matchExpressions"]
        assert expression == {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}


def test_nobody_scrapes_when_nobody_is_named(helm: Helm) -> None:
    assert len(policy(helm, LEAST, "demo", "--set-json", "networkPolicy.prometheus.from=[]")["ingress"]) == 1


def test_rules_of_ones_own(helm: Helm) -> None:
    spec = policy(helm, EVERYTHING, "reviews")
    assert {"from": [{"podSelector": {"matchLabels": {"app": "debug"}}}]} in spec["ingress"]
    assert {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]} in spec["egress"]


def test_none_when_it_is_off(helm: Helm) -> None:
    kinds = [o["kind"] for o in helm.objects(LEAST, "--set", "networkPolicy.enabled=false")]
    assert kinds == ["RayService"]
