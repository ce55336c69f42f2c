"""JSON Schema of the pydantic models. `python -m labelstream.schemas.export` writes the files in `schemas/json/`."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from labelstream.schemas.answers import ANSWERS, ANSWERS_ENRICHMENT
from labelstream.schemas.dead_letter import DeadLetterHeaders
from labelstream.schemas.enrichment import ENRICHMENT
from labelstream.schemas.message import TextMessage
from labelstream.schemas.request_error import RequestError
from labelstream.schemas.result import RESULT

FOLDER = Path(__file__).parent / "json"
MODELS: dict[str, TypeAdapter[Any]] = {
    "message": TypeAdapter(TextMessage),
    "result": RESULT,
    "enrichment": ENRICHMENT,
    "answers": ANSWERS,
    "answers-enrichment": ANSWERS_ENRICHMENT,
    "dead-letter": TypeAdapter(DeadLetterHeaders),
    "request-error": TypeAdapter(RequestError),
}


def json_schema(name: str) -> dict[str, Any]:
    """JSON Schema 2020-12 of one of MODELS: `message` as read, the others as written. Raises KeyError."""
    mode = "validation" if name == "message" else "serialization"
    schema = MODELS[name].json_schema(by_alias=True, mode=mode)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def render(name: str) -> str:
    """The text of the schema's file."""
    return json.dumps(json_schema(name), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for schema_name in MODELS:
        (FOLDER / f"{schema_name}.schema.json").write_text(render(schema_name), encoding="utf-8")
