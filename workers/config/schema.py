"""The JSON Schema of a config file, for editors and for tools that generate configs."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from labelstream.workers.settings.application import Settings


class _ConfigSchema(GenerateJsonSchema):
    # Without titles an editor shows a key's description first, not "Bootstrap Servers".
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        """A dict of named sections refuses keys that are not valid names."""
        found = super().dict_schema(schema)
        return found | {"additionalProperties": False} if "patternProperties" in found else found


def config_schema() -> dict[str, Any]:
    """JSON Schema 2020-12. It knows neither the rules between keys that `load_settings` checks, nor the environment."""
    schema = Settings.model_json_schema(schema_generator=_ConfigSchema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Labelstream config",
        "description": "The file of `labelstream run -c`.",
    }


def render() -> str:
    """The file's text."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"
