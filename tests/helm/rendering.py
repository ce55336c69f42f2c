"""The chart through a real Helm, and what is rendered through the validator."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHART = ROOT / "helm" / "labelstream"
TOOLS = ROOT / ".helm-tools"
VALIDATE = HERE / "validate"
SETTINGS = sorted((HERE / "values").glob("*.yaml"))
LEAST = HERE / "values" / "least.yaml"
EVERYTHING = HERE / "values" / "everything.yaml"
RELEASE = "demo"


@dataclass(frozen=True)
class Helm:
    """`kuberay` is the folder of KubeRay's operator, for its CRDs."""

    tools: Path
    kuberay: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [self.tools / "helm", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=dict(self.environment), check=False)

    def text(self, values: Path, *arguments: str | Path, release: str = RELEASE) -> str:
        """What `helm template` prints. Raises AssertionError with Helm's own words when it refuses."""
        found = self.run("template", release, CHART, "--values", values, *arguments)
        assert found.returncode == 0, found.stderr
        return found.stdout

    def objects(self, values: Path, *arguments: str | Path, release: str = RELEASE) -> list[dict[str, Any]]:
        return [o for o in yaml.safe_load_all(self.text(values, *arguments, release=release)) if o is not None]

    def refusal(self, values: Path, *arguments: str | Path, release: str = RELEASE) -> str:
        """Why `helm template` refuses. Raises AssertionError when it does not."""
        found = self.run("template", release, CHART, "--values", values, *arguments)
        assert found.returncode != 0, "it was rendered"
        return found.stderr

    def judge(self, manifests: str) -> list[str]:
        """Every problem that the types, the CRD and KubeRay's own rules find."""
        crd = self.kuberay / "config" / "crd" / "bases" / "ray.io_rayservices.yaml"
        command = [self.tools / "validate", "objects", crd]
        found = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
        problems = found.stdout.splitlines()
        assert (found.returncode == 0) == (not problems), found.stderr
        return problems

    def kuberay_makes(self, manifests: str) -> dict[str, Any]:
        """{"pods", "services", "violations"} of what KubeRay's code makes of the RayService."""
        command = [self.tools / "validate", "pods"]
        found = subprocess.run(command, input=manifests, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout)


def of_kind(objects: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """The only one of its kind, or the one called `name`."""
    found = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]


def cluster_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return of_kind(objects, "RayService")["spec"]["rayClusterConfig"]


def groups_of(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {group["groupName"]: group for group in cluster_of(objects)["workerGroupSpecs"]}


def serve_config_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return yaml.safe_load(of_kind(objects, "RayService")["spec"]["serveConfigV2"])


def config_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """What `labelstream.deploy.app:build` gets."""
    return serve_config_of(objects)["applications"][0]["args"]
