"""Computes from the measured cost of each part what a system of any size needs, and where each part saturates."""

import json
import math
from pathlib import Path
from typing import NamedTuple

HEADROOM = 0.75  # share of a core that is planned; the rest is for catching up
BROKER_CORES = 8
NIC_GBIT_S = 10.0
COPIES = 3  # replicas of each message, on as many brokers
PARTITIONS_PER_WORKER = 2  # so that they spread evenly, also over one worker more or less
ASSUMED_PER_GPU_S = 10_000.0
MEASURED = Path(__file__).parents[2] / "gpu" / "first.json"


class Costs(NamedTuple):
    """Microseconds of CPU per message: of a worker, of a replica's process besides its model, of the broker (one in
    and one out, one copy). `worker_per_s`: messages per second that one worker does at most. Bytes of a message as
    they travel and lie in the log. `controller_us`: of Serve's controller per second and process that it looks after;
    `board_us`: per report.
    """

    worker_us: float
    worker_per_s: float
    replica_us: float
    broker_us: float
    in_bytes: float
    out_bytes: float
    controller_us: float
    board_us: float


class Size(NamedTuple):
    """What `gpus` that classify `messages_per_s` need. `worker_cores`, `replica_cores`: CPU cores in total."""

    gpus: int
    messages_per_s: float
    workers: int
    worker_cores: float
    replica_cores: float
    partitions: int
    brokers: int
    broker_gbit_s: float
    controller_cores: float
    board_cores: float


class PerGpu(NamedTuple):
    """Messages per second of one GPU, and the source of the figure, for people."""

    messages_per_s: float
    source: str


def per_gpu(given: float | None, path: Path = MEASURED) -> PerGpu:
    """The `given` figure, else one measured on a GPU, else an assumption.

    `path`: figures of `tests.gpu`; the file may be missing or have no figures of a GPU.
    """
    if given is not None:
        return PerGpu(given, "as --per-gpu says")
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))
        card = steps["machine"]["found"]["gpu"]
        texts_per_s = float(steps["whole_process"]["found"]["replica_texts_per_s"])
    except (OSError, ValueError, KeyError, TypeError):  # no file, no JSON, a step that failed, or none on a GPU
        card, texts_per_s = None, 0.0
    if not card or not 0 < texts_per_s < math.inf:
        return PerGpu(ASSUMED_PER_GPU_S, f"assumed: {path.name} has no figure of a GPU")
    return PerGpu(texts_per_s, f"measured on {card}: one replica's process, from ids through the dynamic batcher")


def size(costs: Costs, gpus: int, per_gpu_s: float, report_s: float) -> Size:
    """`per_gpu_s`: messages per second of one GPU. `report_s`: seconds between the reports of a process."""
    rate = gpus * per_gpu_s
    workers = math.ceil(rate / (costs.worker_per_s * HEADROOM))
    gbit_s = rate * 8e-9 * broker_bytes(costs)
    brokers = max(
        COPIES,
        math.ceil(rate * COPIES * costs.broker_us / 1e6 / (BROKER_CORES * HEADROOM)),
        math.ceil(gbit_s / (NIC_GBIT_S * HEADROOM)),
    )
    processes = gpus + workers
    return Size(
        gpus,
        rate,
        workers,
        rate * costs.worker_us / 1e6,
        rate * costs.replica_us / 1e6,
        PARTITIONS_PER_WORKER * workers,
        brokers,
        gbit_s,
        processes * costs.controller_us / 1e6,
        processes / report_s * costs.board_us / 1e6,
    )


def broker_bytes(costs: Costs) -> float:
    """Per message into all brokers, and as many out of them: written once and copied; copied from, and read once."""
    return (costs.in_bytes + costs.out_bytes) * COPIES


def ends(costs: Costs, per_gpu_s: float, report_s: float) -> dict[str, float]:
    """The number of GPUs at which each part that exists only once needs a whole core."""
    processes_per_gpu = 1 + per_gpu_s / (costs.worker_per_s * HEADROOM)
    return {
        "one worker": costs.worker_per_s * HEADROOM / per_gpu_s,
        "the control plane": report_s / (costs.board_us / 1e6) / processes_per_gpu,
        "Serve's controller": 1 / (costs.controller_us / 1e6) / processes_per_gpu,
    }
