"""A config file and the environment become settings; what is wrong in them names the key and the fix."""

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from labelstream.workers.errors import ConfigError
from labelstream.workers.file_errors import file_problem
from labelstream.workers.settings import ENV_PREFIX, KafkaSettings, Settings


def read_config_file(path: str | Path) -> dict[str, Any]:
    """The YAML file as a dict. Raises `ConfigError` when it cannot be read, is no mapping or holds a secret."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(path), f"cannot be read ({file_problem(error, path)})", "name the config file with -c"
        ) from None
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        raise ConfigError(str(path), f"is not valid YAML at {where}", "check indentation and quotes") from None
    if not isinstance(tree, dict):
        raise ConfigError(str(path), "is empty or not a mapping", "it needs the keys kafka, models and pipelines")
    return tree


def load_settings(tree: dict[str, Any]) -> Settings:
    """Validate `tree` (the config file's content) under the environment's overrides.

    Raises `ConfigError` for the first thing wrong, with the dotted key and the fix.
    """
    _refuse_inline_secrets(tree)
    _refuse_unknown_variables()
    try:
        return Settings(**tree)
    except ValidationError as error:
        raise _explain(error) from None
    except TypeError:
        raise ConfigError("config", "has a key that is not text", "quote the keys") from None


class _WithoutFile(BaseModel):
    kafka: KafkaSettings


def load_kafka_settings(section: dict[str, Any]) -> KafkaSettings:
    """The section `kafka` where there is no file, under the environment's overrides.

    Raises `ConfigError` for the first thing wrong, with the dotted key and the fix.
    """
    _refuse_unknown_variables()
    environment = Settings.environment().get("kafka", {})
    try:
        kafka = {**section, **environment} if isinstance(environment, dict) else environment
        return _WithoutFile.model_validate({"kafka": kafka}).kafka
    except ValidationError as error:
        raise _explain(error) from None


def forget_environment(*keys: str) -> None:
    """Drop the variables of `keys` and of all below them from this process, and so from those that it starts."""
    names = tuple(ENV_PREFIX + key.replace(".", "__").upper() for key in keys)
    for variable in list(os.environ):
        if variable.upper() in names or variable.upper().startswith(tuple(f"{name}__" for name in names)):
            del os.environ[variable]


def secret_of(value: SecretStr | None, file: Path | None, key: str) -> str | None:
    """The secret itself, from the environment's value or from `file`. Raises `ConfigError` naming `key`."""
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            key, f"{file} cannot be read ({file_problem(error, file)})", "check the path and its mode"
        ) from None


def without_secrets(settings: Settings) -> dict[str, Any]:
    """The tree as plain data for other processes, which read the secrets from their own environment or files."""
    return settings.model_dump(
        mode="json", exclude={"kafka": {"security": {"password", "key_password"}}}, exclude_unset=True
    )


def _refuse_inline_secrets(tree: dict[str, Any]) -> None:
    kafka = tree.get("kafka")
    security = kafka.get("security") if isinstance(kafka, dict) else None
    for key in ("password", "key_password"):
        if isinstance(security, dict) and security.get(key) is not None:
            raise ConfigError(
                f"kafka.security.{key}",
                "secrets do not belong in the config file",
                f"set {ENV_PREFIX}KAFKA__SECURITY__{key.upper()} or {key}_file",
            )


def _refuse_unknown_variables() -> None:
    # Kubernetes sets variables such as LABELSTREAM_SERVICE_HOST by itself: only our own form, with `__`, is ours.
    for variable in os.environ:
        section = variable.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if variable.startswith(ENV_PREFIX) and "__" in variable and section not in Settings.model_fields:
            raise ConfigError(variable, "is no setting", f"known sections: {', '.join(Settings.model_fields)}")


# Keys of a model that earlier versions had.
_REMOVED = {
    "attention": "was removed: a GPU runs sequences without padding wherever the model's family can",
    "cuda_graphs": "was removed: a GPU replays recorded forwards wherever sequences have no padding",
}


_FIXES = {
    "extra_forbidden": ("is no setting", "remove it, or see docs/reference/configuration.md for the spelling"),
    "missing": ("is missing", "add it"),
}


def _explain(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    location = ".".join(str(part) for part in first["loc"] if part != "[key]")
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    parts = location.split(".")
    if first["type"] == "extra_forbidden" and parts[0] == "models" and len(parts) == 3 and parts[2] in _REMOVED:
        return ConfigError(location, _REMOVED[parts[2]], "remove the key" + more)
    if first["type"] in _FIXES:
        problem, fix = _FIXES[first["type"]]
        return ConfigError(location, problem, fix + more)
    text = re.sub(r"^Value error, ", "", str(first["msg"]))
    if not location:  # a validator of the whole tree names the key itself
        key, _, problem = text.partition(": ")
        return ConfigError(key, problem, more.strip())
    return ConfigError(location, text, more.strip())
