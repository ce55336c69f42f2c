"""The chart's README is made of the values' comments, and what it shows works."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helm.rendering import CHART, TOOLS, VALIDATE, Helm

README = CHART / "README.md"


def test_the_readme_is_up_to_date(helm: Helm) -> None:
    command = [TOOLS / "helm-docs", "--chart-search-root", CHART, "--dry-run", "--log-level", "error"]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert made.strip() == README.read_text(encoding="utf-8").strip(), "run `make helm-docs`"


def test_every_value_is_described() -> None:
    rows = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    empty = [row for row in rows if row.rstrip().endswith("|  |")]
    assert len(rows) > 80
    assert empty == []


def test_the_readme_names_the_kuberay_that_the_tests_have() -> None:
    text = (VALIDATE / "go.mod").read_text(encoding="utf-8")
    version = re.search(r"kuberay/ray-operator v([\d.]+)", text)
    assert version
    assert f"KubeRay {version[1]}" in README.read_text(encoding="utf-8")


VALUES = re.findall(r"^```yaml\n# values.yaml\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_there_are_examples() -> None:
    assert len(VALUES) >= 3


@pytest.mark.parametrize("text", VALUES, ids=range(len(VALUES)))
def test_examples_of_values_render(helm: Helm, tmp_path: Path, text: str) -> None:
    config = {
        "kafka": {"bootstrap_servers": "h:1"},
        "models": {"m": {"source": "x"}},
        "pipelines": {"p": {"input": "a", "output": "b", "dead_letter": "c", "model": "m"}},
    }
    base, values = tmp_path / "base.yaml", tmp_path / "values.yaml"
    shown = {"config": config} if "config" not in yaml.safe_load(text) else {}
    base.write_text(yaml.safe_dump({"image": {"repository": "x"}, **shown}))
    values.write_text(text)
    assert helm.judge(helm.text(base, "--values", values)) == []
