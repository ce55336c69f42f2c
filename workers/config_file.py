"""Reads settings from a config file and the environment. Every error names the key and the fix."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from labelstream.workers.config.paths import with_absolute_paths
from labelstream.workers.config.problems import explain, unknown_variables
from labelstream.workers.config.unique_keys import KeyTwice, UniqueKeysLoader
from labelstream.workers.errors import ConfigError
from labelstream.workers.file_errors import file_problem
from labelstream.workers.settings.application import Settings
from labelstream.workers.settings.environment import ENV_PREFIX
from labelstream.workers.settings.kafka import KafkaSettings


def read_config_file(path: str | Path) -> dict[str, Any]:
    """The YAML file as a dict with absolute paths. Raises `ConfigError` if it is unreadable or not a mapping."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            str(path),
            f"cannot be read ({file_problem(error, path)})",
            "name the config file with -c, or write one by `labelstream init`",
        ) from None
    try:
        tree = yaml.load(text, UniqueKeysLoader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "somewhere"
        if isinstance(error, KeyTwice):
            raise ConfigError(str(path), f"repeats the key {error.problem} at {where}", "keep one of them") from None
        raise ConfigError(str(path), f"is not valid YAML at {where}", "check indentation and quotes") from None
    if not isinstance(tree, dict):
        raise ConfigError(str(path), "is empty or not a mapping", "add the keys kafka, models and pipelines")
    return with_absolute_paths(tree, Path(path).absolute().parent)


def load_settings(tree: dict[str, Any]) -> Settings:
    """Validate `tree` (the config file's content), overridden by the environment.

    Raises one `ConfigError` that holds every error, each with its dotted key and fix.
    """
    errors = [*_inline_secrets(tree), *unknown_variables()]
    settings = None
    try:
        settings = Settings(**tree)
    except ValidationError as error:
        errors += explain(error)
    except TypeError:
        errors.append(ConfigError("config", "has a key that is not a string", "put the keys in quotes"))
    if settings is None or errors:
        raise _all_of(errors)
    return settings


class _WithoutFile(BaseModel):
    kafka: KafkaSettings


def load_kafka_settings(section: dict[str, Any]) -> KafkaSettings:
    """Validate the section `kafka` of a command without a config file, overridden by the environment.

    Raises `ConfigError` as `load_settings` does.
    """
    errors = list(unknown_variables())
    environment = Settings.environment().get("kafka", {})
    try:
        kafka = {**section, **environment} if isinstance(environment, dict) else environment
        settings = _WithoutFile.model_validate({"kafka": kafka}).kafka
    except ValidationError as error:
        raise _all_of([*errors, *explain(error)]) from None
    if errors:
        raise _all_of(errors)
    return settings


def forget_environment(*keys: str) -> None:
    """Unset the variables of `keys`, and of all keys below them, for this process and its children."""
    names = tuple(ENV_PREFIX + key.replace(".", "__").upper() for key in keys)
    for variable in list(os.environ):
        if variable.upper() in names or variable.upper().startswith(tuple(f"{name}__" for name in names)):
            del os.environ[variable]


def secret_of(value: SecretStr | None, file: Path | None, key: str) -> str | None:
    """The secret in plain text: `value`, or the content of `file`. Raises `ConfigError` naming `key`."""
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
    """`settings` as plain data for other processes, which read secrets from their own environment or files."""
    secrets = {"kafka": {"security": {"password", "key_password"}}, "http": {"token"}}
    return settings.model_dump(mode="json", exclude=secrets, exclude_unset=True, by_alias=True)


_SECRETS = ("kafka.security.password", "kafka.security.key_password", "http.token")


def _inline_secrets(tree: dict[str, Any]) -> Iterator[ConfigError]:
    for key in _SECRETS:
        value: Any = tree
        *_, name = names = key.split(".")
        for part in names:
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            variable = ENV_PREFIX + key.replace(".", "__").upper()
            yield ConfigError(key, "secrets do not belong in the config file", f"set {variable} or {name}_file")


def _all_of(errors: list[ConfigError]) -> ConfigError:
    first, *others = errors
    return ConfigError(first.key, first.problem, first.fix, tuple(others))
