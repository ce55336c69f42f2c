"""An enrichment is a result without what the record itself has."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from labelstream.schemas.enrichment import ENRICHMENT, OF_THE_RECORD
from labelstream.schemas.export import json_schema


def enrichment(**change: Any) -> dict[str, Any]:
    return {
        "task": "text-classification",
        "event_id": "p/t/0/1",
        "model": "m",
        "model_revision": "r",
        "label": "B",
        "score": 0.75,
        "scores": [{"label": "B", "score": 0.75}, {"label": "A", "score": 0.25}],
        "labels": ["B"],
        "abstained": False,
        "tokens": 3,
        "truncated": False,
        "source": {"topic": "t", "partition": 0, "offset": 1, "timestamp_ms": -1},
        "classified_at": datetime.now(UTC),
        **change,
    }


def test_enrichment_fits_its_schema() -> None:
    value = json.loads(ENRICHMENT.dump_json(ENRICHMENT.validate_python(enrichment())))
    jsonschema.validate(value, json_schema("enrichment"))
    assert value["schema_version"] == 1


@pytest.mark.parametrize("name", sorted(OF_THE_RECORD))
def test_enrichment_has_nothing_of_the_record(name: str) -> None:
    with pytest.raises(ValidationError):
        ENRICHMENT.validate_python(enrichment(**{name: None}))


@pytest.mark.parametrize("wrong", [{"label": "A"}, {"abstained": True}, {"task": "other"}, {"tokens": 0}])
def test_wrong_enrichment_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ENRICHMENT.validate_python(enrichment(**wrong))
