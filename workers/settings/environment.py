"""The environment: the variables that override the config file, and the secrets, which come from variables only."""

from typing import Annotated, Any

from pydantic import SecretStr, WithJsonSchema
from pydantic_settings import EnvSettingsSource

ENV_PREFIX = "LABELSTREAM_"
# The config file's schema allows null only: `load_settings` refuses a secret in the file.
Secret = Annotated[SecretStr | None, WithJsonSchema({"type": "null"})]


class Environment(EnvSettingsSource):
    """Leaves a variable with invalid JSON as text, so that validation reports it by its key."""

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value
