"""`labelstream bench backends`: its plan and its table."""

import json
from pathlib import Path
from typing import Any

import pytest

from labelstream.deploy.bench.suites import backends as suite
from labelstream.deploy.bench.suites.backends import BackendsPlan
from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from tests.unit.deploy.cli.conftest import Run

FIGURES = {
    "hardware": "4 cores",
    "texts": {"count": 2, "mean_tokens": 5},
    "backends": {
        "torch": {"dtype": "float32", "texts_per_s": 100.0, "of_torch": 1.0, "agreement": 1.0, "start_s": 0.5},
        "openvino": {"dtype": "int8", "texts_per_s": 250.0, "of_torch": 2.5, "agreement": 0.9876, "start_s": 3.25},
    },
}


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[BackendsPlan]:
    found: list[BackendsPlan] = []

    def measure(plan: BackendsPlan, say: Any) -> dict[str, Any]:
        found.append(plan)
        return FIGURES

    monkeypatch.setattr(suite, "measure", measure)
    return found


def test_demo_model_is_measured_by_default(run: Run, plans: list[BackendsPlan]) -> None:
    assert run("bench", "backends").code == 0
    assert plans == [BackendsPlan(str(DEMO_MODEL), None, 500, 32, "auto", 5, True, False)]


def test_plan_has_the_options(run: Run, plans: list[BackendsPlan], tmp_path: Path) -> None:
    file, figures = tmp_path / "texts", tmp_path / "figures.json"
    arguments = ["-m", "model", "--texts", str(file), "--count", "7", "--no-quantize", "--others", "--rounds", "1"]
    ended = run("bench", "backends", *arguments, "--json", str(figures))
    assert ended.code == 0
    assert plans == [BackendsPlan("model", file, 7, 32, "auto", 1, False, True)]
    assert json.loads(figures.read_text()) == FIGURES
    for part in ("4 cores", "250.0", "2.50", "98.76%", "3.2"):
        assert part in ended.out
