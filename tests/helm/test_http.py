"""The HTTP gateway: its Service, Ingress, policy, probes and files, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from labelstream.deploy.gateway.proxy import guard, options
from labelstream.deploy.gateway.proxy.options import proxy_options
from labelstream.deploy.gateway.server.access import hosts_of
from labelstream.workers.settings.http import HttpSettings
from tests.helm.rendering import EVERYTHING, LEAST, Helm, config_of, groups_of, of_kind, serve_config_of

HTTP_ONLY = LEAST.with_name("http-only.yaml")
TOKEN, TLS = "/etc/labelstream/http-token", "/etc/labelstream/http-tls"
with_http = pytest.mark.parametrize("values", [EVERYTHING, HTTP_ONLY], ids=lambda path: path.stem)


def pods(helm: Helm, values: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    return helm.kuberay_makes(helm.text(values, *arguments))["pods"]


@with_http
def test_serve_starts_the_proxies_of_a_local_run(helm: Helm, values: Path) -> None:
    objects = helm.objects(values)
    http = HttpSettings(**config_of(objects)["http"])
    assert http.host == "0.0.0.0"
    parsed = ServeDeploySchema.model_validate(serve_config_of(objects))
    wanted = proxy_options(http)
    assert parsed.proxy_location == wanted["proxy_location"]
    assert wanted["http_options"].items() <= parsed.http_options.model_dump().items()
    assert parsed.applications[0].route_prefix == "/"


@with_http
def test_service_sends_to_the_port_of_http(helm: Helm, values: Path) -> None:
    text = helm.text(values)
    http = HttpSettings(**config_of(helm.objects(values))["http"])
    made = helm.kuberay_makes(text)
    (port,) = made["services"]["serve"]["spec"]["ports"]
    assert (port["name"], port["port"]) == ("serve", http.port)
    for name, pod in made["pods"].items():
        ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
        assert ports["serve"] == http.port
        if name != "head":
            probe = pod["spec"]["containers"][0]["readinessProbe"]["httpGet"]
            assert (probe["path"], probe["port"]) == (guard.HEALTH, "serve")
            assert probe["scheme"] == ("HTTPS" if http.cert_file else "HTTP")


def test_service_has_the_type_and_annotations_of_the_values(helm: Helm) -> None:
    service = helm.kuberay_makes(helm.text(EVERYTHING))["services"]["serve"]
    assert service["metadata"]["name"] == "reviews-serve-svc"
    assert service["metadata"]["annotations"] == {"team": "text"}
    assert service["spec"]["type"] == "NodePort"
    assert helm.kuberay_makes(helm.text(HTTP_ONLY))["services"]["serve"]["spec"]["type"] == "ClusterIP"


def test_every_pod_has_the_files_and_guards_its_proxy(helm: Helm) -> None:
    for pod in pods(helm, HTTP_ONLY).values():
        ray = pod["spec"]["containers"][0]
        read_only = {mount["mountPath"] for mount in ray["volumeMounts"] if mount.get("readOnly")}
        assert read_only >= {TOKEN, TLS}
        volumes = {volume["name"]: volume.get("secret") for volume in pod["spec"]["volumes"]}
        items = [{"key": "secret", "path": "token"}]
        assert volumes["http-token"] == {"secretName": "http-login", "items": items, "defaultMode": 0o440}
        assert volumes["http-tls"] == {"secretName": "http-tls", "defaultMode": 0o440}
        assert {"name": guard.VARIABLE, "value": guard.IMPORT_PATH} in ray["env"]
        assert {"name": options.CHECK_VARIABLE, "value": options.CHECK_PERIOD_S} in ray["env"]


def test_config_names_the_mounted_files(helm: Helm) -> None:
    http = config_of(helm.objects(HTTP_ONLY))["http"]
    files = {key: file for key, file in http.items() if key.endswith("_file")}
    assert files == {"token_file": f"{TOKEN}/token", "cert_file": f"{TLS}/tls.crt", "key_file": f"{TLS}/tls.key"}


def test_job_that_downloads_has_no_token(helm: Helm) -> None:
    more = ("--set", "modelCache.kind=claim,modelCache.fetch.enabled=true")
    job = of_kind(helm.objects(HTTP_ONLY, *more), "Job")
    assert "http-" not in yaml.safe_dump(job)
    assert guard.VARIABLE not in yaml.safe_dump(job)


def test_nothing_is_there_without_http(helm: Helm) -> None:
    objects = helm.objects(LEAST)
    assert "serveService" not in of_kind(objects, "RayService")["spec"]
    assert serve_config_of(objects)["proxy_location"] == "Disabled"
    assert "http_options" not in serve_config_of(objects)
    assert guard.VARIABLE not in helm.text(LEAST)
    names = {(o["kind"], o["metadata"]["name"]) for o in objects}
    assert not names & {("Ingress", "demo"), ("NetworkPolicy", "demo-http")}


def test_config_without_kafka_has_no_policy_for_brokers(helm: Helm) -> None:
    names = {o["metadata"]["name"] for o in helm.objects(HTTP_ONLY) if o["kind"] == "NetworkPolicy"}
    assert names == {"demo", "demo-head", "demo-hub", "demo-http"}


def test_machines_count_the_gateway_and_every_model(helm: Helm) -> None:
    groups = groups_of(helm.objects(HTTP_ONLY))
    # 3 to 9 gateway replicas in pods of 4 CPUs, and a pod for 2 replicas of the model without GPU.
    assert (groups["workers"]["minReplicas"], groups["workers"]["maxReplicas"]) == (2, 4)
    assert groups["gpu"]["maxReplicas"] == 1


def test_ingress_leads_to_the_service(helm: Helm) -> None:
    text = helm.text(EVERYTHING)
    spec = of_kind(list(filter(None, yaml.safe_load_all(text))), "Ingress")["spec"]
    service = helm.kuberay_makes(text)["services"]["serve"]
    (rule,) = spec["rules"]
    (path,) = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "serve"}}
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"hosts": [rule["host"]], "secretName": "models-tls"}]
    assert "Ingress" not in {o["kind"] for o in helm.objects(HTTP_ONLY)}


def test_only_named_peers_reach_the_port(helm: Helm) -> None:
    spec = of_kind(helm.objects(HTTP_ONLY), "NetworkPolicy", "demo-http")["spec"]
    assert spec["policyTypes"] == ["Ingress"]
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 9443}]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}]
    (expression,) = spec["podSelector"]["matchExpressions"]
    assert expression["operator"] == "NotIn"
    assert set(expression["values"]) == {"head", "fetch"}
    nobody = ("--set-json", "networkPolicy.http.from=[]")
    assert "demo-http" not in {o["metadata"]["name"] for o in helm.objects(HTTP_ONLY, *nobody)}


def notes(helm: Helm, values: Path, *arguments: str) -> str:
    found = helm.run("install", "demo", "helm/labelstream", "--values", values, "--dry-run=client", *arguments)
    assert found.returncode == 0, found.stderr
    return found.stdout.partition("NOTES:")[2]


def test_notes_name_the_address_and_a_closed_policy(helm: Helm) -> None:
    assert "https://demo-serve-svc.default:9443" in notes(helm, HTTP_ONLY)
    assert "networkPolicy.http.from is empty" not in notes(helm, HTTP_ONLY)
    assert "networkPolicy.http.from is empty" in notes(helm, HTTP_ONLY, "--set-json", "networkPolicy.http.from=[]")
    assert "http.ingress.tlsSecret is empty" in notes(helm, EVERYTHING, "--set", "http.ingress.tlsSecret=")
    assert "HTTP" not in notes(helm, LEAST)


PAGE = ("--set", "config.http.page=true")


@with_http
def test_page_is_at_the_address_of_the_notes(helm: Helm, values: Path) -> None:
    text = helm.text(values, *PAGE)
    assert helm.judge(text) == []
    objects = helm.objects(values, *PAGE)
    http = HttpSettings(**config_of(objects)["http"])
    assert (http.page, http.page_texts) == (True, False)
    assert serve_config_of(objects)["applications"][0]["route_prefix"] == "/"
    service = helm.kuberay_makes(text)["services"]["serve"]
    (port,) = service["spec"]["ports"]
    scheme, name = "https" if http.cert_file else "http", service["metadata"]["name"]
    said = notes(helm, values, *PAGE)
    address = f"{scheme}://{name}.default:{port['port']}"
    assert f"  {address}\n" in said
    assert f"service/{name} {http.port}\n" in said
    assert "config.http.page: a browser shows the page there, and asks for the token." in said
    assert "config.http.page" not in notes(helm, values)


@with_http
def test_notes_name_an_address_that_the_gateway_refuses(helm: Helm, values: Path) -> None:
    objects = helm.objects(values)
    http = HttpSettings(**config_of(objects)["http"])
    hosts = hosts_of(http.host, http.allowed_hosts, token=http.token_file is not None)
    assert hosts is None or "127.0.0.1" in hosts, "a port-forward reaches the page"
    warning = "requests to that address get 403"
    assert (warning in notes(helm, values)) == (hosts is not None)
    name = of_kind(objects, "RayService")["metadata"]["name"]
    for allowed in (f"{name}-serve-svc.default", "*.default"):
        listed = json.dumps([*http.allowed_hosts, allowed])
        assert warning not in notes(helm, values, "--set-json", f"config.http.allowed_hosts={listed}")


INGRESS = "http.ingress.enabled=true,http.ingress.host=a.example.com"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("config.http.host=127.0.0.1", ("config.http.host", "127.0.0.1", "remove host")),
        ("config.http.host=10.1.2.3", ("config.http.host", "10.1.2.3", "remove host")),
        ("config.http.token=hunter2", ("config.http.token", "http.tokenSecret.name")),
        ("config.http.token_file=/t", ("config.http.token_file", "http.tokenSecret.name", "remove one")),
        ("config.http.cert_file=/c", ("config.http.cert_file", "http.tls.secret", "remove one")),
        ("http.tokenSecret.name=,config.http.token_file=token", ("config.http.token_file", "http.tokenSecret.name")),
        ("http.tls.secret=,config.http.key_file=a.key", ("config.http.key_file", "http.tls.secret")),
        ("http.tokenSecret.name=", ("http.tokenSecret.name", "is empty")),
        ("config.http.port=8080", ("config.http.port", "Ray may listen on 8080")),
        ("config.http.port=10500", ("config.http.port", "Ray may listen on 10500")),
        ("http.ingress.enabled=true", ("http.ingress.host", "is empty")),
        (f"{INGRESS},config.http.allowed_hosts[0]=*.example.org", ("config.http.allowed_hosts", "a.example.com")),
        (f"{INGRESS},networkPolicy.http.from=null", ("networkPolicy.http.from", "Ingress controller")),
        ("kafka.passwordSecret.name=x", ("kafka: its secrets have no effect", "add kafka")),
        ("config.pipelines.p.model=sentiment", ("config.kafka: is missing",)),
        ("http.service.type=ExternalName", ("type", "'ClusterIP'")),
        ("http.token=hunter2", ("additional properties 'token'",)),
    ],
    ids=str,
)
def test_refused_with_http(helm: Helm, setting: str, words: tuple[str, ...]) -> None:
    message = helm.refusal(HTTP_ONLY, "--set", setting)
    assert all(word in message for word in words), message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "setting", ["http.tokenSecret.name=x", "http.tls.secret=x", INGRESS], ids=["token", "tls", "ingress"]
)
def test_refused_without_http(helm: Helm, setting: str) -> None:
    assert "because the config has no http" in helm.refusal(LEAST, "--set", setting)


@pytest.mark.parametrize(
    "setting",
    [
        "http.tokenSecret.name=,config.http.token_file=/run/token",
        "http.tokenSecret.name=,extraEnvFrom[0].secretRef.name=x",
        "config.http.host=::",
        f"{INGRESS},config.http.allowed_hosts[0]=*.example.com",
        f"{INGRESS},networkPolicy.enabled=false",
    ],
    ids=str,
)
def test_accepted_with_http(helm: Helm, setting: str) -> None:
    assert helm.judge(helm.text(HTTP_ONLY, "--set", setting)) == []


def test_token_of_the_environment_needs_no_file(helm: Helm) -> None:
    entry = '[{"name": "LABELSTREAM_HTTP__TOKEN", "valueFrom": {"secretKeyRef": {"name": "x", "key": "token"}}}]'
    more = ("--set", "http.tokenSecret.name=", "--set-json", f"extraEnv={entry}")
    assert "token_file" not in config_of(helm.objects(HTTP_ONLY, *more))["http"]


def test_an_empty_section_is_http_with_its_defaults(helm: Helm, tmp_path: Path) -> None:
    file = tmp_path / "labelstream.yaml"
    file.write_text("models: {m: {source: /models/m}}\nhttp: {}\n")
    values = tmp_path / "values.yaml"
    values.write_text("image: {repository: x}\nhttp: {tokenSecret: {name: x}}\n")
    assert serve_config_of(helm.objects(values, "--set-file", f"config={file}"))["http_options"]["port"] == 8000
