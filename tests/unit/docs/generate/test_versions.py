"""The versions come from pyproject.toml, the constraints and the tests' Kafka."""

import re

import pytest

from docs.generate.versions import ROOT, versions


@pytest.mark.parametrize(
    "row",
    [
        r"\| Python \| >=3\.\d+ \| 3\.\d+(, 3\.\d+)* \|",
        r"\| Apache Kafka brokers \|  \| 4\.\d+\.\d+, 3\.9\.\d+ \|",
        r"\| `ray` \| `>=2\.\d+` \| 2\.\d+\.\d+ \|",
        r"\| `openvino`, with the extra `openvino` \| `>=20\d\d\.\d+` \| 20\d\d\.[\d.]+ \|",
    ],
)
def test_row_has_required_and_tested_version(row: str) -> None:
    assert re.search(row, versions())


def test_every_dependency_has_a_row() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = project[project.index("\ndependencies = [") :].split("\n]", 1)[0]
    names = re.findall(r'^  "([\w-]+)', block, re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if f"| `{name}` |" not in versions()] == []
