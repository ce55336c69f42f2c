"""Dead-letter headers fit their JSON Schema, and every fault is a reason."""

import jsonschema

from labelstream.schemas.dead_letter import DeadLetterHeaders, Reason, Stage
from labelstream.schemas.export import json_schema
from labelstream.workers.classifier import Fault


def test_dead_letter_headers_fit_their_schema() -> None:
    letter = DeadLetterHeaders.model_validate(
        {
            "topic": "t",
            "partition": "0",
            "offset": "1",
            "stage": Stage.DECODE,
            "class_name": "c",
            "exception_class_name": "e",
            "exception_message": "m",
            "reason": Reason.INVALID_JSON,
            "attempts": "1",
            "model": "",
            "version": "1",
        }
    )
    headers = {name: value.decode() for name, value in letter.headers()}
    jsonschema.validate(headers, json_schema("dead-letter"))
    assert headers["labelstream.reason"] == "invalid_json"
    assert "labelstream.value_omitted" not in headers


def test_every_fault_is_a_dead_letter_reason() -> None:
    assert {fault.value for fault in Fault} <= {reason.value for reason in Reason}
