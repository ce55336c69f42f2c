"""What was measured of each part -> what a system of any size takes of it, and where each part ends. Pure."""

import math
from typing import NamedTuple

HEADROOM = 0.75  # of a core that is used: the rest is for catching up
BROKER_CORES = 8
NIC_GBIT_S = 10.0
COPIES = 3  # of each message, on as many brokers
PARTITIONS_PER_WORKER = 2  # so that they spread evenly, also over one worker more or less


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
    """For `gpus` that do `messages_per_s` together. `worker_cores`, `replica_cores`: of CPUs, in all."""

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


def size(costs: Costs, gpus: int, per_gpu_s: float, report_s: float) -> Size:
    """`per_gpu_s`: messages per second that one GPU does; `report_s`: seconds between the reports of a process."""
    rate = gpus * per_gpu_s
    workers = math.ceil(rate / (costs.worker_per_s * HEADROOM))
    gbit_s = rate * 8e-9 * broker_bytes(costs)
    brokers = max(COPIES, math.ceil(rate * COPIES * costs.broker_us / 1e6 / (BROKER_CORES * HEADROOM)),
                  math.ceil(gbit_s / (NIC_GBIT_S * HEADROOM)))
    processes = gpus + workers
    return Size(gpus, rate, workers, rate * costs.worker_us / 1e6, rate * costs.replica_us / 1e6,
                PARTITIONS_PER_WORKER * workers, brokers, gbit_s, processes * costs.controller_us / 1e6,
                processes / report_s * costs.board_us / 1e6)  # fmt: skip


def broker_bytes(costs: Costs) -> float:
    """Per message into all brokers, and as many out of them: written once and copied; copied from, and read once."""
    return (costs.in_bytes + costs.out_bytes) * COPIES


def ends(costs: Costs, per_gpu_s: float, report_s: float) -> dict[str, float]:
    """At how many GPUs each part that there is only one of has a whole core to do."""
    processes_per_gpu = 1 + per_gpu_s / (costs.worker_per_s * HEADROOM)
    return {
        "one worker": costs.worker_per_s * HEADROOM / per_gpu_s,
        "the board": report_s / (costs.board_us / 1e6) / processes_per_gpu,
        "Serve's controller": 1 / (costs.controller_us / 1e6) / processes_per_gpu,
    }  # fmt: skip
