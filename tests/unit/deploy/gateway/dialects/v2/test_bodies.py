import json

import jsonschema
import pytest

from labelstream.deploy.gateway.dialects.v2.bodies import InferRequest, schema_of

TEXT = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]}


@pytest.mark.parametrize("more", [{"parameters": None, "outputs": None, "id": None}, {"parameters": {"priority": 1}}])
def test_null_and_foreign_parameters_are_taken(more: dict[str, object]) -> None:
    asked = InferRequest.model_validate_json(json.dumps({"inputs": [TEXT], **more}))
    assert (asked.parameters.top_k, asked.outputs, asked.inputs[0].parameters.binary_data_size) == (None, [], None)


def test_schema_without_references_accepts_a_request() -> None:
    schema = schema_of(InferRequest)
    assert "$ref" not in json.dumps(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"inputs": [TEXT], "parameters": {"top_k": 2}}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"inputs": [TEXT], "parameters": {"top_k": 0}}, schema)
