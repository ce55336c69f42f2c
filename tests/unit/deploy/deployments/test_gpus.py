"""How many GPUs a replica reserves, what is refused, and what a replica checks of its own."""

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from labelstream.deploy.deployments import gpus
from labelstream.deploy.deployments.model_replica import ModelReplica
from labelstream.workers.errors import ConfigError, ModelError
from labelstream.workers.settings.model import ModelSettings

NODE: dict[str, Any] = {"NodeID": "ab12", "Labels": {"ray.io/node-id": "ab12"}}
IN_GROUP: dict[str, Any] = {"NodeID": "ab12", "Labels": {"ray.io/node-group": "headgroup"}}
READ_ONLY = {"autoscaler_report": {"active_nodes": {"node_ab12": 1}, "pending_launches": {}}}
OLDER = {"autoscaler_report": {"active_nodes": {"ray.head.default": 1}, "pending_launches": {}}}
STARTING = {"autoscaler_report": {"active_nodes": {}, "pending_launches": {"gpu-machines": 2}}}
NO_UPDATE_YET = {"autoscaler_report": None}


def spec(**given: Any) -> ModelSettings:
    return ModelSettings(**{"source": "x", **given})


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What Ray says of a cluster that we are connected to."""

    def connected(node: Any, report: Any = None, **resources: float) -> None:
        monkeypatch.setattr(ray, "is_initialized", lambda: True)
        monkeypatch.setattr(ray, "cluster_resources", lambda: resources)
        monkeypatch.setattr(ray, "nodes", lambda: [node])
        found = None if report is None else json.dumps(report).encode()
        monkeypatch.setattr(gpus, "_internal_kv_get", {gpus.REPORT: found}.get)

    return connected


@pytest.mark.parametrize(
    ("device", "num_gpus", "expected"),
    [
        ("auto", "auto", 0),
        ("cuda", "auto", 1),
        ("cpu", "auto", 0),
        ("auto", 0.25, 0.25),
        ("cpu", 0, 0),
        ("cuda", 2, 2),
    ],
)
def test_gpus_without_a_cluster(device: Any, num_gpus: Any, expected: float) -> None:
    assert gpus.num_gpus("m", spec(device=device, num_gpus=num_gpus)) == expected


@pytest.mark.parametrize(
    ("node", "report", "resources", "expected"),
    [
        (NODE, READ_ONLY, {"CPU": 4.0}, 0),
        (NODE, None, {"CPU": 4.0}, 0),
        (NODE, NO_UPDATE_YET, {}, 0),
        (NODE, READ_ONLY, {"GPU": 1.0}, 1),
        (IN_GROUP, OLDER, {"GPU": 1.0}, 1),
    ],
)
def test_auto_is_what_the_cluster_has(cluster: Any, node: Any, report: Any, resources: Any, expected: float) -> None:
    cluster(node, report, **resources)
    assert gpus.num_gpus("m", spec()) == expected


@pytest.mark.parametrize(("node", "report"), [(IN_GROUP, None), (IN_GROUP, READ_ONLY), (NODE, OLDER), (NODE, STARTING)])
def test_autoscaling_cluster_without_gpu_needs_num_gpus(cluster: Any, node: Any, report: Any) -> None:
    cluster(node, report, CPU=4.0)
    with pytest.raises(ConfigError) as error:
        gpus.num_gpus("m", spec())
    assert error.value.key == "models.m.num_gpus"
    assert "adds nodes by itself and has no GPU yet; set num_gpus to 1, or to 0" in str(error.value)
    for told, expected in (({"num_gpus": 1}, 1), ({"num_gpus": 0}, 0), ({"device": "cpu"}, 0), ({"device": "cuda"}, 1)):
        assert gpus.num_gpus("m", spec(**told)) == expected


def test_a_gpu_for_a_model_on_the_cpu_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"models\.m\.num_gpus: is 0\.5 beside device cpu.*set num_gpus to 0"):
        gpus.num_gpus("m", spec(device="cpu", num_gpus=0.5))


@pytest.fixture
def reserved(monkeypatch: pytest.MonkeyPatch) -> Any:
    def by_ray(**resources: float) -> None:
        context = SimpleNamespace(get_assigned_resources=lambda: resources)
        monkeypatch.setattr(ray, "get_runtime_context", lambda: context)

    return by_ray


def torch_with(monkeypatch: pytest.MonkeyPatch, cuda: str | None, sees: bool) -> None:
    import torch

    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: sees)


@pytest.mark.parametrize(("cuda", "fix"), [("12.8", "driver.*container"), (None, "install one with CUDA")])
def test_a_replica_whose_gpu_torch_does_not_see_does_not_start(
    monkeypatch: pytest.MonkeyPatch, reserved: Any, cuda: str | None, fix: str
) -> None:
    reserved(CPU=1.0, GPU=0.5)
    torch_with(monkeypatch, cuda, sees=False)
    with pytest.raises(ModelError, match=rf"^owner/m: Ray has reserved 0\.5 GPU.*sees none; .*{fix}.*num_gpus to 0"):
        ModelReplica._load(spec(source="owner/m"), 1)


def test_check_reserved_passes_with_gpu_seen_or_none_reserved(monkeypatch: pytest.MonkeyPatch, reserved: Any) -> None:
    torch_with(monkeypatch, "12.8", sees=True)
    reserved(GPU=1.0)
    gpus.check_reserved("m")
    torch_with(monkeypatch, None, sees=False)
    reserved(CPU=1.0)
    gpus.check_reserved("m")


def test_app_does_not_import_torch_before_threads_are_set() -> None:
    script = (
        "import sys, labelstream.deploy.app\n"
        "from labelstream.deploy.deployments import gpus, model_replica\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr
