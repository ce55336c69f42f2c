from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from labelstream.deploy.gateway.shapes import one_of


class Body(BaseModel):
    model_config = ConfigDict(strict=True)
    inputs: Annotated[str | list[str], one_of("a text or a list of texts")]


@pytest.mark.parametrize("value", ["a", ["a", "b"], []])
def test_value_of_a_shape_passes(value: object) -> None:
    assert Body.model_validate({"inputs": value}).inputs == value


@pytest.mark.parametrize("value", [1, ["a", 1], None, {}])
def test_other_value_has_one_error_for_all_shapes(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Body.model_validate({"inputs": value})
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [
        (("inputs",), "must be a text or a list of texts")
    ]


def test_schema_shows_the_shapes() -> None:
    shown = Body.model_json_schema()["properties"]["inputs"]["anyOf"]
    assert shown == [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}]
