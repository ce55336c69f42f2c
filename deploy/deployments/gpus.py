"""The GPUs that a replica reserves, and the check that the process sees what Ray reserved."""

import json
from typing import Any

import ray
from ray.experimental.internal_kv import _internal_kv_get

from labelstream.workers.errors import ConfigError, ModelError
from labelstream.workers.settings.model import ModelSettings

# Names in Ray: the group of machines that a node belongs to, and the report of the older autoscaler.
GROUP = "ray.io/node-group"
REPORT = "__autoscaling_status"


def num_gpus(name: str, spec: ModelSettings) -> float:
    """GPUs to reserve for each replica of the model `name`. "auto": 1 if the connected cluster has any GPU.

    Raises ConfigError for a GPU that would be idle, and for "auto" on a cluster that adds nodes by itself and has no
    GPU yet.
    """
    key = f"models.{name}.num_gpus"
    if spec.num_gpus != "auto":
        if spec.device == "cpu" and spec.num_gpus > 0:
            raise ConfigError(
                key,
                f"is {spec.num_gpus:g} beside device cpu: the reserved GPU would be idle",
                "set num_gpus to 0, or device to cuda",
            )
        return spec.num_gpus
    if spec.device != "auto":
        return 1 if spec.device == "cuda" else 0
    if not ray.is_initialized():
        return 0
    if ray.cluster_resources().get("GPU", 0) > 0:
        return 1
    if _gets_nodes():
        raise ConfigError(
            key,
            "is auto, but this cluster adds nodes by itself and has no GPU yet",
            "set num_gpus to 1, or to 0 for CPUs",
        )
    return 0


def check_reserved(source: str) -> None:
    """Raises ModelError if Ray has reserved a GPU for this process and torch sees none. Imports torch.

    On the CPU the replica would hold the GPU and be many times slower, without a visible reason.
    """
    # Not get_accelerator_ids: that function names none if the node's CUDA_VISIBLE_DEVICES is empty.
    reserved = ray.get_runtime_context().get_assigned_resources().get("GPU", 0)
    if not reserved:
        return
    import torch

    if torch.cuda.is_available():
        return
    built = torch.version.cuda or torch.version.hip
    cause = (
        "check the machine's driver, and that the container has access to the GPU"
        if built
        else "this build of torch is for CPUs: install one with CUDA"
    )
    raise ModelError(
        f"{source}: Ray has reserved {reserved:g} GPU for this replica, but torch {torch.__version__} "
        f"sees none; {cause}. To run this model on CPUs, set its num_gpus to 0"
    )


def _gets_nodes() -> bool:
    """Whether something adds nodes to the connected cluster: an autoscaler, or KubeRay, whose pods may still be
    pending.

    Ray has no field for this. Only KubeRay and the cluster launcher name a group for each node. A cluster with the
    older autoscaler is known by its report, which has a type for each node in all other clusters.
    """
    nodes = ray.nodes()
    if any(GROUP in node["Labels"] for node in nodes):
        return True
    return bool(_reported_types() - {f"node_{node['NodeID']}" for node in nodes})


def _reported_types() -> set[str]:
    report: dict[str, Any] = json.loads(_internal_kv_get(REPORT) or b"{}").get("autoscaler_report") or {}
    return {*report.get("active_nodes", ()), *report.get("pending_launches", ())}
