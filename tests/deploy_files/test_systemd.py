"""The unit file as systemd itself reads it; no service is started."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labelstream.deploy.app import STOP_MARGIN_S
from labelstream.workers.settings.pipeline import PipelineSettings
from tests.deploy_files.conftest import ROOT

UNIT = ROOT / "deploy/systemd/labelstream.service"
COMMAND = "/opt/labelstream/.venv/bin/labelstream"
# Of systemd's scale from 0 to 100, where 100 is a service that may do all that its user may.
MAX_EXPOSURE = 20


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    assert tool is not None, "systemd-analyze is not installed: apt-get install systemd"
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def changed(folder: Path, *pairs: tuple[str, str]) -> Path:
    """The unit with a command that is on this machine, and with `pairs` of old and new text."""
    text = UNIT.read_text()
    for old, new in ((COMMAND, f"{Path(sys.executable).parent}/labelstream"), *pairs):
        assert old in text
        text = text.replace(old, new)
    unit = folder / UNIT.name
    unit.write_text(text)
    return unit


def test_systemd_accepts_it_with_and_without_credentials(tmp_path: Path) -> None:
    for pairs in ((), (("#LoadCredential", "LoadCredential"), ("#Environment", "Environment"))):
        done = analyze("verify", "--man=no", changed(tmp_path, *pairs))
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [("Restart=on-failure", "Restart=sometimes", "sometimes"), ("KillMode=mixed", "KilMode=mixed", "KilMode")],
)
def test_systemd_would_refuse(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert problem in analyze("verify", "--man=no", changed(tmp_path, (old, new))).stderr


def test_service_may_do_little(tmp_path: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", changed(tmp_path))
    assert done.returncode == 0, done.stdout


def test_stop_has_time_for_the_drain() -> None:
    (stop_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert int(stop_s) >= PipelineSettings.model_fields["drain_timeout_s"].default + STOP_MARGIN_S
