"""Schemathesis makes requests of the gateway's OpenAPI description, valid and broken ones, and judges each answer."""

import subprocess
from pathlib import Path

import pytest

from labelstream.deploy.gateway.server.http_app import build_app
from labelstream.deploy.gateway.server.ongoing import Requests
from labelstream.workers.settings.http import HttpSettings
from tests.support.gateway import serving, small_models

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".tools/schemathesis/bin/st"
TOKEN = "a-secret-token"
# JSON Schema cannot say that a text is blank, that a model does another task, and that 1.0 is no integer here.
LEFT_OUT = "positive_data_acceptance"
SECONDS = 45


@pytest.mark.parametrize("token", [None, TOKEN], ids=["open", "token"])
def test_no_answer_contradicts_the_openapi_description(tmp_path: Path, token: str | None) -> None:
    headers = [] if token is None else ["--header", f"Authorization: Bearer {token}"]
    with small_models(tmp_path / "models") as served:
        app = build_app(served, HttpSettings(), token, Requests(256))
        with serving(app) as url:
            command = [PROGRAM, "--no-color", "run", f"{url}/openapi.json", "--exclude-checks", LEFT_OUT, *headers]
            command += ["--seed", "1", "--max-time", str(SECONDS), "--continue-on-failure", "--warnings", "off"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Test cases" in done.stdout
