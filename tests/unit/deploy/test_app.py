"""`build`: which deployments there are, with which options, and what it refuses."""

import copy
import functools
import operator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve import Application
from ray.serve._private.build_app import build_app

from labelstream.deploy import app, names
from labelstream.deploy.control.control_plane import ControlPlane
from labelstream.deploy.control.deployed import new_owner
from labelstream.deploy.model_client.serve_classifier import PARTS_AT_ONCE
from labelstream.workers.config_file import load_settings
from labelstream.workers.errors import ConfigError

TREE: dict[str, Any] = {
    "kafka": {"bootstrap_servers": "localhost:9092"},
    "models": {
        "small": {"source": "owner/small", "num_cpus": 0.5},
        "large": {"source": "owner/large", "num_gpus": 1, "replicas": {"min": 2, "max": 5}},
        "unused": {"source": "owner/unused"},
    },
    "pipelines": {
        "one": {"input": "a", "output": "b", "dead_letter": "c", "model": "small", "drain_timeout_s": 70},
        "two": {"input": "d", "output": "e", "dead_letter": "f", "model": "large", "models": ["small"], "workers": 30},
    },
}


def deployments(application: Application) -> dict[str, Any]:
    built = build_app(application, name="test", default_runtime_env=None)
    return {deployment.name: deployment for deployment in built.deployments}


def test_one_application_holds_everything_that_is_used() -> None:
    assert set(deployments(app.build(TREE))) == {"board", "model-small", "model-large", "pipeline-one", "pipeline-two"}
    assert names.deployment_names(load_settings(TREE)) == (
        ["pipeline-one", "pipeline-two"],
        ["model-large", "model-small"],
    )


def test_models_alone_need_http_and_no_kafka() -> None:
    config = {"models": TREE["models"], "http": {"max_ongoing_requests": 10, "timeout_s": 40}}
    found = deployments(app.build(config))
    assert set(found) == {"board", "gateway", "model-small", "model-large", "model-unused"}
    assert found["gateway"]._deployment_config.max_ongoing_requests == 10 + app.REFUSED_AT_ONCE
    assert found["gateway"]._deployment_config.graceful_shutdown_timeout_s == 40 + app.STOP_MARGIN_S


def test_gateway_is_the_root_that_gets_requests() -> None:
    with_http = load_settings({**TREE, "http": {}})
    built = build_app(app.application(with_http), name="test", default_runtime_env=None)
    assert built.ingress_deployment_name == "gateway"
    assert app.route_prefix(with_http) == "/"
    assert app.route_prefix(load_settings(TREE)) is None


def test_gateway_replicas_follow_the_ongoing_requests() -> None:
    http = {"replicas": {"min": 1, "max": 3}, "max_ongoing_requests": 10}
    gateway = deployments(app.build({**TREE, "http": http}))["gateway"]
    scaling = gateway._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas, scaling.target_ongoing_requests) == (1, 3, 5)
    fixed = deployments(app.build({**TREE, "http": {**http, "replicas": 2}}))["gateway"]
    assert fixed.num_replicas == 2
    assert fixed.version == gateway.version


def test_token_stays_out_of_the_gateways_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_HTTP__TOKEN", "hunter2")
    gateway = deployments(app.build({**TREE, "http": {}}))["gateway"]
    assert "hunter2" not in repr(gateway.init_args)


def test_change_of_http_restarts_no_worker_and_no_model() -> None:
    before, after = (deployments(app.build({**TREE, "http": {"timeout_s": timeout_s}})) for timeout_s in (9, 8))
    assert before["pipeline-one"].version == after["pipeline-one"].version
    assert before["model-small"].version == after["model-small"].version


@pytest.mark.parametrize("page", [{"page": True}, {"page": True, "page_texts": True}], ids=["page", "texts"])
def test_page_restarts_the_workers_which_sample_results(page: dict[str, Any]) -> None:
    before, after = (deployments(app.build({**TREE, "http": http})) for http in ({}, page))
    assert before["pipeline-one"].version != after["pipeline-one"].version
    assert before["model-small"].version == after["model-small"].version
    off = deployments(app.build({**TREE, "http": {"page": False}}))
    assert before["pipeline-one"].version == off["pipeline-one"].version


def test_replicas_and_resources() -> None:
    found = deployments(app.build(TREE))
    small, large = found["model-small"], found["model-large"]
    assert small.num_replicas == 1
    assert small._deployment_config.autoscaling_config is None
    scaling = large._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 5)
    assert small.ray_actor_options["num_cpus"] == 0.5
    assert small.ray_actor_options["num_gpus"] == 0
    assert large.ray_actor_options["num_gpus"] == 1
    assert found["pipeline-two"].num_replicas == 30
    assert found["board"].ray_actor_options["num_cpus"] == 0


def test_only_who_talks_to_kafka_asks_for_its_nodes() -> None:
    labels = {"labelstream/kafka": "allowed"}
    found = deployments(app.build({**TREE, "kafka": {**TREE["kafka"], "node_labels": labels}}))
    asked = {name for name, one in found.items() if one.ray_actor_options.get("label_selector") == labels}
    assert asked == {"board", "pipeline-one", "pipeline-two"}
    assert "label_selector" not in found["model-small"].ray_actor_options


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [
        (("pipelines", "two", "workers"), 3, ()),
        (("models", "large", "replicas"), {"min": 3, "max": 9}, ()),
        (("pipelines", "one", "drain_timeout_s"), 50, ("pipeline-one",)),
        (("models", "large", "top_k"), 2, ("model-large", "pipeline-two")),
        (("models", "small", "top_k"), 2, ("model-small", "pipeline-one", "pipeline-two")),
        (("kafka", "bootstrap_servers"), "other:9092", ("pipeline-one", "pipeline-two")),
    ],
    ids=str,
)
def test_a_change_starts_anew_what_it_concerns(path: tuple[str, ...], value: Any, changed: tuple[str, ...]) -> None:
    tree = copy.deepcopy(TREE)
    functools.reduce(operator.getitem, path[:-1], tree)[path[-1]] = value
    before, after = deployments(app.build(TREE)), deployments(app.build(tree))
    assert {name for name in before if before[name].version != after[name].version} == {"board", *changed}


def test_where_nothing_scales_nobody_has_to_know_the_counts() -> None:
    models = {**TREE["models"], "large": {"source": "owner/large", "replicas": 2}}
    before = deployments(app.build({**TREE, "models": models}))
    after = deployments(app.build({**TREE, "models": {**models, "large": {"source": "owner/large", "replicas": 3}}}))
    assert {name for name in before if before[name].version != after[name].version} == set()
    assert (before["model-large"].num_replicas, after["model-large"].num_replicas) == (2, 3)
    assert before["board"]._deployment_config.autoscaling_config is None


def test_another_owner_starts_nothing_anew() -> None:
    settings, owner = load_settings(TREE), new_owner("apply", Path("a.yaml"), False)
    before, after = deployments(app.application(settings)), deployments(app.application(settings, owner=owner))
    assert {name: one.version for name, one in before.items()} == {name: one.version for name, one in after.items()}
    shown = after["board"]._deployment_config.user_config
    assert (shown["owner"], shown["config"]["kafka"]) == (owner, TREE["kafka"])
    assert shown["drain_timeout_s"] == max(one.drain_timeout_s for one in settings.pipelines.values())


@pytest.mark.parametrize("local", [True, False])
def test_only_a_ray_of_its_own_reserves_no_cpus(local: bool) -> None:
    owner = new_owner("run", Path("a.yaml"), local)
    found = deployments(app.application(load_settings(TREE), owner=owner))
    reserved = {name for name, one in found.items() if one.ray_actor_options["num_cpus"]}
    assert reserved == (set() if local else found.keys() - {"board"})


def test_what_scales_asks_the_board() -> None:
    found = deployments(app.build(TREE))
    scaling = found["model-large"]._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 5)
    assert (scaling.upscale_delay_s, scaling.downscale_delay_s, scaling.metrics_interval_s) == (0, 0, 1)
    assert scaling.policy.policy_function == "labelstream.deploy.control.scaling.serve_policies.FollowTargetsPolicy"
    assert found["board"]._deployment_config.autoscaling_config.policy.policy_function.endswith("PublishTargetsPolicy")
    assert hasattr(ControlPlane, "record_autoscaling_stats")  # as Serve's hook is called


def test_other_weights_in_the_same_directory_are_another_version(tmp_path: Path) -> None:
    tree = {**TREE, "models": {**TREE["models"], "small": {"source": str(tmp_path)}}}
    before = deployments(app.build(tree))["model-small"].version
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert deployments(app.build(tree))["model-small"].version != before


def test_replicas_take_all_that_the_workers_have_in_flight() -> None:
    assert deployments(app.build(TREE))["model-large"].max_ongoing_requests >= 30 * 4 * PARTS_AT_ONCE


def test_models_outlive_the_longest_drain() -> None:
    found = deployments(app.build(TREE))
    assert found["pipeline-one"]._deployment_config.graceful_shutdown_timeout_s > 70
    assert found["model-small"]._deployment_config.graceful_shutdown_timeout_s > 70


def test_the_config_comes_from_a_file_or_directly(tmp_path: Path) -> None:
    file = tmp_path / "labelstream.yaml"
    file.write_text(yaml.safe_dump(TREE))
    assert set(deployments(app.build({"config": str(file)}))) == set(deployments(app.build(TREE)))


@pytest.mark.parametrize(
    ("args", "key"),
    [
        ({}, "models"),
        ({"config": "nowhere.yaml"}, "nowhere.yaml"),
        ({"config": 5}, "config"),
        ({"config": "x.yaml", "models": {}}, "models"),
        ({**TREE, "model": 1}, "model"),
    ],
    ids=str,
)
def test_wrong_arguments_name_the_key(args: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        app.build(args)
    assert error.value.key == key


def test_secrets_stay_out_of_the_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELSTREAM_KAFKA__SECURITY__PASSWORD", "hunter2")
    security = {"protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "username": "me"}
    tree = {**TREE, "kafka": {**TREE["kafka"], "security": security}}
    worker = deployments(app.build(tree))["pipeline-one"]
    assert worker.init_args[1]["kafka"]["security"] == security
    assert "hunter2" not in repr(worker.init_args)


def test_a_directory_is_named_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    tree = {**TREE, "models": {**TREE["models"], "small": {"source": "model"}}}
    assert deployments(app.build(tree))["model-small"].init_args[0]["source"] == str(tmp_path / "model")


def test_a_gpu_that_would_lie_idle_is_refused_by_the_models_name() -> None:
    models = {**TREE["models"], "large": {"source": "owner/large", "num_gpus": 1, "device": "cpu"}}
    with pytest.raises(ConfigError, match=r"^models\.large\.num_gpus: is 1 beside device cpu"):
        app.build({**TREE, "models": models})
