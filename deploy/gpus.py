"""Which GPUs a replica reserves, and that it really has what Ray has reserved for it."""

import ray

from workers.errors import ConfigError, ModelError
from workers.settings import ModelSettings


def num_gpus(name: str, spec: ModelSettings) -> float:
    """GPUs to reserve for each replica of the model `name`. "auto": one where the connected cluster has any.

    Raises ConfigError for a GPU that would lie idle.
    """
    key = f"models.{name}.num_gpus"
    if spec.num_gpus != "auto":
        if spec.device == "cpu" and spec.num_gpus > 0:
            raise ConfigError(key, f"is {spec.num_gpus:g}, and device is cpu: nothing would use what is reserved",
                              "set num_gpus to 0, or device to cuda")
        return spec.num_gpus
    if spec.device != "auto":
        return 1 if spec.device == "cuda" else 0
    return 1 if ray.is_initialized() and ray.cluster_resources().get("GPU", 0) > 0 else 0


def check_reserved(source: str) -> None:
    """Raises ModelError where Ray has reserved a GPU for this process and torch sees none. Imports torch.

    On the CPU the replica would hold the GPU and be many times slower, with nothing to show why.
    """
    # Not get_accelerator_ids: it names none where the node's CUDA_VISIBLE_DEVICES is empty.
    reserved = ray.get_runtime_context().get_assigned_resources().get("GPU", 0)
    if not reserved:
        return
    import torch

    if torch.cuda.is_available():
        return
    built = torch.version.cuda or torch.version.hip
    cause = ("check the machine's driver, and that the container has access to the GPU" if built
             else "this build of torch is for CPUs: install one with CUDA")
    raise ModelError(f"{source}: Ray has reserved {reserved:g} GPU for this replica, but torch {torch.__version__} "
                     f"sees none; {cause}. To run this model on CPUs, set its num_gpus to 0")
