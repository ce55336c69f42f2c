"""The versions that Labelstream requires, and those that its tests run on."""

import re
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from docs.generate.markdown import code, table

ROOT = Path(__file__).parents[2]
EXTRAS = ("openvino", "evaluate", "tracing")
_PYTHON = "Programming Language :: Python :: "


def versions() -> str:
    """Python, Kafka and the packages: what is required, and what the tests run on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = _pinned((ROOT / ".ci/constraints.txt").read_text(encoding="utf-8"))
    pythons = [line.removeprefix(_PYTHON) for line in project["classifiers"] if line.startswith(_PYTHON)]
    rows = [["Python", project["requires-python"], ", ".join(pythons)]]
    rows.append(["Apache Kafka brokers", "", ", ".join(_kafka(f"pom{which}.xml") for which in ("", "-3.9"))])
    for name, requirement in _requirements(project):
        rows.append([name, code(str(requirement.specifier)), pinned[requirement.name]])
    return table(["", "required", "tests run on"], rows)


def _requirements(project: dict[str, Any]) -> list[tuple[str, Requirement]]:
    always = [(code(one.name), one) for one in map(Requirement, project["dependencies"])]
    extras = project["optional-dependencies"]
    named = [
        (f"{code(one.name)}, with the extra {code(extra)}", one)
        for extra in EXTRAS
        for one in map(Requirement, extras[extra])
    ]
    return always + named


def _pinned(constraints: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE))


def _kafka(pom: str) -> str:
    text = (ROOT / "tests/kafka" / pom).read_text(encoding="utf-8")
    [*_, version] = re.findall(r"org\.apache\.kafka</groupId>\s*<artifactId>[^<]*</artifactId>\s*<version>(.*?)<", text)
    return version
