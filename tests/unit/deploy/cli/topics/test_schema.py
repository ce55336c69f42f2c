"""`schema` prints the published schemas."""

import json

import pytest

from labelstream.schemas.export import FOLDER
from tests.unit.deploy.cli.conftest import Run


@pytest.mark.parametrize("name", ["result", "answers", "message", "dead-letter", "config"])
def test_schemas_are_the_files(run: Run, name: str) -> None:
    assert run("schema", name).out == (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")


def test_result_is_the_default_and_others_are_refused(run: Run) -> None:
    assert json.loads(run("schema").out) == json.loads(run("schema", "result").out)
    assert run("schema", "letter").code == 2
