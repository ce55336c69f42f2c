"""What follows from the costs of parts for larger systems."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.scaling.sizing import ASSUMED_PER_GPU_S, HEADROOM, Costs, ends, per_gpu, size

COSTS = Costs(
    worker_us=80,
    worker_per_s=10_000,
    replica_us=10,
    broker_us=20,
    in_bytes=100,
    out_bytes=150,
    controller_us=1_000,
    board_us=2_000,
)


def test_a_system_of_one_gpu() -> None:
    found = size(COSTS, 1, 6_000, 1.0)
    assert (found.workers, found.partitions, found.brokers) == (1, 2, 3)
    assert found.worker_cores == pytest.approx(0.48)
    assert found.controller_cores == pytest.approx(0.002)
    assert found.board_cores == pytest.approx(0.004)


def test_everything_grows_with_the_messages() -> None:
    found = size(COSTS, 1_000, 6_000, 5.0)
    assert found.messages_per_s == 6_000_000
    assert found.workers == 800
    assert found.broker_gbit_s == pytest.approx(6e6 * 250 * 3 * 8 / 1e9)
    assert found.brokers * 8 * HEADROOM >= 6e6 * 3 * 20e-6 - 1e-6
    assert found.brokers * 10 * HEADROOM >= found.broker_gbit_s


def test_where_each_part_ends_it_has_a_whole_core_to_do() -> None:
    for part, gpus in ends(COSTS, 6_000, 5.0).items():
        found = size(COSTS, round(gpus), 6_000, 5.0)
        cores = {
            "one worker": found.messages_per_s / COSTS.worker_per_s / HEADROOM,
            "the control plane": found.board_cores,
            "Serve's controller": found.controller_cores,
        }
        assert cores[part] == pytest.approx(1, rel=0.25)


def steps(gpu: Any = "NVIDIA H100 80GB HBM3", texts_per_s: Any = 41_234.5) -> dict[str, Any]:
    return {
        "machine": {"found": {"gpu": gpu, "torch": "2.11"}, "seconds": 1.5},
        "whole_process": {"found": {"replica_texts_per_s": texts_per_s}, "seconds": 60.0},
    }


def test_per_gpu_rate_is_measured_one_with_card_name(tmp_path: Path) -> None:
    path = tmp_path / "first.json"
    path.write_text(json.dumps(steps()))
    found = per_gpu(None, path)
    assert found.messages_per_s == 41_234.5
    assert found.source.startswith("measured on NVIDIA H100 80GB HBM3")
    assert per_gpu(6_000, path) == (6_000, "as --per-gpu says")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        json.dumps({"machine": steps()["machine"]}),
        json.dumps(steps(gpu=None)),
        json.dumps(steps(texts_per_s=None)),
        json.dumps(steps(texts_per_s=0.0)),
        json.dumps(steps(texts_per_s=float("nan"))),
        json.dumps({**steps(), "whole_process": {"error": "out of memory", "seconds": 3.0}}),
        json.dumps({**steps(), "machine": {"found": {"torch": "2.11"}, "seconds": 1.5}}),
        json.dumps({**steps(), "whole_process": {"found": None, "seconds": 3.0}}),
    ],
    ids=str,
)
def test_without_a_figure_of_a_gpu_one_is_assumed_and_said_to_be(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "first.json"
    if text is not None:
        path.write_text(text)
    found = per_gpu(None, path)
    assert found.messages_per_s == ASSUMED_PER_GPU_S
    assert found.source.startswith("assumed: first.json")
