"""KServe's own client reads labels, scores, health and errors of the gateway."""

import json
import subprocess
from pathlib import Path

import pytest
from fastapi import FastAPI

from labelstream.deploy.gateway.dialects.v2.router import router
from labelstream.deploy.gateway.envelopes import Envelopes
from labelstream.workers.classifier import Prediction, Request
from tests.support.gateway import CLASSIFIER, serving, small_models

ROOT = Path(__file__).parents[2]
TEXTS = ["good", "not bad at all"]
PYTHON = ROOT / ".tools/kserve/bin/python"


def test_kserve_reads_labels_health_and_errors(tmp_path: Path) -> None:
    with small_models(tmp_path) as served:
        app = FastAPI()
        Envelopes(app).mount([router(served)])
        with serving(app) as url:
            program = [PYTHON, Path(__file__).with_name("kserve_requests.py"), url, CLASSIFIER, *TEXTS]
            done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        answers = served.engines[CLASSIFIER].classify([Request(text, top_k=2) for text in TEXTS])
    assert {name: found[name] for name in ("live", "ready", "model_ready", "unknown_ready")} == {
        "live": True,
        "ready": True,
        "model_ready": True,
        "unknown_ready": False,
    }
    assert found["error"].startswith(("no model other", "inputs: List should have at least 1 item"))
    for form in ("json", "binary"):
        assert found[form]["id"] == "r-1"
        for answer, labels, scores in zip(answers, found[form]["labels"], found[form]["scores"], strict=True):
            assert isinstance(answer, Prediction)
            assert tuple(labels) == answer.labels
            assert scores == pytest.approx(answer.scores, rel=1e-5)
