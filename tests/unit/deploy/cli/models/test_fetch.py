"""A model fetched by `labelstream fetch` runs without a hub and without write access."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labelstream.deploy.cli.common.arguments import DEMO_MODEL
from tests.support.fake_hub import COMMIT, Hub, serving
from tests.unit.deploy.cli.conftest import Run

NAME = "acme/sentiment"


def labelstream(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A call in another process, because huggingface_hub reads the environment once."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "labelstream.deploy.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env={**clean, **environment},
    )


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    folder = tmp_path / "model"
    shutil.copytree(DEMO_MODEL, folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    return Hub(NAME, folder)


def test_fetched_model_runs_without_the_hub(tmp_path: Path, hub: Hub) -> None:
    home = tmp_path / "home"
    with serving(hub) as address:
        ended = labelstream("fetch", f"{NAME}@{COMMIT}", HF_ENDPOINT=address, HF_HOME=str(home))
    assert (ended.returncode, ended.stderr.count("labelstream:")) == (0, 0), ended.stderr
    assert f"{NAME}@{COMMIT}: {home}/hub/" in ended.stdout
    assert not any("pytorch_model.bin" in path for path in hub.asked)
    before = sorted((home / "hub").rglob("*"))
    alone = labelstream(
        "classify",
        "The coffee machine is wonderful",
        "-m",
        NAME,
        "--revision",
        COMMIT,
        HF_HUB_OFFLINE="1",
        HF_HOME=str(home),
    )
    assert alone.stdout.startswith("POSITIVE"), alone.stderr
    assert sorted((home / "hub").rglob("*")) == before


def test_fetch_without_revision_prints_newest(tmp_path: Path, hub: Hub) -> None:
    with serving(hub) as address:
        ended = labelstream("fetch", NAME, HF_ENDPOINT=address, HF_HOME=str(tmp_path / "home"))
    assert ended.stdout.startswith(f"{NAME}@{COMMIT}: "), ended.stderr


def test_model_with_pickles_only_is_refused(tmp_path: Path, hub: Hub) -> None:
    del hub.files["model.safetensors"]
    with serving(hub) as address:
        ended = labelstream("fetch", NAME, HF_ENDPOINT=address, HF_HOME=str(tmp_path / "home"))
    assert ended.returncode == 1
    assert "safetensors" in ended.stderr


@pytest.mark.parametrize("model", ["./folder", "/folder", "owner/name@", "@main", ""])
def test_invalid_model_name_is_refused(run: Run, model: str) -> None:
    ended = run("fetch", model)
    assert ended.code == 2
    assert f"{model!r} is not a model of the hub" in ended.err
