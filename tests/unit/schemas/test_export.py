"""The published JSON Schema files match the models."""

import jsonschema
import pytest

from labelstream.schemas.export import FOLDER, MODELS, json_schema, render


@pytest.mark.parametrize("name", MODELS)
def test_schema_files_match_the_models(name: str) -> None:
    assert (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8") == render(name), "run make schemas"
    jsonschema.Draft202012Validator.check_schema(json_schema(name))
