"""A real Helm 4, that of this machine or one built from source, and the validator; `make helm-tools` sees to them."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.helm.rendering import TOOLS, VALIDATE, Helm

KUBERAY = "github.com/ray-project/kuberay/ray-operator"


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    for tool in ("helm", "helm-docs", "validate"):
        assert (TOOLS / tool).is_file(), f"there is no {TOOLS / tool}: run `make helm-tools`"
    home = tmp_path_factory.mktemp("helm-home")
    return Helm(TOOLS, module_folder(KUBERAY), {**os.environ, "HELM_CONFIG_HOME": str(home)})


@pytest.fixture(scope="session")
def kubernetes_schemas() -> Path:
    """The folder with the OpenAPI files of the Kubernetes release that `make helm-tools` fetched."""
    folder = (TOOLS / "kubernetes").resolve()
    assert folder.is_dir(), "there are no schemas of Kubernetes: run `make helm-tools`"
    return folder


def module_folder(module: str) -> Path:
    """Where Go keeps the pinned source of a module."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", module]
    return Path(subprocess.run(command, cwd=VALIDATE, check=True, capture_output=True, text=True).stdout.strip())
