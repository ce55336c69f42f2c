"""The output of the benchmarks."""

import json
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.cli.bench import view

LATENCY = {"p50": 1.25, "p99": 9.5}
WAY = {
    "way": "engine",
    "texts_per_s": 1234.56,
    "batches": "32 texts",
    "padding_waste": 0.125,
    "mfu": 0.456,
    "cpu_us_per_message": 12.4,
    "latency_ms": LATENCY,
}
BARE = {"way": "pipeline", "texts_per_s": 10.0, "batches": "1", "cpu_us_per_message": 99.6}
FIGURES: dict[str, Any] = {
    "hardware": "4 cores",
    "texts": {"count": 40, "mean_tokens": 32},
    "ways": [WAY, BARE],
    "ratios": {"engine / pipeline": 2.345},
    "limit": "device: it is busy",
}
STREAM: dict[str, Any] = {
    "worker": {
        "cpu_us_per_message": 20.04,
        "own_cpu_us_per_message": 15.0,
        "kafka_python_us_per_message": 5.0,
        "messages_per_s_with_null_model": 40_000.4,
    },
    "latency": {
        "light": {
            "way_ms": {"p50": 7.0},
            "forward_ms": {"p50": 3.0},
            "over_forward_ms": {"p50": 4.0, "p99": 6.0},
            "worker_over_forward_ms": {"p50": 2.0, "p99": 2.5},
            "stages_ms": {"decode": {"p50": 0.5}, "send": {"p50": 1.5}},
        },
        "load": [
            {"share": 0.5, "results_per_s": 500.0, "latency_ms": LATENCY},
            {"share": 2.0, "results_per_s": 900.0, "latency_ms": {}},
        ],
    },
    "broker": "in-memory",
    "stream": {"dead_letters": 3},
}


def test_row_has_a_cell_for_each_column() -> None:
    cells = view._cells(WAY)
    assert cells == ["engine", "1234.6", "32 texts", "12.5%", "0.46", "12", "1.2", "9.5"]
    assert len(view._cells(BARE)) == len(cells)
    assert view._cells(BARE)[3:5] == ["", ""]


def test_table_shows_ways_ratios_and_latency(capsys: pytest.CaptureFixture[str]) -> None:
    view.show(FIGURES, "texts")
    view.show_limit(FIGURES)
    found = capsys.readouterr().out
    for part in ("4 cores; 40 texts, 32 tokens", "1234.6", "latency of texts", "engine / pipeline: 2.35"):
        assert part in found
    assert found.endswith("bottleneck: device: it is busy\n")


@pytest.mark.parametrize(("wanted", "shown"), [("auto", "dtype auto is float32: a trial\n"), ("float32", "")])
def test_automatic_dtype_is_explained(capsys: pytest.CaptureFixture[str], wanted: str, shown: str) -> None:
    view.show_dtype({"dtype": "float32", "dtype_why": "a trial"}, wanted)
    assert capsys.readouterr().out == shown


def test_stream_shows_cpu_of_worker_and_each_load(capsys: pytest.CaptureFixture[str]) -> None:
    view.show_stream(STREAM)
    found = " ".join(capsys.readouterr().out.split())
    for part in (
        "20.0 us of CPU per message (worker 15.0, kafka-python 5.0); 40000 messages/s",
        "single message: p50 7.0 ms, of which the forward takes 3.0; without the forward p50 4.0, p99 6.0 ms",
        "p50 2.0, p99 2.5 ms (p50 of each stage, with the forward: decode 0.5, send 1.5)",
        "offered 50%: 500.0 results/s",
        "The broker was in memory",
        "3 messages became dead letters",
    ):
        assert part in found
    assert "200%" not in found, "without a result there is no latency"


def test_stream_on_kafka_has_no_note_on_memory(capsys: pytest.CaptureFixture[str]) -> None:
    view.show_stream(
        {**STREAM, "broker": "kafka", "stream": {"dead_letters": 0}, "latency": {"light": STREAM["latency"]["light"]}}
    )
    found = capsys.readouterr().out
    assert "in memory" not in found
    assert "dead letters" not in found
    assert "offered" not in found


def test_figures_are_written_to_the_file(tmp_path: Path) -> None:
    view.write(FIGURES, None)
    view.write(FIGURES, tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text()) == FIGURES
